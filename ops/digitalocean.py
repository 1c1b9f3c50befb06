"""What Pulumi has no word for, asked of DigitalOcean's API: is a droplet there, images of its disk.

Waiting is for an action to end; its state is asked for every few seconds, as the API wants it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ops.api import PRODUCTION, VARIABLES, Api
from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.engine import Engine

PAUSE = 3  # seconds between two looks at an action


class Droplet(msgspec.Struct, frozen=True):
    """A droplet as the API shows it. `status` is new, active, off or archive."""

    id: int
    name: str
    status: str


class Image(msgspec.Struct, frozen=True):
    """An image of a droplet's disk. `type` is `snapshot` for one made by hand, `backup` for one of the schedule."""

    id: int
    name: str
    created_at: str
    size_gigabytes: float
    type: str = "snapshot"


class Record(msgspec.Struct, frozen=True):
    """A record of a domain."""

    id: int
    type: str
    name: str
    data: str
    ttl: int


class ReservedIp(msgspec.Struct, frozen=True):
    """An address that moves between the droplets of its region; `droplet` is the one that has it."""

    ip: str
    region: str
    droplet: int | None


@dataclass(frozen=True)
class DigitalOcean:
    """What `tts` asks of the API."""

    api: Api

    @classmethod
    def of(cls, engine: Engine) -> DigitalOcean:
        """The API with the token of the environment, else of the stack's configuration.

        Raises:
            OpsError: there is neither.
        """
        address = os.environ.get("DIGITALOCEAN_API_URL") or PRODUCTION
        for name in VARIABLES:
            if token := os.environ.get(name):
                return cls(Api(address, token.strip(), PAUSE))
        try:
            return cls(Api(address, engine.secret("digitalocean:token").strip(), PAUSE))
        except OpsError:
            raise OpsError(
                "There is no token for DigitalOcean's API.",
                fix="Set DIGITALOCEAN_TOKEN, or: pulumi config set digitalocean:token --secret",
                code=ExitCode.CONFIG,
            ) from None

    def droplet(self, number: str | int) -> Droplet | None:
        """The droplet of that id; None when the provider has none."""
        found = self.api.ask("GET", f"/v2/droplets/{number}")
        return None if found is None else msgspec.convert(found["droplet"], Droplet)

    def tagged(self, tag: str) -> tuple[Droplet, ...]:
        """The droplets that bear a tag."""
        return msgspec.convert(self.api.pages(f"/v2/droplets?tag_name={quote(tag)}&", "droplets"), tuple[Droplet, ...])

    def delete_droplet(self, number: str | int, now: Callable[[str], None]) -> None:
        """Delete a droplet and its disk, and wait until it is gone."""
        self.api.ask("DELETE", f"/v2/droplets/{number}")
        while self.droplet(number) is not None:
            now("waiting until the droplet is gone")
            time.sleep(self.api.pause)

    def reserved_ip(self, address: str) -> ReservedIp | None:
        """A reserved IP; None when the account has none of that address."""
        answer = self.api.ask("GET", f"/v2/reserved_ips/{address}")
        if answer is None:
            return None
        found = answer["reserved_ip"]
        droplet = found.get("droplet")
        return ReservedIp(found["ip"], found["region"]["slug"], int(droplet["id"]) if droplet else None)

    def droplet_at(self, address: str) -> int | None:
        """The droplet that a reserved IP leads to, or None."""
        found = self.reserved_ip(address)
        return found.droplet if found else None

    def unassign(self, address: str, now: Callable[[str], None]) -> None:
        """Let a reserved IP lead to no droplet, and wait until it does not: a droplet can have one of them only.

        Raises:
            OpsError: the provider gave up.
        """
        order = self.api.ask("POST", f"/v2/reserved_ips/{address}/actions", {"type": "unassign"})
        action = self._ended(order["action"], f"{address} is let go", now) if order else {"id": "none"}
        if self.droplet_at(address) is not None:
            raise OpsError(
                f"The provider did not let {address} go.",
                where=f"action {action['id']} is {action.get('status', 'gone')}",
                fix="Run this again, or see the address in the control panel.",
            )

    def join(self, project: str, urn: str) -> None:
        """Put something of the account into a project, whichever it is in; `urn` is the provider's, `do:droplet:1`."""
        self.api.ask("POST", f"/v2/projects/{project}/resources", {"resources": [urn]})

    def records(self, zone: str, name: str) -> tuple[Record, ...]:
        """The address records of a host name in a zone; nothing where the zone is not the account's."""
        wanted = "@" if name == zone else name.removesuffix(f".{zone}")
        found = self.api.pages(f"/v2/domains/{quote(zone)}/records?type=A&", "domain_records")
        return tuple(each for each in msgspec.convert(found, list[Record]) if each.name == wanted)

    def lead(self, zone: str, record: Record, address: str) -> None:
        """Let a record lead to another address; it keeps its number, and is there at every moment."""
        body = {"type": record.type, "name": record.name, "data": address, "ttl": record.ttl}
        self.api.ask("PUT", f"/v2/domains/{quote(zone)}/records/{record.id}", body)

    def make_snapshot(self, number: str | int, name: str, now: Callable[[str], None]) -> Image:
        """Take an image of the droplet's disk as it is now, and wait until the provider has all of it.

        Raises:
            OpsError: there is no such droplet, or the provider gave up.
        """
        order = self.api.ask("POST", f"/v2/droplets/{number}/actions", {"type": "snapshot", "name": name})
        if order is None:
            raise OpsError(f"The provider has no droplet {number}.", fix="tts status")
        action = self._ended(order["action"], name, now)
        made = [image for image in self.snapshots(name) if image.name == name]
        if action["status"] != "completed" or not made:
            raise OpsError(
                f"The provider did not complete the snapshot {name}.",
                where=f"action {action['id']} is {action['status']}",
                fix="Nothing was deleted. Try again, or see the droplet's history in the control panel.",
            )
        return made[0]

    def _ended(self, action: dict[str, Any], what: str, now: Callable[[str], None]) -> dict[str, Any]:
        """The action as it is when it has ended, well or not."""
        while action["status"] in {"new", "in-progress"}:
            now(f"{what}: in progress")
            time.sleep(self.api.pause)
            action = (self.api.ask("GET", f"/v2/actions/{action['id']}") or {"action": action})["action"]
        return action

    def snapshots(self, prefix: str) -> tuple[Image, ...]:
        """Images made by hand whose name begins like this, newest first; also those of droplets that are gone."""
        found = self.api.pages("/v2/snapshots?resource_type=droplet&", "snapshots")
        mine = [{**one, "id": int(one["id"])} for one in found if one["name"].startswith(prefix)]
        return _newest_first(mine)

    def backups(self, number: str | int) -> tuple[Image, ...]:
        """The images that the provider's schedule made of a droplet, newest first."""
        return _newest_first(
            [{**one, "type": "backup"} for one in self.api.pages(f"/v2/droplets/{number}/backups?", "backups")]
        )

    def delete_image(self, number: int) -> None:
        """Delete an image of either type."""
        self.api.ask("DELETE", f"/v2/images/{number}")


def _newest_first(found: list[dict[str, Any]]) -> tuple[Image, ...]:
    images = msgspec.convert(found, tuple[Image, ...])
    return tuple(sorted(images, key=lambda image: image.created_at, reverse=True))
