"""The parts of the platform: each component's arguments, as they follow from the settings."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import pulumi

import naming
from components.application import Application, ApplicationArgs, State, Trust
from components.backup_jobs import BackupJobsArgs, DatabaseSource, HostTools, HostToolsArgs, Keep
from components.backup_vault import BackupVault, BackupVaultArgs
from components.balancer import Balancer
from components.bundle import Bundle
from components.entry import Entry
from components.host import Host
from components.offsite import Offsite, further
from components.project import ProjectArgs
from components.spaces_vault import SpacesVault, SpacesVaultArgs
from components.web_host import WebHost
from hosts import APP_DIRECTORY, DRAIN_SECONDS, Bundles
from outside import CA_FILE, Outside
from settings import Settings

APP_ENV_FILE: Final = "/etc/tts/app.env"
DRAIN_FOLDER: Final = "/var/lib/tts/drain"
"""Where a host puts up the sign by which it leaves the balancer; the application's entry looks there."""
MOVE_MINUTES: Final = 600
"""A move may copy for hours while the application runs; its stop is what is limited."""


def aws_vault(settings: Settings) -> BackupVault:
    """The primary off-site copy."""
    bucket = naming.bucket(pulumi.get_project(), pulumi.get_stack(), "aws", settings.bucket_suffix)
    vault = dataclasses.asdict(settings.vault)
    return BackupVault("aws", BackupVaultArgs(bucket=bucket, region=settings.aws_region, **vault))


def spaces_vault(settings: Settings) -> SpacesVault:
    """The second off-site copy."""
    bucket = naming.bucket(pulumi.get_project(), pulumi.get_stack(), "spaces", settings.bucket_suffix)
    args = SpacesVaultArgs(bucket=bucket, region=settings.spaces_region, noncurrent_days=settings.vault.noncurrent_days)
    return SpacesVault("spaces", args)


def further_destinations(settings: Settings) -> list[Offsite]:
    """Off-site copies that somebody else keeps."""
    known = settings.destination_credentials
    return [further(each.name, each.repository, known.get(each.name)) for each in settings.destinations]


def applications(
    settings: Settings,
    hosts: Sequence[WebHost],
    public_host: pulumi.Input[str],
    files: Bundles,
    outside: Outside | None,
) -> list[Application]:
    """The application on every web host, one after the other: the first migrates, and a bad release stops there."""
    made: list[Application] = []
    ready = outside.ready if outside else []
    for each in hosts:
        args = ApplicationArgs(
            host=each.access,
            after=[each.ready, *ready, *(earlier.running for earlier in made[-1:])],
            scripts=files.scripts,
            source=files.source,
            compose_project=settings.app.project,
            compose_file=settings.app.compose_file,
            directory=APP_DIRECTORY,
            environment=_environment(settings, public_host, outside, first=not made),
            state=_state(settings, outside),
            trust=Trust(CA_FILE, outside.postgres.side["ca"]) if outside else None,
            drain_seconds=DRAIN_SECONDS if settings.row.balanced else None,
        )
        made.append(Application(f"{each.name}-app", args))
    return made


def host_tools(settings: Settings, hosts: Sequence[tuple[Host, pulumi.Resource]], scripts: Bundle) -> list[HostTools]:
    """The commands of every host that backs nothing up, once its application runs."""

    def args(host: Host, running: pulumi.Resource) -> HostToolsArgs:
        return HostToolsArgs(
            host=host.access,
            after=[running],
            scripts=scripts,
            stack=pulumi.get_stack(),
            name=host.name,
            compose_project=settings.app.project,
            app_directory=APP_DIRECTORY,
            app_env_file=APP_ENV_FILE,
        )

    return [HostTools(f"{host.name}-tools", args(host, running)) for host, running in hosts]


def _environment(
    settings: Settings, public_host: pulumi.Input[str], outside: Outside | None, *, first: bool
) -> pulumi.Output[dict[str, str]]:
    row, app = settings.row, settings.app
    ladder = {
        "WORKFLOW_CONCURRENCY": str(row.workflow_concurrency),
        "NOTIFICATION_CONCURRENCY": str(row.notification_concurrency),
        "IMAGE_TAG": "1",
    }
    # The same on every rung, so that nothing starts anew when a balancer comes to stand before the host.
    if app.drain_variable:
        ladder[app.drain_variable] = DRAIN_FOLDER
    if app.migrations_variable:
        ladder[app.migrations_variable] = "1" if first else "0"
    nowhere = pulumi.Output.from_input(dict[str, str]())
    elsewhere = outside.environment if outside and row.outside else nowhere

    def merged(known: Sequence[Any]) -> dict[str, str]:
        secrets, host, state = known
        return {**secrets, **ladder, "PUBLIC_HOST": host, **state}

    return pulumi.Output.all(settings.app_secrets, public_host, elsewhere).apply(merged)


def _state(settings: Settings, outside: Outside | None) -> State:
    app = settings.app
    here: dict[str, Any] = {
        "database": {"service": app.database_service, "user": app.database_user},
        "media": {"volume": app.media_volume},
    }
    if app.broker_service:
        here["broker"] = {"service": app.broker_service}
    sides: dict[str, Any] = {"host": here}
    if outside:
        sides["outside"] = {**outside.sides, "max_stop_seconds": settings.max_stop_seconds}
    where = "outside" if settings.row.outside else "host"
    return State(where, pulumi.Output.secret(pulumi.Output.from_input(sides)), MOVE_MINUTES if outside else 30)


def jobs(
    settings: Settings,
    owner: WebHost,
    after: Sequence[pulumi.Resource],
    scripts: Bundle,
    offsite: Sequence[Offsite],
    outside: Outside | None,
) -> BackupJobsArgs:
    """The backup jobs, for where the data are on this rung."""
    app = settings.app
    keep = {**dataclasses.asdict(settings.retention), **dataclasses.asdict(settings.thresholds)}
    return BackupJobsArgs(
        host=owner.access,
        after=after,
        scripts=scripts,
        stack=pulumi.get_stack(),
        owner=owner.name,
        compose_project=app.project,
        app_directory=APP_DIRECTORY,
        app_env_file=APP_ENV_FILE,
        media_volume=app.media_volume,
        media_references=app.media_references,
        broker_service="" if settings.row.outside else app.broker_service,
        database=DatabaseSource(app.database_service, app.database_user, app.databases),
        outside=outside.backed_up if outside and settings.row.outside else None,
        keep=Keep(**keep, upload_limit_kib=settings.upload_limit_kib),
        offsite=offsite,
        alerts=settings.alerts,
        passphrase=settings.backup_passphrase,
        recovery_key=settings.recovery_key,
    )


def project(
    settings: Settings,
    hosts: Sequence[WebHost],
    entry: Entry,
    spaces: SpacesVault | None,
    outside: Outside | None,
    balancer: Balancer | None,
) -> ProjectArgs:
    """Everything that the console groups."""
    members: list[pulumi.Input[str]] = [host.droplet.droplet_urn for host in hosts]
    members.append(entry.urn_in_project)
    members += [each.urn_in_project for each in (spaces, balancer) if each]
    if outside:
        members += [outside.postgres.cluster.cluster_urn, outside.media.urn_in_project]
        members += [outside.broker.droplet.droplet_urn] if outside.broker else []
    title = naming.project_title(pulumi.get_project(), pulumi.get_stack())
    return ProjectArgs(title, f"{settings.app.project}, stack {pulumi.get_stack()}", members)
