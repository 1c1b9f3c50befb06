"""The screen of `tts status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.judge import MIN_DISK_FREE_PERCENT, age
from ops.screen import marks, new_table, next_line, stamp

if TYPE_CHECKING:
    from ops.hostreport import BackupKind, Drill, OffsiteCopy
    from ops.judge import Finding
    from ops.status import HostState, ServiceState, Status

_FINDINGS_SHOWN = 5


def status_screen(status: Status, findings: tuple[Finding, ...], next_step: str) -> RenderableType:
    """The whole of `tts status`."""
    parts: list[RenderableType] = [_headline(status), "", _host_table(status.hosts)]
    if outside := _outside(status):
        parts += ["", outside]
    if status.services:
        parts += ["", _service_block(status.services)]
    if status.backups:
        parts += ["", _backup_table(status.backups), _drill_line(status.drill)]
    parts += ["", _cost_line(status)]
    parts += [Text(f"Note: {note}", style="dim") for note in status.notes]
    parts += _finding_lines(findings)
    parts.append(next_line(next_step) if findings else Text.assemble(("All well.  ", "green"), next_line(next_step)))
    return Group(*parts)


def _headline(status: Status) -> RenderableType:
    good, bad = marks()
    web = status.web
    answer = f"{good} answers in {web.milliseconds} ms" if web.ok else f"{bad} {web.error}"
    line = Table.grid(padding=(0, 3, 0, 0))
    line.add_row(
        Text(status.stack, style="bold"),
        Text(f"rung {status.rung}"),
        Text(status.url, style="cyan", overflow="fold"),
        Text(answer, style="green" if web.ok else "red"),
    )
    return line


def _host_table(hosts: tuple[HostState, ...]) -> Table:
    table = new_table("host", "size", "address", "load", "memory", "disk free", right=("load", "memory", "disk free"))
    _, bad = marks()
    for host in hosts:
        if host.error:
            table.add_row(Text(f"{bad} {host.name}", style="red"), host.size, host.address, "-", "-", "-")
            continue
        low = host.disk_free_percent is not None and host.disk_free_percent < MIN_DISK_FREE_PERCENT
        table.add_row(
            host.name,
            host.size,
            host.address,
            "-" if host.load is None else f"{host.load:.2f}",
            _percent(host.memory_used_percent),
            Text(_percent(host.disk_free_percent), style="red" if low else ""),
        )
    return table


def _outside(status: Status) -> Table | None:
    """Entry, database and media where they are not on a host, and whether they are only held."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    if status.entry.balancer:
        grid.add_row(Text("balancer", style="dim"), status.entry.address, "")
    if status.database:
        about = f"PostgreSQL, {status.database.nodes} x {status.database.size}"
        held = "" if status.database.in_use else f"{status.database.state}: tts release-old"
        grid.add_row(Text("database", style="dim"), f"{status.database.name}  {about}", Text(held, style="yellow"))
        if status.media:
            grid.add_row(Text("media", style="dim"), f"{status.media.bucket} in {status.media.region}", "")
    return grid if grid.row_count else None


def _percent(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.0f} %"


def _service_block(services: tuple[ServiceState, ...]) -> RenderableType:
    good, bad = marks()
    well = sum(service.healthy for service in services)
    several = len({service.host for service in services}) > 1
    cells = [
        Text(f"{good} {_service_name(service, several)}")
        if service.healthy
        else Text(f"{bad} {_service_name(service, several)}: {service.state}", style="red")
        for service in services
    ]
    title = Text.assemble(("services  ", "dim"), f"{well} of {len(services)} healthy")
    return Group(title, Columns(cells, padding=(0, 2), equal=True, column_first=True))


def _service_name(service: ServiceState, several: bool) -> str:
    return f"{service.host}/{service.name}" if several else service.name


def _backup_table(backups: tuple[BackupKind, ...]) -> Table:
    names = list(dict.fromkeys(copy.name for kind in backups for copy in kind.offsite))
    table = new_table("backup", "newest (UTC)", "age", "verified", *(f"copy at {name}" for name in names))
    table.columns[2].justify = "right"
    for kind in backups:
        copies = {copy.name: copy for copy in kind.offsite}
        table.add_row(
            kind.kind,
            stamp(kind.newest),
            "-" if kind.age_seconds is None else age(kind.age_seconds),
            _verified(kind),
            *(_copy(copies.get(name)) for name in names),
        )
    return table


def _drill_line(drill: Drill | None) -> Text:
    good, bad = marks()
    if drill is None:
        return Text.assemble(("drill  ", "dim"), "none yet")
    what = f"{stamp(drill.started)} from {drill.repository}, {drill.rows:,} rows in {age(drill.seconds)}"
    verdict = (f"{good} PASS ", "") if drill.ok else (f"{bad} FAIL ", "red")
    return Text.assemble(("drill  ", "dim"), verdict, what)


def _verified(kind: BackupKind) -> Text:
    good, bad = marks()
    return Text(f"{good} yes") if kind.verified else Text(f"{bad} no", style="red")


def _copy(copy: OffsiteCopy | None) -> Text:
    good, bad = marks()
    if copy is None or copy.newest is None:
        return Text(f"{bad} none", style="red")
    if copy.lag:
        return Text(f"{bad} {copy.lag} behind", style="red")
    return Text(f"{good} newest")


def _cost_line(status: Status) -> Table:
    dated = f", prices of {status.price_date}" if status.price_date else ""
    cost = Text.assemble(("cost  ", "dim"), f"{status.cost_per_month:.2f} USD a month", (dated, "dim"))
    line = Table.grid(padding=(0, 3, 0, 0))
    line.add_row(cost, Text.assemble(("climb  ", "dim"), status.climb.words))
    return line


def _finding_lines(findings: tuple[Finding, ...]) -> list[Text]:
    _, bad = marks()
    lines = [
        Text(f"{bad if finding.urgent else '-'} {finding.text}", style="red" if finding.urgent else "yellow")
        for finding in findings[:_FINDINGS_SHOWN]
    ]
    more = len(findings) - len(lines)
    return [*lines, Text(f"  and {more} more: tts status --json", style="dim")] if more else lines
