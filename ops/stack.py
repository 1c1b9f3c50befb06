"""What a deployed stack says about itself: its outputs, read once, checked and typed."""

from __future__ import annotations

from typing import Any

import msgspec

from ops.errors import ExitCode, OpsError

LOCAL = "local"


def deploy_command(stack: str) -> str:
    """What a person types to deploy a stack; the local one lives on this machine only, and has a command of its own."""
    return "make up" if stack == LOCAL else f"pulumi up --stack {stack}"


class Host(msgspec.Struct, frozen=True, rename="camel"):
    """One droplet. The backup owner is the one host that runs the backup jobs; `role` is `web` or `broker`."""

    name: str
    address: str
    private_address: str
    size: str
    droplet_id: str | int
    backup_owner: bool
    role: str = "web"


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """Where the world comes in: a reserved IP or a balancer, whose id is then given."""

    kind: str
    address: str
    balancer: str | None = None


class Database(msgspec.Struct, frozen=True, rename="camel"):
    """The managed PostgreSQL. `state` is `in use`, `held` after a step down, or `releasing`: about to be removed."""

    id: str
    name: str
    size: str
    nodes: int
    host: str
    state: str

    @property
    def in_use(self) -> bool:
        """Whether the application works with it."""
        return self.state == "in use"


class Media(msgspec.Struct, frozen=True, rename="camel"):
    """The bucket of the media, used or held like the database."""

    bucket: str
    region: str


class Application(msgspec.Struct, frozen=True, rename="camel"):
    """Where the Compose application stands on its hosts."""

    project: str
    directory: str
    env_file: str
    compose_file: str
    health_path: str = "/"


class OffSite(msgspec.Struct, frozen=True, rename="camel"):
    """One destination of backup copies. One that this program did not make has neither bucket nor region."""

    name: str
    repository: str
    bucket: str | None = None
    region: str | None = None


class Retention(msgspec.Struct, frozen=True):
    """How many snapshots of each kind stay, by count of days, weeks and months that have one."""

    daily: int = 30
    weekly: int = 12
    monthly: int = 12


class Lock(msgspec.Struct, frozen=True):
    """The object lock of the AWS bucket: governance or compliance, and its days from upload."""

    mode: str
    days: int


class Backup(msgspec.Struct, frozen=True, rename="camel"):
    """Who backs up, and where the copies go."""

    owner: str
    offsite: tuple[OffSite, ...] = ()
    retention: Retention = Retention()
    lock: Lock | None = None


class CostItem(msgspec.Struct, frozen=True, rename="camel"):
    """One line of the monthly bill, in US dollars."""

    item: str
    usd: float


class Cost(msgspec.Struct, frozen=True, rename="camel"):
    """The estimate that the program exported, in US dollars a month, and the day of the price list."""

    total: float
    items: tuple[CostItem, ...] = ()
    price_date: str = ""


class Outputs(msgspec.Struct, frozen=True, rename="camel"):
    """The stack outputs that `tts` works with; others are ignored."""

    rung: str
    url: str
    entry: Entry
    hosts: tuple[Host, ...]
    ssh_user: str
    host_public_key: str
    application: Application
    backup: Backup
    cost_per_month: Cost
    database: Database | None = None
    media: Media | None = None
    notes: tuple[str, ...] = ()

    def host(self, name: str) -> Host:
        """The host of that name.

        Raises:
            OpsError: there is none; the message lists those there are.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts) or "none"
        raise OpsError(f"There is no host {name}.", fix=f"Hosts of this stack: {names}", code=ExitCode.USAGE)

    @property
    def health_url(self) -> str:
        """The page that says whether the whole application is well."""
        return self.url.rstrip("/") + "/" + self.application.health_path.lstrip("/")

    @property
    def owner(self) -> Host:
        """The host that runs the backup jobs."""
        return self.host(self.backup.owner)


def parse_outputs(stack: str, outputs: dict[str, Any]) -> Outputs:
    """The outputs of `pulumi stack output --json` as a value.

    Raises:
        OpsError: the stack was never deployed, or by a program whose outputs differ; the message names the field.
    """
    if "hosts" not in outputs:
        state = "has not been deployed yet" if not outputs else "is deployed only in part"
        raise OpsError(f"Stack {stack} {state}.", fix=deploy_command(stack), code=ExitCode.CONFIG)
    try:
        return msgspec.convert(outputs, Outputs)
    except msgspec.ValidationError as error:
        raise OpsError(
            f"The outputs of stack {stack} are not what this tts reads.",
            where=str(error),
            fix=f"Deploy with the program of this checkout: pulumi up --stack {stack}",
            code=ExitCode.CONFIG,
        ) from None
