"""The last steps of a promotion: what leads the world to the source leads to the target, and is in its state alone.

A record is changed through the API and changes its owner afterwards. Of two reserved IPs each state takes the other's
first, where it is; the deployments of both then move them, as they would move one to a new host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ops.deploy import Deployment
from ops.digitalocean import DigitalOcean
from ops.errors import OpsError
from ops.promote_hosts import await_answer, hold
from ops.stack import parse_outputs

if TYPE_CHECKING:
    from ops.engine import Engine
    from ops.promote_hosts import Work

Facts = dict[str, Any]
_RESERVED_IP: Final = "digitalocean:index/reservedIp:ReservedIp"
_MEMBERS: Final = "digitalocean:index/projectResources:ProjectResources"
_IDENTITY: Final = ("id", "inputs", "outputs")


def move(work: Work, facts: Facts) -> None:
    """The world is led to the target. From before that on no stack claims what leads it, so that none leads it back."""
    if work.plan["record"] is not None:
        _lead_record(work, facts)
    elif work.plan.get("exchanged"):
        _exchange(work, facts)
    else:
        facts["by_hand"] = True


def own(work: Work, facts: Facts) -> None:
    """The source lets go of what led to it, or gets the target's address for it; the target has it from now on."""
    record = work.plan["record"]
    if record is None and not work.plan.get("exchanged"):
        return
    if "entryRecord" in work.source.config():
        work.source.unset("entryRecord")
    Deployment(work.source, work.now).up()
    # A deployment starts what has changed since the last one: the source stays as quiet as it was.
    hold(work, work.leaving)
    if record is None:
        _into_project(work)
    else:
        work.target.set_plain({"ownsEntry": "true", "entryRecord": str(record)})
        Deployment(work.target, work.now).up()
    facts["owner"] = work.plan["target"]


def _lead_record(work: Work, facts: Facts) -> None:
    plan = work.plan
    work.source.set_plain({"ownsEntry": "false"})
    cloud = DigitalOcean.of(work.target)
    record = next((each for each in cloud.records(plan["zone"], plan["domain"]) if each.id == plan["record"]), None)
    if record is None:
        raise OpsError(f"Record {plan['record']} of {plan['domain']} is gone.", fix="Make it anew, then add --anew.")
    if record.data != plan["leads_to"]:
        cloud.lead(plan["zone"], record, plan["leads_to"])
    facts["record"] = record.id


def _exchange(work: Work, facts: Facts) -> None:
    """The source's address comes to the target's host; the target's waits for the source's next deployment."""
    plan, cloud = work.plan, DigitalOcean.of(work.target)
    if "told" not in facts:
        facts["told"] = [_told(work.source, plan["leads_from"]), _told(work.target, plan["leads_to"])]
        work.journal.save()  # both states are about to change: what they told is known from here only
    led, spare = facts["told"]
    _take(work.source, led["urn"], spare)
    _take(work.target, spare["urn"], led)
    if cloud.droplet_at(plan["leads_to"]) == int(work.coming.outputs.owner.droplet_id):
        cloud.unassign(plan["leads_to"], work.now)
    Deployment(work.target, work.now).up()
    # Without a domain the application is reached by its address, which is another one since this deployment.
    reached = parse_outputs(plan["target"], work.target.outputs()).health_url
    await_answer(work, plan["leads_from"], reached)
    facts["address"] = plan["leads_from"]


def _into_project(work: Work) -> None:
    """What leaves a project goes to the account's default one, even if it is another's by then: bring it back."""
    projects = [each["id"] for each in work.target.resources(_MEMBERS)]
    for project in projects:
        DigitalOcean.of(work.target).join(project, f"do:reservedip:{work.plan['leads_from']}")


def _told(engine: Engine, address: str) -> dict[str, Any]:
    """What a state tells of its one reserved IP."""
    found = [each for each in engine.resources(_RESERVED_IP) if each["id"] == address]
    if len(found) != 1:
        raise OpsError(
            f"The state of {engine.stack_name()} does not have the reserved IP {address}.",
            fix=f"pulumi refresh --stack {engine.stack_name()}, then run this again.",
        )
    return {key: found[0][key] for key in ("urn", *_IDENTITY)}


def _take(engine: Engine, urn: str, told: dict[str, Any]) -> None:
    """Let a stack have an address that the other one had; done already, it stays done."""
    (found,) = (each for each in engine.resources(_RESERVED_IP) if each["urn"] == urn)
    if found["id"] != told["id"]:
        engine.identify(urn, {key: told[key] for key in _IDENTITY})
