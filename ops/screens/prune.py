"""The screens of `tts prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ops.screen import marks, new_table

if TYPE_CHECKING:
    from ops.locks import LockReport
    from ops.prune import Prospect, Pruned


def prospect_screen(prospects: list[Prospect]) -> RenderableType:
    """What would stay and go, what is left alone, and what a person should look at."""
    _, bad = marks()
    table = new_table("copy", "kind", "stay", "go", right=("stay", "go"))
    lines: list[Text] = []
    for prospect in prospects:
        for kind in prospect.kinds:
            table.add_row(prospect.name, kind.kind, str(kind.keep), str(kind.remove))
        lines += [Text(f"{prospect.name}: {note}", style="dim") for note in prospect.notes]
        if prospect.locks:
            lines.append(Text(f"{prospect.name}: {_locks(prospect.locks)}; {prospect.locks.due} are to be prolonged"))
        lines += [Text(f"{bad} {prospect.name}: {doubt}", style="red") for doubt in prospect.doubts]
    return Group(table, *lines)


def pruned_screen(results: list[Pruned]) -> RenderableType:
    """What was done, one line for each copy."""
    good, bad = marks()
    table = new_table("copy", "", "snapshots before", "after", "locks prolonged", right=("snapshots before", "after"))
    lines: list[Text] = []
    for result in results:
        state = Text(f"{bad} failed", style="red") if result.error else Text(f"{good} pruned", style="green")
        prolonged = str(result.locks.prolonged) if result.locks else "has no locks"
        table.add_row(result.name, state, str(result.before), str(result.after), prolonged)
        if result.locks:
            lines.append(Text(f"{result.name}: {_locks(result.locks)}"))
        if result.error:
            lines.append(Text(f"{bad} {result.name}: {result.error}", style="red"))
    return Group(table, *lines)


def _locks(locks: LockReport) -> str:
    if locks.fewest_days is None:
        return "no objects"
    held = f"{locks.objects} objects in use, the first lock ends in {locks.fewest_days:.0f} days"
    return f"{held}; {locks.unlocked} have none" if locks.unlocked else held
