"""What a stack says of itself: its outputs, which `tts` and the next run of the program read."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime import get_root_resource

import pricing
from components.backup_vault import BackupVault
from components.balancer import Balancer
from components.entry import Entry
from components.host import Host
from components.offsite import Offsite
from components.spaces_vault import SpacesVault
from components.web_host import WebHost
from hosts import APP_DIRECTORY
from outside import Holding, Outside
from parts import APP_ENV_FILE
from settings import Settings, fixed_values

WITHOUT_AWS: Final = (
    "aws is off. What is lost: an append-only credential and object lock. "
    "Whoever takes over the host can delete the off-site history of Spaces too."
)
BUCKETS_STAY: Final = (
    "backup buckets are protected and retained: `pulumi destroy` leaves them, and everything in them, in place"
)


@dataclass(frozen=True)
class Platform:
    """The parts that the outputs tell of."""

    settings: Settings
    hosts: Sequence[WebHost]
    entry: Entry
    balancer: Balancer | None
    outside: Outside | None
    offsite: Sequence[Offsite]
    vaults: Sequence[BackupVault | SpacesVault]


def tell_of_cluster(state: Outside) -> None:
    """Name the cluster in the stack's outputs as soon as it exists. The engine keeps that also if a later step fails:
    the next run then knows that there is something outside, whichever way it goes.
    """

    def tell(known: dict[str, Any]) -> None:
        root = get_root_resource()
        if isinstance(root, pulumi.ComponentResource):
            root.register_outputs({"database": known})

    pulumi.Output.all(**state.output).apply(tell)


def outputs(platform: Platform, *, url: pulumi.Output[str], rung: pulumi.Output[str]) -> dict[str, Any]:
    """All outputs of the stack."""
    settings, owner = platform.settings, platform.hosts[0]
    broker = platform.outside.broker if platform.outside else None
    return {
        "rung": rung,
        "url": pulumi.Output.concat(url, "/"),
        "entry": _entry(platform),
        "hosts": [
            *(_host(host, "web", owner) for host in platform.hosts),
            *([_host(broker, "broker", owner)] if broker else []),
        ],
        "sshUser": "root",
        "hostPublicKey": settings.host_public_key.strip(),
        "application": {
            "project": settings.app.project,
            "directory": APP_DIRECTORY,
            "envFile": APP_ENV_FILE,
            "composeFile": settings.app.compose_file,
            "healthPath": settings.app.health_path,
        },
        "backup": _backup(platform),
        "database": platform.outside.output if platform.outside else None,
        "media": {"bucket": platform.outside.media.bucket, "region": settings.spaces_region}
        if platform.outside
        else None,
        "mediaKey": _media_key(platform.outside),
        # For the operator alone: these keys are on no host.
        "maintenance": pulumi.Output.secret({vault.offsite.name: vault.maintenance for vault in platform.vaults}),
        "audit": pulumi.Output.secret({vault.offsite.name: vault.audit for vault in platform.vaults}),
        "costPerMonth": _cost(platform),
        "fixed": fixed_values(settings),
        "notes": _notes(platform),
    }


def _media_key(state: Outside | None) -> pulumi.Output[dict[str, str]] | None:
    """The key that the hosts have, too: what is in the bucket is theirs."""
    if state is None:
        return None
    side = state.media.side
    return pulumi.Output.secret(pulumi.Output.all(accessKeyId=side["access_key"], secretAccessKey=side["secret_key"]))


def _entry(platform: Platform) -> dict[str, Any]:
    """Where the world comes in, and the address that stays on every rung."""
    address = platform.balancer.address if platform.balancer else platform.entry.address
    found = {"kind": str(platform.settings.row.entry), "address": address, "reservedIp": platform.entry.address}
    return found | ({"balancer": platform.balancer.id} if platform.balancer else {})


def _host(host: Host, role: str, owner: WebHost) -> dict[str, Any]:
    return {
        "name": host.name,
        "role": role,
        "address": host.droplet.ipv4_address,
        "privateAddress": host.droplet.ipv4_address_private,
        "size": host.size,
        "dropletId": host.droplet.id,
        "backupOwner": host is owner,
    }


def _backup(platform: Platform) -> dict[str, Any]:
    settings = platform.settings
    vault = settings.vault
    return {
        "owner": platform.hosts[0].name,
        "offsite": [
            {"name": each.name, "bucket": each.bucket, "region": each.region, "repository": each.repository}
            for each in platform.offsite
        ],
        "retention": dataclasses.asdict(settings.retention),
        "lock": {"mode": vault.lock_mode, "days": vault.lock_days} if settings.aws else None,
    }


def _cost(platform: Platform) -> dict[str, Any]:
    settings, state = platform.settings, platform.outside
    owner, *others = platform.hosts
    broker = [state.broker] if state and state.broker else []
    bill = pricing.Bill(
        imaged=((owner.name, owner.size),),
        plain=tuple((host.name, host.size) for host in (*others, *broker)),
        database=settings.database.size,
        nodes=1 + settings.database.standbys if state else 0,
        balancer=platform.balancer is not None,
        spaces=settings.spaces or state is not None,
    )
    found = pricing.estimate(bill)
    items = [dataclasses.asdict(item) for item in found.items]
    return {"total": found.total, "items": items, "priceDate": found.price_date}


def _notes(platform: Platform) -> list[str]:
    settings, notes = platform.settings, [BUCKETS_STAY]
    if not settings.aws:
        pulumi.warn(WITHOUT_AWS)
        notes.append(WITHOUT_AWS)
    else:
        notes.append("AWS S3 is billed by what is stored and is not part of the estimate")
    if settings.domain and not settings.dns_zone:
        notes.append(f"point an A record of {settings.domain} at the entry's address")
    if platform.outside and platform.outside.why is Holding.HELD:
        notes.append("database cluster, media bucket and broker host are held as they were: tts release-old")
    return notes
