"""The whole platform on one screen: which components there are, in which order, and what the stack says of itself."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi

import naming
import pricing
from components.application import Application, ApplicationArgs
from components.backup_jobs import BackupJobs, BackupJobsArgs, DatabaseSource, Keep
from components.backup_vault import BackupVault, BackupVaultArgs
from components.bundle import Bundle, pack
from components.entry import Entry, EntryArgs
from components.network import Network, NetworkArgs
from components.offsite import Offsite, further
from components.project import Project, ProjectArgs
from components.spaces_vault import SpacesVault, SpacesVaultArgs
from components.web_host import WebHost, WebHostArgs
from guards import hooks
from reading import api_access
from settings import ROOT, Settings

APP_DIRECTORY, APP_ENV_FILE = "/srv/app", "/etc/tts/app.env"
WITHOUT_AWS = (
    "aws is off. What is lost: an append-only credential and object lock. "
    "Whoever takes over the host can delete the off-site history of Spaces too."
)
BUCKETS_STAY = (
    "backup buckets are protected and retained: `pulumi destroy` leaves them, and everything in them, in place"
)


def build(settings: Settings) -> dict[str, Any]:
    """Declare everything that `settings` asks for and return the stack's outputs."""
    scripts, source = _pack("host", ROOT / "scripts/host"), _pack("app", ROOT / settings.app.path)
    network = _network(settings)
    hosts = [_host(f"web-{number}", settings, network, scripts) for number in range(1, settings.row.hosts + 1)]
    owner = hosts[0]
    entry = Entry("entry", EntryArgs(region=settings.region, droplet_id=owner.droplet.id))
    aws = _aws_vault(settings) if settings.aws else None
    spaces = _spaces_vault(settings) if settings.spaces else None
    vaults = [vault for vault in (aws, spaces) if vault]
    public_host = settings.domain or entry.address
    offsite = [*(vault.offsite for vault in vaults), *_further(settings)]
    applications = [_application(host, settings, public_host, scripts, source) for host in hosts]
    jobs = BackupJobs("backup-jobs", _jobs(settings, owner, applications[0], scripts, offsite))
    _project(settings, hosts, entry, spaces)
    return {
        # Waits for the last step: a climb that fails half-way leaves the stack on the rung it came from.
        "rung": jobs.installed.apply(lambda _: str(settings.rung)),
        "url": pulumi.Output.concat("http://", public_host, "/"),
        "entry": {"kind": str(settings.row.entry), "address": entry.address},
        "hosts": [_host_output(host, owner) for host in hosts],
        "sshUser": "root",
        "hostPublicKey": settings.host_public_key.strip(),
        "application": {
            "project": settings.app.project,
            "directory": APP_DIRECTORY,
            "envFile": APP_ENV_FILE,
            "composeFile": settings.app.compose_file,
            "healthPath": settings.app.health_path,
        },
        "backup": _backup_output(settings, owner, offsite),
        # For the operator alone: these keys are on no host.
        "maintenance": pulumi.Output.secret({vault.offsite.name: vault.maintenance for vault in vaults}),
        "audit": pulumi.Output.secret({vault.offsite.name: vault.audit for vault in vaults}),
        "costPerMonth": _cost(settings, hosts),
        "notes": _notes(settings),
    }


def _pack(label: str, folder: Path) -> Bundle:
    local = Path(os.environ.get("TTS_LOCAL_DIR") or ROOT / ".local")
    return pack(label, folder, local / "bundles")


def _network(settings: Settings) -> Network:
    return Network(
        "network",
        NetworkArgs(
            region=settings.region,
            ip_range=settings.vpc_range,
            ssh_from=settings.ssh_from,
            ssh_public_key=settings.ssh_public_key,
            web_tag=naming.tag(pulumi.get_project(), pulumi.get_stack(), "web"),
        ),
    )


def _host(name: str, settings: Settings, network: Network, scripts: Bundle) -> WebHost:
    access = hooks.Access(settings.ssh_private_key, settings.host_public_key, *api_access())
    return WebHost(
        name,
        WebHostArgs(
            region=settings.region,
            size=settings.web_size,
            vpc_id=network.vpc_id,
            tags=(network.tag,),
            ssh_fingerprint=network.ssh_fingerprint,
            ssh_private_key=settings.ssh_private_key,
            host_private_key=settings.host_private_key,
            host_public_key=settings.host_public_key,
            scripts=scripts,
            before_update=hooks.before_resize(name, access, str(settings.rung)),
        ),
    )


def _aws_vault(settings: Settings) -> BackupVault:
    bucket = naming.bucket(pulumi.get_project(), pulumi.get_stack(), "aws", settings.bucket_suffix)
    vault = dataclasses.asdict(settings.vault)
    return BackupVault("aws", BackupVaultArgs(bucket=bucket, region=settings.aws_region, **vault))


def _spaces_vault(settings: Settings) -> SpacesVault:
    bucket = naming.bucket(pulumi.get_project(), pulumi.get_stack(), "spaces", settings.bucket_suffix)
    args = SpacesVaultArgs(bucket=bucket, region=settings.spaces_region, noncurrent_days=settings.vault.noncurrent_days)
    return SpacesVault("spaces", args)


def _further(settings: Settings) -> list[Offsite]:
    known = settings.destination_credentials
    return [further(each.name, each.repository, known.get(each.name)) for each in settings.destinations]


def _application(
    host: WebHost, settings: Settings, public_host: pulumi.Input[str], scripts: Bundle, source: Bundle
) -> Application:
    row = settings.row
    ladder = {
        "WORKFLOW_CONCURRENCY": str(row.workflow_concurrency),
        "NOTIFICATION_CONCURRENCY": str(row.notification_concurrency),
        "IMAGE_TAG": "1",
    }
    environment = pulumi.Output.all(settings.app_secrets, public_host).apply(
        lambda known: {**known[0], **ladder, "PUBLIC_HOST": known[1]}
    )
    args = ApplicationArgs(
        host=host.access,
        host_ready=host.ready,
        scripts=scripts,
        source=source,
        compose_project=settings.app.project,
        compose_file=settings.app.compose_file,
        directory=APP_DIRECTORY,
        environment=environment,
    )
    return Application(f"{host.name}-app", args)


def _jobs(
    settings: Settings,
    owner: WebHost,
    application: Application,
    scripts: Bundle,
    offsite: Sequence[Offsite],
) -> BackupJobsArgs:
    app = settings.app
    keep = {**dataclasses.asdict(settings.retention), **dataclasses.asdict(settings.thresholds)}
    return BackupJobsArgs(
        host=owner.access,
        application_running=application.running,
        scripts=scripts,
        stack=pulumi.get_stack(),
        owner=owner.name,
        compose_project=app.project,
        app_directory=APP_DIRECTORY,
        app_env_file=APP_ENV_FILE,
        media_volume=app.media_volume,
        media_references=app.media_references,
        database=DatabaseSource("container", app.database_service, app.database_user, app.databases),
        keep=Keep(**keep, upload_limit_kib=settings.upload_limit_kib),
        offsite=offsite,
        alerts=settings.alerts,
        passphrase=settings.backup_passphrase,
        recovery_key=settings.recovery_key,
    )


def _project(settings: Settings, hosts: Sequence[WebHost], entry: Entry, spaces: SpacesVault | None) -> None:
    members = [host.droplet.droplet_urn for host in hosts] + [entry.urn_in_project]
    if spaces:
        members.append(spaces.urn_in_project)
    title = naming.project_title(pulumi.get_project(), pulumi.get_stack())
    Project("project", ProjectArgs(title, f"{settings.app.project}, stack {pulumi.get_stack()}", members))


def _host_output(host: WebHost, owner: WebHost) -> dict[str, Any]:
    return {
        "name": host.name,
        "address": host.droplet.ipv4_address,
        "privateAddress": host.droplet.ipv4_address_private,
        "size": host.size,
        "dropletId": host.droplet.id,
        "backupOwner": host is owner,
    }


def _backup_output(settings: Settings, owner: WebHost, offsite: Sequence[Offsite]) -> dict[str, Any]:
    vault = settings.vault
    return {
        "owner": owner.name,
        "offsite": [
            {"name": each.name, "bucket": each.bucket, "region": each.region, "repository": each.repository}
            for each in offsite
        ],
        "retention": dataclasses.asdict(settings.retention),
        "lock": {"mode": vault.lock_mode, "days": vault.lock_days} if settings.aws else None,
    }


def _cost(settings: Settings, hosts: Sequence[WebHost]) -> dict[str, Any]:
    found = pricing.estimate([(host.name, host.size) for host in hosts], spaces=settings.spaces)
    items = [dataclasses.asdict(item) for item in found.items]
    return {"total": found.total, "items": items, "priceDate": found.price_date}


def _notes(settings: Settings) -> list[str]:
    notes = [BUCKETS_STAY]
    if not settings.aws:
        pulumi.warn(WITHOUT_AWS)
        notes.append(WITHOUT_AWS)
    else:
        notes.append("AWS S3 is billed by what is stored and is not part of the estimate")
    if settings.domain:
        notes.append(f"point an A record of {settings.domain} at the entry's address")
    return notes
