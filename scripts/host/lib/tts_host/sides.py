"""What the deployment asks for beyond running the application: where its state is to live, on which side is what.

The optional keys of `install-app`'s input. Everything wrong with them is told at once; no value is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tts_host.bucket import Bucket
from tts_host.placement import OUTSIDE, PLACEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

DRAIN_S = 20  # the provider's health check: every 10 s, two in a row
MOST_STOP_S = 60
MOST_DRAIN_S = 600


@dataclass(frozen=True)
class HostSide:
    """The state on this host: Compose services, and the volume of the media. An empty name: there is none."""

    database: str = ""
    user: str = "postgres"
    media_volume: str = ""
    broker: str = ""

    @property
    def services(self) -> list[str]:
        return [name for name in (self.database, self.broker) if name]


@dataclass(frozen=True)
class OutsideSide:
    """The state elsewhere: a managed PostgreSQL, by the login of its administrator, and a bucket.

    `owners` says which databases there are, and whose each is.
    """

    host: str
    port: int
    user: str
    password: str
    ca: str
    maintenance: str
    owners: Mapping[str, str]
    media: Bucket | None
    max_stop_s: int


@dataclass(frozen=True)
class Wishes:
    """`placement` None: no say. `services` empty: all. `drain_s` None: no balancer is in front of this host."""

    placement: str | None = None
    services: tuple[str, ...] = ()
    drain_s: int | None = None
    host: HostSide = field(default_factory=HostSide)
    outside: OutsideSide | None = None


WORDS = {str: "a text", int: "a whole number", dict: "an object", list: "a list"}


@dataclass(frozen=True)
class Reader:
    """Takes values out of one part of the document, and collects what is wrong with them."""

    part: Any
    name: str
    problems: list[str]

    def get(self, path: str, kind: type, default: Any = None) -> Any:
        """The value at the end of a dotted path, of that type; one that is missing and has no default is wrong."""
        value = self.part
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value in (None, "") and default is not None:
            return default
        if kind is int and isinstance(value, float) and value.is_integer():  # the engine knows one kind of number
            value = int(value)
        if isinstance(value, kind) and not isinstance(value, bool) and value != "":
            return value
        what = "is missing" if value in (None, "") else f"must be {WORDS[kind]}"
        self.problems.append(f"{self.name}.{path} {what}")
        return kind()

    def has(self, path: str) -> bool:
        return isinstance(self.part, dict) and self.part.get(path) is not None


def read(found: Mapping[str, Any], problems: list[str]) -> Wishes:
    """The optional keys. What is wrong is added to `problems`."""
    stdin = Reader(found, "stdin", problems)
    placement = found.get("placement")
    sides = stdin.get("sides", dict, {})
    if placement is not None and placement not in PLACEMENTS:
        problems.append(f"placement must be one of {', '.join(PLACEMENTS)}")
    elif placement is not None:
        needed = ("host", "outside") if placement == OUTSIDE else ("host",)
        problems += [f"sides.{name} is missing: placement {placement} needs it" for name in needed if name not in sides]
    services = stdin.get("services", list, [])
    if not all(isinstance(name, str) and name for name in services):
        problems.append("services must be a list of names of Compose services")
    if services and placement is not None:
        problems.append("services and placement exclude each other: a host with a part of the services moves nothing")
    return Wishes(
        placement=placement,
        services=tuple(str(name) for name in services),
        drain_s=_drain(found.get("drain"), problems),
        host=_host(Reader(sides["host"], "sides.host", problems)) if sides.get("host") else HostSide(),
        outside=_outside(Reader(sides["outside"], "sides.outside", problems)) if sides.get("outside") else None,
    )


def _drain(value: object, problems: list[str]) -> int | None:
    """`true` for the usual time, or a number of seconds: the balancer's interval times its threshold."""
    if value is None or isinstance(value, bool):
        return DRAIN_S if value else None
    if isinstance(value, (int, float)) and 0 <= value <= MOST_DRAIN_S:
        return int(value)
    problems.append(f"drain must be true or a number of seconds from 0 to {MOST_DRAIN_S}")
    return None


def _host(side: Reader) -> HostSide:
    return HostSide(
        database=side.get("database.service", str),
        user=side.get("database.user", str, "postgres"),
        media_volume=side.get("media.volume", str) if side.has("media") else "",
        broker=side.get("broker.service", str) if side.has("broker") else "",
    )


def _outside(side: Reader) -> OutsideSide:
    owners = side.get("database.owners", dict)
    if not owners:
        side.problems.append("sides.outside.database.owners names no database")
    return OutsideSide(
        host=side.get("database.host", str),
        port=side.get("database.port", int),
        user=side.get("database.user", str),
        password=side.get("database.password", str),
        ca=side.get("database.ca", str),
        maintenance=side.get("database.maintenance", str, "defaultdb"),
        owners={name: _owner(name, owner, side.problems) for name, owner in owners.items()},
        media=_media(side) if side.has("media") else None,
        max_stop_s=side.get("max_stop_seconds", int, MOST_STOP_S),
    )


def _owner(database: str, owner: Any, problems: list[str]) -> str:
    return Reader(owner, f"sides.outside.database.owners.{database}", problems).get("user", str)


def _media(side: Reader) -> Bucket:
    return Bucket(
        name=side.get("media.bucket", str),
        endpoint=side.get("media.endpoint", str),
        region=side.get("media.region", str, "us-east-1"),
        access_key=side.get("media.access_key", str),
        secret_key=side.get("media.secret_key", str),
    )
