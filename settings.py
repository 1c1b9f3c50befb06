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
import fixed
import placement
import pricing
import rules
import upper_rules
from deployed import Deployed
from phases import Row, Rung, row
from reading import Reader, as_texts, camel, made_by_init
from rules import Problem
from sections import App, Database, Destination, Retention, Thresholds, Vault

ROOT: Final = Path(__file__).resolve().parent

_LIMITS: Final[dict[str, dict[str, tuple[int, int]]]] = {
    "thresholds": {"minFreePercent": (1, 90), "maxRepositoryGb": (1, 10_000)},
    "retention": {"daily": (1, 3650), "weekly": (0, 520), "monthly": (0, 120)},
    # S3 moves nothing to STANDARD_IA in its first 30 days (Amazon S3 user guide, lifecycle transitions).
    "vault": {"lockDays": (1, 3650), "coldAfterDays": (30, 3650), "noncurrentDays": (1, 3650)},
}


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
    dns_zone: str
    owns_entry: bool
    entry_record: str
    vpc_range: str
    sizes: Mapping[str, str]
    web_hosts: int
    database: Database
    broker_url: pulumi.Output[str] | None
    release: str
    app: App
    thresholds: Thresholds
    retention: Retention
    vault: Vault
    upload_limit_kib: int
    max_stop_seconds: int
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

    @property
    def broker_size(self) -> str:
        """Droplet size of the broker's own host."""
        return self.sizes.get("broker", pricing.SMALLEST)

    @property
    def tls(self) -> bool:
        """Whether the balancer ends HTTPS: a certificate needs a name in a zone of the provider's."""
        return self.row.balanced and bool(self.dns_zone)

    @property
    def hosts(self) -> int:
        """How many web hosts: one without a balancer, else the stack's own choice or the ladder's."""
        return (self.web_hosts or self.row.hosts) if self.row.balanced else 1


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


def load(deployed: Deployed) -> Settings:
    """The configuration of the current stack, checked against what is deployed.

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
        dns_zone=reader.text("dnsZone"),
        owns_entry=reader.flag("ownsEntry"),
        entry_record=reader.text("entryRecord"),
        vpc_range=reader.text("vpcRange"),
        sizes=reader.mapping("sizes"),
        web_hosts=reader.whole("webHosts"),
        database=reader.record("database", Database),
        broker_url=reader.optional_secret("brokerUrl", _set_secret("brokerUrl")),
        release=reader.text("release"),
        app=reader.record("app", App),
        thresholds=reader.record("thresholds", Thresholds),
        retention=reader.record("retention", Retention),
        vault=reader.record("vault", Vault),
        upload_limit_kib=reader.whole("uploadLimitKib"),
        max_stop_seconds=reader.whole("maxStopSeconds"),
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


def _problems(found: Settings, reader: Reader, deployed: Deployed) -> Iterator[Problem]:
    stack, app = pulumi.get_stack(), found.app
    yield from rules.rung(reader.text("rung"), deployed.rung)
    yield from rules.regions(found.region, found.spaces_region, found.aws_region)
    yield from rules.sizes(found.sizes)
    yield from rules.ssh_from(found.ssh_from)
    yield from rules.vpc_range(found.vpc_range)
    yield from rules.domain(found.domain)
    yield from upper_rules.zone(found.dns_zone, found.domain)
    yield from upper_rules.entry_record(found.entry_record, stack)
    numbers = {"uploadLimitKib": found.upload_limit_kib, "maxStopSeconds": found.max_stop_seconds}
    yield from rules.numbers("", numbers, {"uploadLimitKib": (0, 10_000_000), "maxStopSeconds": (5, 86_400)})
    for section, limits in _LIMITS.items():
        values = dataclasses.asdict(getattr(found, section))
        yield from rules.numbers(section, {camel(name): value for name, value in values.items()}, limits)
    yield from _storage_problems(found, reader)
    yield from alerts.problems(_alert_values(reader), stack)
    yield from rules.public_key("sshPublicKey", found.ssh_public_key, stack)
    yield from rules.public_key("hostPublicKey", found.host_public_key, stack)
    yield from fixed.changed(deployed.fixed, fixed_values(found), stack)
    yield from compose.names(app.project, app.database_user, app.databases, app.secrets, app.health_path)
    yield from compose.media_references(app.media_references)
    yield from compose.compose_file(ROOT / app.path, app.compose_file, app.database_service, app.media_volume)
    yield from rules.env_secrets(app.secrets, _app_secrets(reader), stack)
    yield from _outside_problems(found, reader, deployed)


def _storage_problems(found: Settings, reader: Reader) -> Iterator[Problem]:
    """The vault, the buckets of backups and media, and further destinations."""
    stack = pulumi.get_stack()
    vaults = [name for name, wanted in (("aws", found.aws), ("spaces", found.spaces)) if wanted]
    yield from rules.vault(found.vault.lock_mode, found.vault.lock_days, found.vault.noncurrent_days)
    yield from rules.buckets(pulumi.get_project(), stack, found.bucket_suffix, vaults)
    yield from rules.off_site([*vaults, *(each.name for each in found.destinations)])
    yield from destinations.destinations([(each.name, each.repository) for each in found.destinations])
    addresses = {each.name: each.repository for each in found.destinations}
    yield from destinations.credentials(addresses, _credentials(reader), stack)


def _outside_problems(found: Settings, reader: Reader, deployed: Deployed) -> Iterator[Problem]:
    """What concerns the state outside the host, its hosts and its release."""
    app, plan, address = found.app, found.database, reader.text("brokerUrl")
    if found.row.outside:
        text, services = compose.services(ROOT / app.path, app.compose_file)
        yield from placement.problems(app, text, services, own_broker=not address)
    pools = upper_rules.Pools(plan.pool_size, len(app.databases))
    yield from upper_rules.database(plan.size, plan.standbys, pools, deployed.database_size)
    yield from upper_rules.web_hosts(found.web_hosts, found.row)
    yield from upper_rules.broker_address(address, pulumi.get_stack())
    in_use = deployed.cluster if found.row.outside else ""
    yield from upper_rules.release(found.release, in_use, pulumi.get_stack())


def fixed_values(found: Settings) -> dict[str, str]:
    """The values that a deployed stack cannot change, by key."""
    return {
        "region": found.region,
        "spacesRegion": found.spaces_region,
        "awsRegion": found.aws_region,
        "vpcRange": found.vpc_range,
        "bucketSuffix": found.bucket_suffix,
        "sshPublicKey": found.ssh_public_key.strip(),
        "hostPublicKey": found.host_public_key.strip(),
    }
