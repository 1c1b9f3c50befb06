"""Whether one stack can take another's place, and what would lead the world there. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from ops.digitalocean import DigitalOcean
from ops.engine import Engine
from ops.errors import ExitCode, OpsError
from ops.stack import Outputs, deploy_command, parse_outputs
from ops.vault import read_keys

if TYPE_CHECKING:
    from pathlib import Path

    from ops.digitalocean import Record
    from ops.engine import ConfigValue

RESERVED_IP: Final = "reserved_ip"
_RECORD = "digitalocean:index/dnsRecord:DnsRecord"


@dataclass(frozen=True)
class Side:
    """One of the two stacks, as its state and its configuration tell of it."""

    engine: Engine
    stack: str
    outputs: Outputs
    config: dict[str, ConfigValue]

    @classmethod
    def of(cls, stack: str, directory: Path) -> Side:
        """Read a stack. Raises OpsError when it is not deployed."""
        engine = Engine(stack, directory)
        return cls(engine, stack, parse_outputs(stack, engine.outputs()), engine.config())

    def text(self, key: str) -> str:
        """A plain value of the configuration, empty when it is not set."""
        found = self.config.get(key)
        return (found.value or "") if found else ""

    @property
    def owns(self) -> bool:
        """Whether the record of the domain is this stack's."""
        return self.text("ownsEntry") != "false"


class Plan(msgspec.Struct, frozen=True):
    """What is going to happen. A person moves the entry where neither a record nor an address can be moved.

    `record` is the number of the record that moves. `exchanged` says that `leads_from` and `leads_to` are reserved IPs
    that change places.
    """

    source: str
    target: str
    source_rung: str
    target_rung: str
    domain: str
    zone: str
    record: int | None
    leads_from: str
    leads_to: str
    repositories: tuple[str, ...]
    exchanged: bool = False


def check(source: Side, target: Side) -> Plan:
    """Look at both stacks, and say what would be done.

    Raises:
        OpsError: it cannot be done; the message says what to put right.
    """
    if source.stack == target.stack:
        raise OpsError("A stack cannot take its own place.", fix="Name two stacks.", code=ExitCode.USAGE)
    domain, zone = (_same(source, target, key) for key in ("domain", "dnsZone"))
    record = _record(source, target, domain, zone) if zone else None
    keys = read_keys(source.engine, "audit")
    repositories = tuple(each.name for each in source.outputs.backup.offsite if each.name in keys)
    if not repositories:
        raise OpsError(
            f"Stack {source.stack} has no off-site repository of its own that {target.stack} could read.",
            fix=f"Set aws or spaces: {deploy_command(source.stack)}",
            code=ExitCode.CONFIG,
        )
    return Plan(
        source=source.stack,
        target=target.stack,
        source_rung=source.outputs.rung,
        target_rung=target.outputs.rung,
        domain=domain,
        zone=zone,
        record=record.id if record else None,
        leads_from=source.outputs.entry.address,
        leads_to=target.outputs.entry.address,
        repositories=repositories,
        exchanged=not zone and _exchangeable(source, target),
    )


def _same(source: Side, target: Side, key: str) -> str:
    """The value that both stacks must have. Raises OpsError where they differ."""
    values = [side.text(key) for side in (source, target)]
    if values[0] != values[1]:
        raise OpsError(
            f"{source.stack} and {target.stack} differ in {key}: {values[0] or 'none'} and {values[1] or 'none'}.",
            fix=f"Both are to be reached under one name: pulumi config set {key} {values[0]} --stack {target.stack}",
            code=ExitCode.CONFIG,
        )
    return values[0]


def _record(source: Side, target: Side, domain: str, zone: str) -> Record:
    """The one record of the domain, owned by the source alone. Raises OpsError when it is not so."""
    if not source.owns or target.owns:
        wrong, word = (target, "false") if target.owns and source.owns else (source, "true")
        raise OpsError(
            f"The record of {domain} must be owned by {source.stack} and not by {target.stack}.",
            where=f"ownsEntry of {source.stack} is {source.owns}, of {target.stack} {target.owns}".lower(),
            fix=f"pulumi config set ownsEntry {word} --stack {wrong.stack}, then {deploy_command(wrong.stack)}."
            " To come back from a promotion: add --back",
            code=ExitCode.CONFIG,
        )
    if not _kept(source.engine):
        raise OpsError(
            f"The state of {source.stack} does not say yet that the record stays when it is let go.",
            fix=f"Deploy it with the program of this checkout: {deploy_command(source.stack)}",
            code=ExitCode.CONFIG,
        )
    found = DigitalOcean.of(source.engine).records(zone, domain)
    if len(found) != 1 or found[0].data != source.outputs.entry.address:
        told = ", ".join(each.data for each in found) or "nowhere"
        raise OpsError(
            f"{domain} leads to {told}; it must lead to {source.outputs.entry.address} of {source.stack} alone.",
            fix=f"Mend the record: pulumi refresh --stack {source.stack}, then {deploy_command(source.stack)}",
            code=ExitCode.CONFIG,
        )
    return found[0]


def _kept(engine: Engine) -> bool:
    """Whether the state holds the record, marked to stay where it is when the stack lets go of it."""
    return any(each.get("retainOnDelete") for each in engine.resources(_RECORD))


def _exchangeable(source: Side, target: Side) -> bool:
    """Whether both entries are reserved IPs of one region, each at its own host: a balancer cannot have one.

    Raises:
        OpsError: the provider has one of them elsewhere.
    """
    if {source.outputs.entry.kind, target.outputs.entry.kind} != {RESERVED_IP}:
        return False
    cloud = DigitalOcean.of(source.engine)
    regions = [_region(cloud, side) for side in (source, target)]
    return regions[0] == regions[1]


def _region(cloud: DigitalOcean, side: Side) -> str:
    address, owner = side.outputs.entry.address, side.outputs.owner
    found = cloud.reserved_ip(address)
    if found is None or found.droplet != int(owner.droplet_id):
        leads = f"leads to droplet {found.droplet or 'none'}" if found else "is not the account's"
        raise OpsError(
            f"{address} {leads}; it must lead to {owner.name} of {side.stack}, droplet {owner.droplet_id}.",
            fix=f"Mend it: pulumi refresh --stack {side.stack}, then {deploy_command(side.stack)}",
            code=ExitCode.CONFIG,
        )
    return found.region
