"""The stack's configuration as one frozen object. With `reading`, which it uses, the only reader of `pulumi.Config`.

`load` reports every mistake at once. Defaults stand in Pulumi.yaml alone: the engine hands them over with the rest.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pulumi

import alerts
import compose
import destinations
import rules
from phases import Row, Rung, row
from reading import Reader, as_texts, camel, made_by_init
from rules import Problem

ROOT: Final = Path(__file__).resolve().parent

_LIMITS: Final[dict[str, dict[str, tuple[int, int]]]] = {
    "thresholds": {"minFreePercent": (1, 90), "maxRepositoryGb": (1, 10_000)},
    "retention": {"daily": (1, 3650), "weekly": (0, 520), "monthly": (0, 120)},
    # S3 moves nothing to STANDARD_IA in its first 30 days (Amazon S3 user guide, lifecycle transitions).
    "vault": {"lockDays": (1, 3650), "coldAfterDays": (30, 3650), "noncurrentDays": (1, 3650)},
}


@dataclass(frozen=True)
class App:
    """The Compose application: where its files are and what its parts are called."""

    path: str
    compose_file: str
    project: str
    secrets: tuple[str, ...]
    health_path: str
    database_service: str
    database_user: str
    databases: tuple[str, ...]
    media_volume: str
    media_references: tuple[str, ...]


@dataclass(frozen=True)
class Thresholds:
    """When the backup's disk is too full: least free share in percent, largest local repository in GB."""

    min_free_percent: int
    max_repository_gb: int


@dataclass(frozen=True)
class Retention:
    """How many daily, weekly and monthly snapshots are kept, by count."""

    daily: int
    weekly: int
    monthly: int


@dataclass(frozen=True)
class Vault:
    """Object lock (mode and days), days until data moves to cold storage, days that overwritten versions are kept."""

    lock_mode: str
    lock_days: int
    cold_after_days: int
    noncurrent_days: int


@dataclass(frozen=True)
class Destination:
    """A further off-site repository, by any of restic's addresses."""

    name: str
    repository: str


@dataclass(frozen=True)
class Settings:
    """Everything a stack decides. One field per key of Pulumi.yaml, which describes them; secrets stay Outputs."""

    rung: Rung
    region: str
    spaces_region: str
    aws_region: str
    aws: bool
    spaces: bool
    ssh_from: tuple[str, ...]
    domain: str
    vpc_range: str
    sizes: Mapping[str, str]
    app: App
    thresholds: Thresholds
    retention: Retention
    vault: Vault
    upload_limit_kib: int
    destinations: tuple[Destination, ...]
    destination_credentials: Mapping[str, pulumi.Output[dict[str, str]]]
    alerts: pulumi.Output[dict[str, Any]] | None
    bucket_suffix: str
    ssh_public_key: str
    host_public_key: str
    ssh_private_key: pulumi.Output[str]
    host_private_key: pulumi.Output[str]
    backup_passphrase: pulumi.Output[str]
    recovery_key: pulumi.Output[str]
    app_secrets: pulumi.Output[dict[str, str]]

    @property
    def row(self) -> Row:
        """The rung's row of the ladder."""
        return row(self.rung)

    @property
    def web_size(self) -> str:
        """Droplet size of the web hosts: the stack's own choice, else the ladder's."""
        return self.sizes.get("web", self.row.size)


class SettingsError(pulumi.RunError):
    """The configuration has mistakes. A RunError, so that the engine prints the text and no traceback."""

    def __init__(self, stack: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} mistake" + ("s" if len(problems) != 1 else "")
        lines = [f"{count} in the configuration of stack '{stack}'; nothing was changed:"]
        init = f"tts init --stack {stack}"
        unset = [each.key for each in problems if each.fix == init and each.value == "(missing)"]
        if unset:
            lines += ["", f"  missing: {', '.join(unset)}", f"    fix:  {init}"]
        for each in (each for each in problems if each.key not in unset):
            lines += ["", f"  {each.key} = {each.value}", f"    rule: {each.rule}", f"    fix:  {each.fix}"]
        super().__init__("\n".join(lines))


def load(deployed: str | None) -> Settings:
    """The configuration of the current stack, checked. `deployed` is the rung of the last completed update, if any.

    Raises SettingsError with all mistakes.
    """
    reader = Reader()
    settings = _read(reader)
    reported = {each.key for each in reader.problems}
    found = [each for each in _problems(settings, reader, deployed) if each.key not in reported]
    if reader.problems or found:
        raise SettingsError(pulumi.get_stack(), [*reader.problems, *found])
    return settings


def _read(reader: Reader) -> Settings:
    reader.refuse_unknown({camel(field.name) for field in dataclasses.fields(Settings)})
    rung = reader.text("rung")
    return Settings(
        rung=Rung(rung) if rung in list(Rung) else Rung.SINGLE,
        region=reader.text("region"),
        spaces_region=reader.text("spacesRegion"),
        aws_region=reader.text("awsRegion"),
        aws=reader.flag("aws"),
        spaces=reader.flag("spaces"),
        ssh_from=reader.texts("sshFrom"),
        domain=reader.text("domain"),
        vpc_range=reader.text("vpcRange"),
        sizes=reader.mapping("sizes"),
        app=reader.record("app", App),
        thresholds=reader.record("thresholds", Thresholds),
        retention=reader.record("retention", Retention),
        vault=reader.record("vault", Vault),
        upload_limit_kib=reader.whole("uploadLimitKib"),
        destinations=reader.records("destinations", Destination),
        destination_credentials={
            name: pulumi.Output.secret(known) for name, known in _credentials(reader).items() if known
        },
        alerts=_alerts(reader),
        bucket_suffix=reader.text("bucketSuffix"),
        ssh_public_key=reader.text("sshPublicKey"),
        host_public_key=reader.text("hostPublicKey"),
        ssh_private_key=reader.secret("sshPrivateKey"),
        host_private_key=reader.secret("hostPrivateKey"),
        backup_passphrase=reader.secret("backupPassphrase"),
        recovery_key=reader.secret("recoveryKey"),
        app_secrets=pulumi.Output.secret(_app_secrets(reader)),
    )


def _app_secrets(reader: Reader) -> dict[str, str]:
    return as_texts(reader.secret_mapping("appSecrets", made_by_init()))


def _credentials(reader: Reader) -> dict[str, dict[str, str] | None]:
    """Variables by destination; None for what is not an object."""
    values = reader.secret_mapping("destinationCredentials", _set_secret("destinationCredentials.NAME.VARIABLE"))
    return {
        name: as_texts(cast("dict[str, Any]", each)) if isinstance(each, dict) else None
        for name, each in values.items()
    }


def _alerts(reader: Reader) -> pulumi.Output[dict[str, Any]] | None:
    values = _alert_values(reader)
    if not values or any(alerts.problems(values, pulumi.get_stack())):
        return None
    return pulumi.Output.secret(alerts.content(values))


def _alert_values(reader: Reader) -> dict[str, Any]:
    return reader.secret_mapping("alerts", _set_secret("alerts.CHANNEL"))


def _set_secret(path: str) -> str:
    return f"pulumi config set --secret --path '{path}' --stack {pulumi.get_stack()}"


def _problems(found: Settings, reader: Reader, deployed: str | None) -> Iterator[Problem]:
    stack, app = pulumi.get_stack(), found.app
    vaults = [name for name, wanted in (("aws", found.aws), ("spaces", found.spaces)) if wanted]
    yield from rules.rung(reader.text("rung"), deployed)
    yield from rules.regions(found.region, found.spaces_region, found.aws_region)
    yield from rules.sizes(found.sizes)
    yield from rules.ssh_from(found.ssh_from)
    yield from rules.vpc_range(found.vpc_range)
    yield from rules.domain(found.domain)
    yield from rules.numbers("", {"uploadLimitKib": found.upload_limit_kib}, {"uploadLimitKib": (0, 10_000_000)})
    for section, limits in _LIMITS.items():
        values = dataclasses.asdict(getattr(found, section))
        yield from rules.numbers(section, {camel(name): value for name, value in values.items()}, limits)
    yield from rules.vault(found.vault.lock_mode, found.vault.lock_days, found.vault.noncurrent_days)
    yield from rules.buckets(pulumi.get_project(), stack, found.bucket_suffix, vaults)
    yield from rules.off_site([*vaults, *(each.name for each in found.destinations)])
    yield from destinations.destinations([(each.name, each.repository) for each in found.destinations])
    addresses = {each.name: each.repository for each in found.destinations}
    yield from destinations.credentials(addresses, _credentials(reader), stack)
    yield from alerts.problems(_alert_values(reader), stack)
    yield from rules.public_key("sshPublicKey", found.ssh_public_key, stack)
    yield from rules.public_key("hostPublicKey", found.host_public_key, stack)
    yield from compose.names(app.project, app.database_user, app.databases, app.secrets, app.health_path)
    yield from compose.media_references(app.media_references)
    yield from compose.compose_file(ROOT / app.path, app.compose_file, app.database_service, app.media_volume)
    yield from rules.env_secrets(app.secrets, _app_secrets(reader), stack)
