"""The screens of `tts rewind`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.text import Text

from ops.screen import marks, new_table

if TYPE_CHECKING:
    from ops.rewind import Changes, Fetched

_SHOWN = 10  # names of a list that may be long


def changes_screen(changes: Changes, bucket: str) -> RenderableType:
    """What was there then, and what became of it."""
    table = new_table("since then", "objects", "", right=("objects",))
    for what, names in (
        ("written over", changes.overwritten),
        ("deleted", changes.deleted),
        ("added", changes.added),
    ):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        table.add_row(
            what, str(len(names)), Text(", ".join(_short(name) for name in names[:_SHOWN]) + more, style="dim")
        )
    held = f"At {changes.moment:%Y-%m-%d %H:%M:%S} UTC {bucket} held {changes.snapshots} snapshots"
    return Group(Text(f"{held} in {changes.objects} objects, {decimal(changes.bytes)}."), table)


def fetched_screen(fetched: Fetched) -> RenderableType:
    """Where it lies, and whether every object is what its name says."""
    good, bad = marks()
    line = Text(f"{good} {fetched.objects} objects, {decimal(fetched.bytes)}, are in {fetched.folder}")
    if not fetched.damaged:
        return line
    names = ", ".join(_short(name) for name in fetched.damaged[:_SHOWN])
    count = len(fetched.damaged)
    text = f"{bad} {count} of them are not what their name says: {names}. They were damaged before: go further back."
    return Group(line, Text(text, style="red"))


def _short(name: str) -> str:
    kind, _, rest = name.rpartition("/")
    return f"{kind.partition('/')[0]}/{rest[:10]}" if kind else name
