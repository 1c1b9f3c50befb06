"""The hosts and the network they stand in, as they follow from the settings."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi

import naming
from components.balancer import CHECK_SECONDS, UNHEALTHY_AFTER
from components.bundle import Bundle, pack
from components.dns import TTL_SECONDS
from components.host import Holds, HostArgs
from components.network import Network, NetworkArgs
from components.web_host import WebHost
from guards import hooks
from reading import api_access
from settings import ROOT, Settings

APP_DIRECTORY: Final = "/srv/app"
DRAIN_SECONDS: Final = CHECK_SECONDS * (UNHEALTHY_AFTER + 1)
"""Until a balancer has seen that a host wants to leave it, with one check to spare."""


@dataclass(frozen=True)
class Bundles:
    """What is copied to hosts: our scripts, and the application."""

    scripts: Bundle
    source: Bundle


def bundles(settings: Settings) -> Bundles:
    """Pack both trees into the local folder."""
    local = Path(os.environ.get("TTS_LOCAL_DIR") or ROOT / ".local") / "bundles"
    return Bundles(pack("host", ROOT / "scripts/host", local), pack("app", ROOT / settings.app.path, local))


def role_tag(role: str) -> str:
    """The tag of the droplets of one role."""
    return naming.tag(pulumi.get_project(), pulumi.get_stack(), role)


def passage(settings: Settings) -> hooks.Entry:
    """How the guards of the entry ask it."""
    ttl = TTL_SECONDS if settings.dns_zone else 0
    return hooks.Entry(settings.domain, ttl, settings.app.health_path, tls=settings.tls)


def network(settings: Settings) -> Network:
    """VPC, web firewall, key."""
    return Network(
        "network",
        NetworkArgs(
            region=settings.region,
            ip_range=settings.vpc_range,
            ssh_from=settings.ssh_from,
            ssh_public_key=settings.ssh_public_key,
            web_tag=role_tag("web"),
        ),
    )


@dataclass(frozen=True)
class Role:
    """In what hosts differ. See `HostArgs` for `holds` and `before_delete`."""

    size: str
    tag: pulumi.Input[str]
    holds: Holds
    before_delete: pulumi.ResourceHook | None = None


def web_hosts(settings: Settings, network: Network, scripts: Bundle) -> list[WebHost]:
    """The first one owns the data while they are on a host; no other ever holds any."""
    # Registered on every rung: the engine looks for it by name when a host is no longer declared.
    leaves = hooks.before_host_leaves(_access(settings), DRAIN_SECONDS if settings.row.balanced else None)
    first = Role(settings.web_size, network.tag, Holds.DATA)
    further = Role(settings.web_size, network.tag, Holds.NOTHING, leaves)
    roles = {f"web-{number}": further if number > 1 else first for number in range(1, settings.hosts + 1)}
    return [WebHost(name, host(name, settings, network, scripts, role)) for name, role in roles.items()]


def host(name: str, settings: Settings, network: Network, scripts: Bundle, role: Role) -> HostArgs:
    """Any droplet of the stack."""
    holds_data = role.holds is Holds.DATA
    return HostArgs(
        region=settings.region,
        size=role.size,
        vpc_id=network.vpc_id,
        tags=(role.tag,),
        ssh_fingerprint=network.ssh_fingerprint,
        ssh_private_key=settings.ssh_private_key,
        host_private_key=settings.host_private_key,
        host_public_key=settings.host_public_key,
        scripts=scripts,
        before_update=hooks.before_resize(name, _access(settings), str(settings.rung), holds_data=holds_data),
        before_delete=role.before_delete,
        holds=role.holds,
    )


def _access(settings: Settings) -> hooks.Access:
    """How guards get in."""
    return hooks.Access(settings.ssh_private_key, settings.host_public_key, *api_access())
