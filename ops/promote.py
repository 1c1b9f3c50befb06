"""One stack takes another's place: its data by a last backup, its entry by the record of the domain, both compared.

The journal knows which steps are done; a step that was interrupted is done again from its start. Until the record has
moved, the way back is `abort`: the source starts again as it was. Afterwards it is the same work the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.digitalocean import DigitalOcean
from ops.engine import Engine
from ops.errors import ExitCode, OpsError
from ops.promote_hosts import Work
from ops.promote_steps import STEPS, Facts, release_source
from ops.session import open_session
from ops.stack import Outputs, deploy_command, parse_outputs
from ops.vault import read_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ops.digitalocean import Record
    from ops.engine import ConfigValue
    from ops.journal import Journal

WORK: Final = "promote"
MOVED: Final = "entry"  # after this step the world is led to the target: no abort any more
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
    """What is going to happen. `record` is the number of the record that moves; None where a person moves it."""

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


class Report(msgspec.Struct, frozen=True):
    """How it went. Times are in seconds; `stopped` is how long nobody was served."""

    plan: Plan
    started: datetime
    stopped: float
    total: float
    rows: dict[str, int]
    media: dict[str, Any] | None
    steps: dict[str, float]
    notes: tuple[str, ...]


def check(source: Side, target: Side) -> Plan:
    """Look at both stacks, and say what would be done. Nothing is changed.

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
    resources = engine.export().get("deployment", {}).get("resources", [])
    return any(each.get("type") == _RECORD and each.get("retainOnDelete") for each in resources)


def promote(journal: Journal, source: Engine, target: Engine, now: Callable[[str], None]) -> Report:
    """Do every step that is not done yet.

    Raises:
        OpsError: a step failed. What is done stays done; running it again goes on there.
    """
    with open_session(source.stack) as leaving, open_session(target.stack) as coming:
        work = Work(journal, source, target, leaving, coming, now)
        for name, step in STEPS:
            _do(work, name, step)
    return _report(journal)


def abort(journal: Journal, source: Engine, target: Engine, now: Callable[[str], None]) -> None:
    """Give it up: the source serves again as it did, the target stays held with whatever it has by now.

    Raises:
        OpsError: the record has moved already, or the source does not start.
    """
    if journal.record.step(MOVED):
        raise OpsError(
            "The record has moved, or was about to: this goes on forwards only.",
            fix="Finish it, then come back with --back.",
            code=ExitCode.USAGE,
        )
    with open_session(source.stack) as leaving, open_session(target.stack) as coming:
        release_source(Work(journal, source, target, leaving, coming, now))
    journal.record.choices["aborted"] = True
    journal.finish()


def close(journal: Journal, report: Report) -> Path:
    """Keep the report beside the journal's steps, and end the journal."""
    journal.record.choices["report"] = msgspec.to_builtins(report)
    return journal.finish()


def _do(work: Work, name: str, act: Callable[[Work, Facts], None]) -> None:
    if work.journal.is_done(name):
        return
    work.now(name)
    with work.journal.step(name) as facts:
        act(work, facts)


def _report(journal: Journal) -> Report:
    record = journal.record
    plan = msgspec.convert(record.choices["plan"], Plan)
    ends = {step.name: step.finished or datetime.now(UTC) for step in record.steps}
    begun = next(step.started for step in record.steps if step.name == "hold-source")
    measured = journal.facts("measure")["measure"]
    notes = [f"{plan.source} is held: application and schedule are off, its data stay as they were"]
    if plan.record is None:
        notes.append(f"nobody is led to {plan.target} yet: let the record of {plan.domain or 'your name'} lead to")
        notes[-1] += f" {plan.leads_to}, where {plan.leads_from} stands now"
    notes += [f"{name} is only on {plan.target}" for name in journal.facts("compare").get("more", [])]
    return Report(
        plan=plan,
        started=record.started,
        stopped=(ends[MOVED] - begun).total_seconds(),
        total=(datetime.now(UTC) - record.started).total_seconds(),
        rows={name: sum(tables.values()) for name, tables in measured["databases"].items()},
        media=measured["media"],
        steps={step.name: round(step.seconds, 1) for step in record.steps},
        notes=tuple(notes),
    )
