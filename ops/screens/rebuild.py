"""The screens of `tts rebuild`: what is lost, and how the rebuild went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ops.judge import age
from ops.screen import marks, new_table, stamp

if TYPE_CHECKING:
    from ops.journal import Record
    from ops.rebuild import Loss, Report

WORDS = {
    "clear": "the old droplet is gone",
    "refresh": "the state knows it",
    "deploy": "new droplet, application, jobs",
    "hold": "schedule off, application stopped",
    "choose": "snapshots chosen",
    "databases": "databases restored, rows equal to the manifest",
    "media": "media restored, every file there",
    "config": "saved configuration laid beside the new one",
    "start": "migrated, started, healthy; schedule on",
    "entry": "the address leads here and answers",
    "backup": "first backup, copied off-site",
    "verify": "every repository verified",
    "compare": "backed up rows compared with the restored",
}


def loss_screen(loss: Loss, stack: str, source: str | None) -> RenderableType:
    """What is going to happen."""
    lost = "is gone" if loss.gone else f"is there ({loss.status}) and will be deleted, after an image of its disk"
    return Group(
        Text(f"Rebuild {loss.host} of stack {stack}: droplet {loss.droplet} {lost}."),
        Text(f"Data come from {source or 'the off-site repository with the newest databases'}."),
        Text("What was written after that snapshot is lost."),
    )


def resume_screen(record: Record) -> RenderableType:
    """Where an unfinished rebuild stands."""
    done = [step.name for step in record.steps if step.finished]
    return Text(
        f"Going on with the rebuild begun {stamp(record.started)} UTC; done: {', '.join(done) or 'nothing yet'}."
    )


def report_screen(report: Report, file: str) -> RenderableType:
    """Times of all steps, the two figures that matter, and what to look at."""
    good, _ = marks()
    table = new_table("step", "time", "", right=("time",))
    for name, seconds in report.steps.items():
        table.add_row(name, age(seconds), WORDS.get(name, ""))
    rows = f"{len(report.rows)} databases, {sum(count or 0 for count in report.rows.values()):,} rows"
    source = f"{report.repository} ({report.snapshots['databases']['id'][:8]})"
    lines = [
        Text(f"{good} {report.host} is rebuilt as droplet {report.droplet}", style="green"),
        Text(f"{rows}, {report.files or 0:,} media files from {source}"),
        Text(f"RTO {age(report.rto)}: from the command to the application's answer; {age(report.total)} in all"),
        Text(f"RPO {age(report.rpo)}: age of the database snapshot when the rebuild began"),
        *(Text(f"- {note}", style="yellow") for note in report.notes),
        Text(f"report: {file}", style="dim"),
    ]
    return Group(table, "", *lines)
