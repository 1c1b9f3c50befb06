"""The screens of `tts audit` and `tts cost`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.text import Text

from ops.screen import marks, new_table, stamp

if TYPE_CHECKING:
    from ops.audit import BucketReport
    from ops.stack import Cost


def audit_screen(reports: tuple[BucketReport, ...]) -> RenderableType:
    """One line for each destination, then what was seen of its kinds, growth and locks, then its findings."""
    good, bad = marks()
    table = new_table("copy", "", "newest snapshot (UTC)", "snapshots", "size", right=("snapshots", "size"))
    facts: list[Text] = []
    findings: list[Text] = []
    for report in reports:
        state = (
            Text(f"{bad} {len(report.findings)} findings", style="red") if report.findings else Text(f"{good} sound")
        )
        table.add_row(report.name, state, stamp(report.newest_snapshot), str(report.snapshots), decimal(report.bytes))
        facts += [Text(f"{report.name}: {fact}", style="dim") for fact in (*_facts(report), *report.notes)]
        place = f"{report.name} ({report.bucket})" if report.bucket else report.name
        findings += [Text(f"{bad} {place}: {text}", style="red") for text in report.findings]
    return Group(table, *facts, *findings)


def _facts(report: BucketReport) -> list[str]:
    found: list[str] = []
    if report.kinds:
        found.append(", ".join(f"{kind.kind} {stamp(kind.newest)} ({kind.snapshots})" for kind in report.kinds))
    if report.trend and report.trend.days > 1:
        newest, usual = decimal(report.trend.newest_day_bytes), decimal(report.trend.median_day_bytes)
        found.append(f"{newest} arrived on its newest day, {usual} on the median day")
    if report.locks and report.locks.fewest_days is not None:
        found.append(
            f"{report.locks.objects} objects in use are locked for {report.locks.fewest_days:.0f} days or more"
        )
    return found


def cost_screen(cost: Cost) -> RenderableType:
    """The items, their sum, and how old the prices are."""
    table = new_table("item", "USD a month", right=("USD a month",))
    for item in cost.items:
        table.add_row(item.item, f"{item.usd:.2f}")
    table.add_row(Text("total", style="bold"), Text(f"{cost.total:.2f}", style="bold"))
    dated = f"An estimate from list prices of {cost.price_date}; what is billed by the gigabyte is not in it."
    return Group(table, Text(dated, style="dim"))
