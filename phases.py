"""The ladder: which rungs there are, what each one is made of, and which steps between them are legal.

Data and rules only; nothing here knows Pulumi. A further rung is a further row of `LADDER`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Rung(StrEnum):
    """Names of the rungs, lowest first; the order of declaration is the order of the ladder."""

    SINGLE = "single"
    RESIZED = "resized"
    EXTERNALISED = "externalised"
    BALANCED = "balanced"
    CLUSTER = "cluster"


class Entry(StrEnum):
    """Where requests enter: an address that moves between hosts, a balancer before them, or the cluster's ingress."""

    RESERVED_IP = "reserved_ip"
    BALANCER = "balancer"
    INGRESS = "ingress"


class Database(StrEnum):
    """Where PostgreSQL runs: in a container of the host, or as the provider's managed cluster."""

    ON_HOST = "on_host"
    MANAGED = "managed"


class Media(StrEnum):
    """Where uploaded files live: in a volume of the host, or in a bucket."""

    ON_HOST = "on_host"
    SPACES = "spaces"


class Broker(StrEnum):
    """Where messages queue: on the web host itself, or outside it (a host of its own or an external URL)."""

    ON_HOST = "on_host"
    OUTSIDE = "outside"


class Platform(StrEnum):
    """What runs the containers: Compose on droplets, or managed Kubernetes."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True)
class Row:
    """One rung. `hosts` is the smallest number of web hosts, `size` the droplet slug if the stack names none.

    `built` says whether this version of the program can deploy it.
    """

    rung: Rung
    hosts: int
    size: str
    entry: Entry
    database: Database
    media: Media
    broker: Broker
    platform: Platform
    workflow_concurrency: int
    notification_concurrency: int
    change: str
    built: bool

    @property
    def outside(self) -> bool:
        """Whether the state (database, media, queues) lives outside the web hosts. It leaves and comes back as one."""
        return self.database is Database.MANAGED

    @property
    def balanced(self) -> bool:
        """Whether a balancer stands before the web hosts."""
        return self.entry is Entry.BALANCER


_S, _M = "s-2vcpu-2gb", "s-4vcpu-8gb"
_COMPOSE, _K8S = Platform.COMPOSE, Platform.KUBERNETES
_IP, _BALANCER, _INGRESS = Entry.RESERVED_IP, Entry.BALANCER, Entry.INGRESS
_DB, _MANAGED = Database.ON_HOST, Database.MANAGED
_FILES, _SPACES = Media.ON_HOST, Media.SPACES
_QUEUE, _OUT = Broker.ON_HOST, Broker.OUTSIDE

# fmt: off
LADDER: Final[tuple[Row, ...]] = (
    #   rung          hosts, size, entry, database, media,   broker, platform, workers, what changes, built
    Row(Rung.SINGLE,       1, _S, _IP,       _DB,      _FILES,  _QUEUE, _COMPOSE, 4, 2, "start",                 True),
    Row(Rung.RESIZED,      1, _M, _IP,       _DB,      _FILES,  _QUEUE, _COMPOSE, 8, 4, "size and workers",      True),
    Row(Rung.EXTERNALISED, 1, _M, _IP,       _MANAGED, _SPACES, _OUT,   _COMPOSE, 8, 4, "state leaves the host", True),
    Row(Rung.BALANCED,     2, _M, _BALANCER, _MANAGED, _SPACES, _OUT,   _COMPOSE, 8, 4, "hosts multiply",        True),
    Row(Rung.CLUSTER,      2, _M, _INGRESS,  _MANAGED, _SPACES, _OUT,   _K8S,     8, 4, "platform",              False),
)
# fmt: on


def row(rung: Rung) -> Row:
    """The row of `rung`."""
    return next(each for each in LADDER if each.rung is rung)


def built() -> tuple[Rung, ...]:
    """The rungs that this version can deploy, lowest first."""
    return tuple(each.rung for each in LADDER if each.built)


def violations(candidate: Row) -> list[str]:
    """What makes `candidate` a rung that would lose data or split it; empty when it is sound."""
    broken: list[str] = []
    if candidate.hosts < 1:
        broken.append("a rung has at least one host")
    if candidate.entry is Entry.RESERVED_IP and candidate.hosts > 1:
        broken.append("a reserved IP leads to one host only: more need a balancer")
    sides = {candidate.outside, candidate.media is Media.SPACES, candidate.broker is Broker.OUTSIDE}
    if len(sides) > 1:
        broken.append("database, media and broker leave the host together: one move, one moment of truth")
    if candidate.hosts > 1:
        broken += _shared_state(candidate)
    if (candidate.platform is Platform.KUBERNETES) is not (candidate.entry is Entry.INGRESS):
        broken.append("an ingress is the entry of a cluster and of nothing else")
    return broken


def _shared_state(candidate: Row) -> list[str]:
    wanted = (
        (candidate.database is Database.MANAGED, "more than one host needs the managed database"),
        (candidate.media is Media.SPACES, "more than one host needs media in Spaces"),
        (candidate.broker is Broker.OUTSIDE, "more than one host needs a broker outside the web hosts"),
    )
    return [message for holds, message in wanted if not holds]


def path(start: Rung, goal: Rung) -> tuple[Rung, ...]:
    """Every rung from `start` to `goal`, both included, in the order in which they have to be deployed."""
    rungs = list(Rung)
    first, last = rungs.index(start), rungs.index(goal)
    step = 1 if last >= first else -1
    return tuple(rungs[index] for index in range(first, last + step, step))


def refusal(deployed: Rung | None, wanted: Rung) -> str | None:
    """Why the step from `deployed` (None: nothing is deployed) to `wanted` is illegal, with the legal path; or None.

    A new stack may start on any rung, because it holds no data yet. After that, one rung at a time, up or down: each
    step moves one kind of state, and its guard knows only that one.
    """
    if deployed is None:
        return None
    steps = path(deployed, wanted)
    if len(steps) <= 2:
        return None
    return f"the deployed rung is '{deployed}' and a step moves one rung: go {' -> '.join(steps)}, one `pulumi up` each"
