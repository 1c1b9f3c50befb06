"""The screens of `tts drill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ops.judge import age
from ops.screen import marks, new_table, stamp

if TYPE_CHECKING:
    from ops.hostreport import Drill


def drill_screen(drill: Drill) -> RenderableType:
    """PASS or FAIL, how long each part took, and every finding."""
    good, bad = marks()
    table = new_table("part", "time", "", right=("time",))
    for name, seconds in drill.steps.items():
        table.add_row(name, age(seconds), _about(drill, name))
    verdict = (
        Text(f"{good} PASS: what is at {drill.repository} can be restored ({age(drill.seconds)})", style="green")
        if drill.ok
        else Text(f"{bad} FAIL: do not rely on what is at {drill.repository}", style="red")
    )
    findings = [Text(f"{bad} {text}", style="red") for text in drill.findings]
    return Group(table, verdict, *findings, *(Text(f"- {note}", style="yellow") for note in drill.notes))


def history_screen(drills: tuple[Drill, ...]) -> RenderableType:
    """All drills, newest first."""
    if not drills:
        return Text("No drill yet: tts drill")
    table = new_table("drill (UTC)", "", "repository", "rows", "time", "finding", right=("rows", "time"))
    good, bad = marks()
    for drill in reversed(drills):
        verdict = Text(f"{good} PASS") if drill.ok else Text(f"{bad} FAIL", style="red")
        first = drill.findings[0] if drill.findings else ""
        table.add_row(stamp(drill.started), verdict, drill.repository, f"{drill.rows:,}", age(drill.seconds), first)
    return table


def _about(drill: Drill, part: str) -> str:
    if part.startswith("database "):
        database = drill.databases.get(part.removeprefix("database "))
        return f"{database['rows']:,} rows in {database['tables']} tables" if database else "not restored"
    if part == "media" and drill.media:
        return f"{drill.media['sampled']} of {drill.media['files']:,} files compared"
    return ""
