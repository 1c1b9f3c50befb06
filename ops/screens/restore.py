"""The screens of `tts restore`: what it would do, and what it did."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.text import Text

from ops.judge import age
from ops.screen import marks, new_table, stamp

if TYPE_CHECKING:
    from ops.hostreport import RestorePlan, RestoreResult


def plan_screen(plan: RestorePlan, what: str, host: str) -> RenderableType:
    """What would be put back, how old it is, and what that means for what came since."""
    old = age((datetime.now(UTC) - plan.time).total_seconds())
    lines: list[RenderableType] = [
        Text.assemble("Restore ", (what, "bold"), f" on {host}"),
        Text(f"from snapshot {plan.snapshot[:8]} in {plan.repository}, taken {stamp(plan.time)} UTC"),
    ]
    if plan.files is not None and plan.bytes is not None:
        lines.append(Text(f"{plan.files:,} files, {decimal(plan.bytes)}"))
    lines += [Text(line) for line in _consequences(plan, old)]
    if plan.tables:
        tables = new_table("table", "rows", right=("rows",))
        for each in plan.tables:
            tables.add_row(each.name, f"{each.rows:,}")
        lines += ["", tables]
    if plan.databases:
        table = new_table("database", "rows", "size", right=("rows", "size"))
        for database in plan.databases:
            table.add_row(
                database.name,
                "-" if database.rows is None else f"{database.rows:,}",
                "-" if database.bytes is None else decimal(database.bytes),
            )
        lines += ["", table]
    return Group(*lines)


def _consequences(plan: RestorePlan, old: str) -> list[str]:
    """What it means for the data of now."""
    if plan.target:
        return ["Nothing live is touched."]
    if plan.tables and plan.missing_only:
        return ["Rows that are gone are added; rows that are there stay as they are. The application goes on."]
    lost = f"Not in it: what was written since, in {old}."
    kept = "The data of now are kept aside: tts restore undo brings them back."
    if plan.tables:
        return [f"{lost} All other tables stay as they are. The application goes on.", kept]
    if plan.paths:
        return [f"{lost} Other files stay as they are. The application goes on, with what it has read.", kept]
    return [f"{lost} The swap stops the application.", kept]


def result_screen(result: RestoreResult, done: str) -> RenderableType:
    """What was done, how long it took, and what is kept for a way back."""
    good, _ = marks()
    lines = [Text(f"{good} {done}: done in {age(result.seconds)}", style="green")]
    if result.kept:
        lines.append(Text(f"kept until `tts restore drop-old`: {', '.join(result.kept)}"))
    return Group(*lines)
