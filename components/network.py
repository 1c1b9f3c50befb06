"""The private network, the wall around the web hosts, and the key that opens the hosts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
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
    """VPC, tag, firewall and SSH key. Give the hosts `vpc_id`, `tag` and `ssh_fingerprint`.

    The firewall lets nothing in but SSH: `WebPorts` opens the rest, to those that may have it.
    """

    def __init__(self, name: str, args: NetworkArgs) -> None:
        super().__init__("network:Network", name)
        vpc = digitalocean.Vpc("vpc", region=args.region, ip_range=args.ip_range, opts=self.stateful())
        web = digitalocean.Tag("web", name=args.web_tag, opts=self.child())
        digitalocean.Firewall(
            "web",
            tags=[web.name],
            inbound_rules=[ssh(args.ssh_from)],
            outbound_rules=outbound(),
            opts=self.child(),
        )
        key = digitalocean.SshKey("operator", public_key=args.ssh_public_key.strip(), opts=self.child())
        self.vpc_id = vpc.id
        self.tag = web.name
        self.ssh_fingerprint = key.fingerprint
        self.finish(vpc_id=self.vpc_id, tag=self.tag)


@dataclass(frozen=True)
class WebPortsArgs:
    """Who may reach the web ports of the hosts with `tag`: the whole world, or the `balancer` of that id alone.

    `before_update` is asked before the ports close to the world; if it raises, they stay open.
    """

    tag: pulumi.Input[str]
    balancer: pulumi.Output[str] | None
    before_update: pulumi.ResourceHook
    after: Sequence[pulumi.Resource] = ()


class WebPorts(Component):
    """The firewall that opens the web ports. What several firewalls allow adds up."""

    def __init__(self, name: str, args: WebPortsArgs) -> None:
        super().__init__("web_ports:WebPorts", name)
        if args.balancer is None:
            rules = [_from_everywhere(port) for port in WEB_PORTS]
        else:
            rules = [_from_balancer(args.balancer)]
        wall = digitalocean.Firewall(
            name,
            tags=[args.tag],
            inbound_rules=rules,
            opts=self.child(
                depends_on=list(args.after),
                hooks=pulumi.ResourceHookBinding(before_update=[args.before_update]),
            ),
        )
        self.done: pulumi.Output[str] = wall.id
        self.finish()


def _from_everywhere(port: str) -> digitalocean.FirewallInboundRuleArgs:
    return digitalocean.FirewallInboundRuleArgs(protocol="tcp", port_range=port, source_addresses=list(EVERYWHERE))


def _from_balancer(balancer: pulumi.Input[str]) -> digitalocean.FirewallInboundRuleArgs:
    """TLS ends at the balancer, which speaks HTTP to the hosts."""
    return digitalocean.FirewallInboundRuleArgs(
        protocol="tcp", port_range=WEB_PORTS[0], source_load_balancer_uids=[balancer]
    )


def ssh(ssh_from: tuple[str, ...]) -> digitalocean.FirewallInboundRuleArgs:
    """The way in for the operator."""
    return digitalocean.FirewallInboundRuleArgs(protocol="tcp", port_range="22", source_addresses=list(ssh_from))


def outbound() -> list[digitalocean.FirewallOutboundRuleArgs]:
    """Hosts may reach everything."""
    ports = [
        digitalocean.FirewallOutboundRuleArgs(
            protocol=protocol, port_range="all", destination_addresses=list(EVERYWHERE)
        )
        for protocol in ("tcp", "udp")
    ]
    return [*ports, digitalocean.FirewallOutboundRuleArgs(protocol="icmp", destination_addresses=list(EVERYWHERE))]
