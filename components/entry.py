"""The address under which the world knows the stack, independent of the host behind it."""

from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

from components.base import Component


@dataclass(frozen=True)
class EntryArgs:
    """`droplet_id` is the host that answers; another one moves the address in place."""

    region: str
    droplet_id: pulumi.Output[str]


class Entry(Component):
    """A reserved IP. It stays through a replaced host and, on the rungs with a balancer, as the way back."""

    def __init__(self, name: str, args: EntryArgs) -> None:
        super().__init__("entry:Entry", name)
        reserved = digitalocean.ReservedIp(
            name, region=args.region, droplet_id=args.droplet_id.apply(int), opts=self.stateful()
        )
        self.address: pulumi.Output[str] = reserved.ip_address
        self.urn_in_project: pulumi.Output[str] = reserved.reserved_ip_urn
        self.finish(address=self.address)
