"""The screens of `tts backup`, `tts verify` and `tts snapshots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.text import Text

from ops.judge import age
from ops.screen import marks, new_table, stamp

if TYPE_CHECKING:
    from ops.hostreport import BackupResult, Snapshot, SnapshotList
    from ops.verify import Verification

_SHOWN = 20


def backup_screen(results: tuple[BackupResult, ...]) -> RenderableType:
    """One line for each kind, then the reasons of what failed."""
    good, bad = marks()
    names = list(dict.fromkeys(copy.name for result in results for copy in result.offsite))
    table = new_table("backup", "", "time", "size", "snapshot", *(f"copy at {name}" for name in names))
    troubles: list[Text] = []
    for result in results:
        well = result.result == "ok"
        copies = {copy.name: copy for copy in result.offsite}
        table.add_row(
            result.name,
            Text(f"{good} done") if well else Text(f"{bad} failed", style="red"),
            age(result.seconds),
            "-" if result.bytes is None else decimal(result.bytes),
            (result.snapshot or "-")[:8],
            *(
                Text(f"{good} sent" if name in copies and copies[name].result == "ok" else f"{bad} no")
                for name in names
            ),
        )
        troubles += _troubles(result)
    return Group(table, *troubles)


def verify_screen(verification: Verification) -> RenderableType:
    """One line when all is proven, else every finding."""
    good, bad = marks()
    when = f" ({stamp(verification.checked_at)} UTC)" if verification.checked_at else ""
    if verification.ok:
        return Text(f"{good} verified: fresh, whole and readable in every repository{when}", style="green")
    findings = [Text(f"{bad} {finding_text(finding)}", style="red") for finding in verification.findings]
    return Group(Text(f"{bad} verification {verification.result}{when}", style="red"), *findings)


def snapshot_screen(found: SnapshotList) -> RenderableType:
    """The newest snapshots of one repository."""
    if not found.snapshots:
        return Text(f"No snapshot in the repository {found.repository} yet.")
    table = new_table("snapshot", "kind", "taken (UTC)", "size", "files", right=("size", "files"))
    for snapshot in found.snapshots[:_SHOWN]:
        table.add_row(*_snapshot_row(snapshot))
    more = len(found.snapshots) - _SHOWN
    rest = [Text(f"and {more} older: tts snapshots --json", style="dim")] if more > 0 else []
    count = len(found.snapshots)
    title = f"repository {found.repository}: {count} snapshot{'' if count == 1 else 's'}"
    return Group(Text(title, style="dim"), table, *rest)


def finding_text(finding: object) -> str:
    """A finding of the host in words, whether it came as a text or as an object."""
    if isinstance(finding, dict):
        return ", ".join(f"{key} {value}" for key, value in finding.items() if value not in (None, ""))  # pyright: ignore[reportUnknownVariableType]
    return str(finding)


def _snapshot_row(snapshot: Snapshot) -> tuple[str, ...]:
    return (
        snapshot.short_id,
        snapshot.kind,
        stamp(snapshot.time),
        "-" if snapshot.bytes is None else decimal(snapshot.bytes),
        "-" if snapshot.files is None else str(snapshot.files),
    )


def _troubles(result: BackupResult) -> list[Text]:
    _, bad = marks()
    lines = [Text(f"- {result.name}: {warning}", style="yellow") for warning in result.warnings]
    lines += [
        Text(f"{bad} {result.name} to {copy.name}: {copy.error or 'failed'}", style="red")
        for copy in result.offsite
        if copy.result != "ok"
    ]
    if result.result != "ok" and not (result.step == "offsite" and lines):
        where = f" at {result.step}" if result.step else ""
        lines.append(Text(f"{bad} {result.name} failed{where}: {result.error or 'no reason given'}", style="red"))
    return lines
