"""One stack takes another's place: its data by a last backup, compared, and then what leads the world to it.

The journal knows which steps are done; a step that was interrupted is done again from its start. Until the entry has
moved, the way back is `abort`: the source starts again as it was. Afterwards it is the same work the other way round.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.errors import ExitCode, OpsError
from ops.promote_check import Plan
from ops.promote_hosts import Work
from ops.promote_steps import STEPS, Facts, release_source
from ops.session import open_session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ops.engine import Engine
    from ops.journal import Journal

WORK: Final = "promote"
MOVED: Final = "entry"  # after this step the world is led to the target: no abort any more


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
        OpsError: the entry has moved already, or the source does not start.
    """
    if journal.record.step(MOVED):
        raise OpsError(
            "The entry has moved, or was about to: this goes on forwards only.",
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
    if plan.exchanged:
        notes.append(f"{plan.leads_from} leads to {plan.target}, and {plan.leads_to} to {plan.source}")
    elif plan.record is None:
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
