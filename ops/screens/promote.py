"""The screens of `tts promote`: what is going to happen, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ops.judge import age
from ops.screen import marks, new_table, stamp

if TYPE_CHECKING:
    from ops.journal import Record
    from ops.promote import Report
    from ops.promote_check import Plan

WORDS = {
    "hold-source": "the old stack writes no more",
    "backup": "its last backup, copied off-site",
    "measure": "its rows and files counted",
    "hold-target": "the new stack writes no more",
    "take": "it reads the old one's repository",
    "databases": "databases restored, rows equal to the manifest",
    "media": "media restored",
    "compare": "every row count and the sum of all files are equal",
    "start-target": "migrated, started, healthy; its entry answers",
    "entry": "the world is led to it",
    "own": "what leads there is in its state, and in no other",
    "protect": "its first backup of the new data",
}


def plan_screen(plan: Plan) -> RenderableType:
    """Both stacks, and what moves the world from one to the other."""
    table = new_table("", "stack", "rung", "entry")
    table.add_row("serves now", plan.source, plan.source_rung, plan.leads_from)
    table.add_row("is to serve", plan.target, plan.target_rung, plan.leads_to)
    return Group(
        table,
        Text(f"Moves the world: {_moves(plan)}."),
        Text(f"Data come by the last backup of {plan.source}, from {plan.repositories[0]}."),
        Text(f"Nobody is served from the hold of {plan.source} until the entry has moved."),
    )


def _moves(plan: Plan) -> str:
    if plan.record:
        return f"record {plan.record} of {plan.domain}"
    if plan.exchanged:
        return f"{plan.leads_from}, which changes places with {plan.leads_to}"
    return "nothing: you lead your name there yourself"


def resume_screen(record: Record) -> RenderableType:
    """Where an unfinished promotion stands."""
    done = [step.name for step in record.steps if step.finished]
    return Text(
        f"Going on with the promotion begun {stamp(record.started)} UTC; done: {', '.join(done) or 'nothing yet'}."
    )


def report_screen(report: Report, file: str) -> RenderableType:
    """Times of all steps, what was compared, and what to know."""
    table = new_table("step", "time", "", right=("time",))
    for name, seconds in report.steps.items():
        table.add_row(name, age(seconds), WORDS.get(name, ""))
    files = f", {report.media['files']:,} files" if report.media else ""
    plan = report.plan
    lines = [
        Text(f"{marks()[0]} {plan.target} has taken the place of {plan.source}", style="green"),
        Text(f"{len(report.rows)} databases, {sum(report.rows.values()):,} rows{files}: equal on both sides"),
        Text(f"Nobody was served for {age(report.stopped)}; {age(report.total)} in all"),
        *(Text(f"- {note}", style="yellow") for note in report.notes),
        Text(f"report: {file}", style="dim"),
    ]
    return Group(table, "", *lines)
