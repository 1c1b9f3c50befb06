"""The private network, what may come in from outside, and the key that opens the hosts."""

from dataclasses import dataclass
from typing import Final

import pulumi_digitalocean as digitalocean

from components.base import Component

EVERYWHERE: Final = ("0.0.0.0/0", "::/0")
WEB_PORTS: Final = ("80", "443")


@dataclass(frozen=True)
class NetworkArgs:
    """`web_tag` joins droplets to the firewall, so that a further host is behind it from its first second."""

    region: str
    ip_range: str
    ssh_from: tuple[str, ...]
    ssh_public_key: str
    web_tag: str


class Network(Component):
    """VPC, tag, firewall and SSH key. Give the hosts `vpc_id`, `tag` and `ssh_fingerprint`."""

    def __init__(self, name: str, args: NetworkArgs) -> None:
        super().__init__("network:Network", name)
        vpc = digitalocean.Vpc("vpc", region=args.region, ip_range=args.ip_range, opts=self.stateful())
        web = digitalocean.Tag("web", name=args.web_tag, opts=self.child())
        digitalocean.Firewall(
            "web", tags=[web.name], inbound_rules=_inbound(args.ssh_from), outbound_rules=_outbound(), opts=self.child()
        )
        key = digitalocean.SshKey("operator", public_key=args.ssh_public_key.strip(), opts=self.child())
        self.vpc_id = vpc.id
        self.tag = web.name
        self.ssh_fingerprint = key.fingerprint
        self.finish(vpc_id=self.vpc_id, tag=self.tag)


def _inbound(ssh_from: tuple[str, ...]) -> list[digitalocean.FirewallInboundRuleArgs]:
    web = [
        digitalocean.FirewallInboundRuleArgs(protocol="tcp", port_range=port, source_addresses=list(EVERYWHERE))
        for port in WEB_PORTS
    ]
    ssh = digitalocean.FirewallInboundRuleArgs(protocol="tcp", port_range="22", source_addresses=list(ssh_from))
    return [*web, ssh]


def _outbound() -> list[digitalocean.FirewallOutboundRuleArgs]:
    ports = [
        digitalocean.FirewallOutboundRuleArgs(
            protocol=protocol, port_range="all", destination_addresses=list(EVERYWHERE)
        )
        for protocol in ("tcp", "udp")
    ]
    return [*ports, digitalocean.FirewallOutboundRuleArgs(protocol="icmp", destination_addresses=list(EVERYWHERE))]
