"""The message broker's own host, which only the web hosts reach."""

from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

from components.host import Host, HostArgs
from components.network import outbound, ssh


@dataclass(frozen=True)
class BrokerArgs:
    """`clients` is the tag of the hosts that may use `port`; `tag` is the broker's own."""

    host: HostArgs
    tag: str
    clients: pulumi.Input[str]
    port: int
    ssh_from: tuple[str, ...]


class Broker(Host):
    """A droplet that runs one service of the application's Compose file, behind a firewall of its own."""

    def __init__(self, name: str, args: BrokerArgs) -> None:
        super().__init__("broker:Broker", name, args.host)
        broker = digitalocean.FirewallInboundRuleArgs(
            protocol="tcp", port_range=str(args.port), source_tags=[args.clients]
        )
        digitalocean.Firewall(
            name,
            tags=[args.tag],
            inbound_rules=[broker, ssh(args.ssh_from)],
            outbound_rules=outbound(),
            opts=self.child(),
        )
        self.address: pulumi.Output[str] = self.droplet.ipv4_address_private
        self.finish(address=self.address)
