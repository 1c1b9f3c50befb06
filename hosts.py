"""The hosts and the network they stand in, as they follow from the settings."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi

import naming
from components.bundle import Bundle, pack
from components.dns import TTL_SECONDS
from components.host import Holds, HostArgs
from components.network import Network, NetworkArgs
from components.web_host import WebHost
from guards import hooks
from reading import api_access
from settings import ROOT, Settings

APP_DIRECTORY: Final = "/srv/app"


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


def web_hosts(settings: Settings, network: Network, scripts: Bundle) -> list[WebHost]:
    """The first one owns the data while they are on a host; no other ever holds any."""
    names = [f"web-{number}" for number in range(1, settings.hosts + 1)]
    holds = dict.fromkeys(names, Holds.NOTHING) | {names[0]: Holds.DATA}
    size, tag = settings.web_size, network.tag

    def args(name: str) -> HostArgs:
        return host(name, settings, network, scripts, size=size, tag=tag, holds=holds[name])

    return [WebHost(name, args(name)) for name in names]


def host(
    name: str,
    settings: Settings,
    network: Network,
    scripts: Bundle,
    *,
    size: str,
    tag: pulumi.Input[str],
    holds: Holds,
) -> HostArgs:
    """Any droplet of the stack."""
    access = hooks.Access(settings.ssh_private_key, settings.host_public_key, *api_access())
    return HostArgs(
        region=settings.region,
        size=size,
        vpc_id=network.vpc_id,
        tags=(tag,),
        ssh_fingerprint=network.ssh_fingerprint,
        ssh_private_key=settings.ssh_private_key,
        host_private_key=settings.host_private_key,
        host_public_key=settings.host_public_key,
        scripts=scripts,
        before_update=hooks.before_resize(name, access, str(settings.rung), holds_data=holds is Holds.DATA),
        holds=holds,
    )
