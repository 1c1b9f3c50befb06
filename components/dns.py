"""The record under which the world finds the stack, in a zone that somebody else keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_digitalocean as digitalocean

from components.base import Component

TTL_SECONDS: Final = 60
"""How long an old answer lives on after a change: short, because it is waited for."""


@dataclass(frozen=True)
class RecordArgs:
    """`before` is asked before the record is made or leads elsewhere; if it raises, it leads to where it led.

    `adopt` is the number of a record that is there already and is taken over as it is.
    """

    zone: str
    domain: str
    address: pulumi.Output[str]
    adopt: str
    before: pulumi.ResourceHook
    after: Sequence[pulumi.Resource]


class Record(Component):
    """The one A record of the domain. It keeps its identity on every rung; only its value changes in place.

    A stack that lets go of it leaves it where it is: another one has it by then, and the world never misses it.
    """

    def __init__(self, name: str, args: RecordArgs) -> None:
        super().__init__("dns:Record", name)
        record = digitalocean.DnsRecord(
            name,
            domain=args.zone,
            type="A",
            name=relative(args.domain, args.zone),
            value=args.address,
            ttl=TTL_SECONDS,
            opts=self.child(
                import_=f"{args.zone},{args.adopt}" if args.adopt else None,
                retain_on_delete=True,
                depends_on=list(args.after),
                hooks=pulumi.ResourceHookBinding(before_create=[args.before], before_update=[args.before]),
            ),
        )
        self.done: pulumi.Output[str] = record.id
        self.finish(domain=args.domain)


def relative(domain: str, zone: str) -> str:
    """The record's name as the provider wants it: without the zone, `@` for the zone itself."""
    return "@" if domain == zone else domain.removesuffix(f".{zone}")
