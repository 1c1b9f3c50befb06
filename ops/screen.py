"""What `tts` draws. Every screen fits 80 columns, says nothing by colour alone, and ends with the next step."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ops.errors import OpsError


def out() -> Console:
    """Where results go."""
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Where progress, questions and errors go, so that standard output stays clean for a pipe."""
    return Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """One JSON document on standard output; a pipe or a terminal gets the same text."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def marks(encoding: str | None = None) -> tuple[str, str]:
    """The signs for good and bad that this terminal's encoding can show."""
    name = (encoding or sys.stdout.encoding or "ascii").lower().replace("-", "")
    return ("✓", "✗") if name.startswith("utf") else ("ok", "!!")


def new_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without lines: headings dim, figures right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def error_screen(error: OpsError) -> RenderableType:
    """What went wrong, where, and what to do; nothing else."""
    lines = [Text.assemble(("Error: ", "bold red"), error.what)]
    if error.where:
        lines.append(Text.assemble(("Where: ", "bold"), error.where))
    lines.append(Text.assemble(("Fix:   ", "bold"), error.fix))
    return Group(*lines)


def next_line(command: str) -> Text:
    """The last line of a screen."""
    return Text.assemble(("Next: ", "bold"), (command, "cyan"))


def stamp(moment: datetime | None) -> str:
    """A time in UTC to the minute, or a dash."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else "-"


def is_interactive() -> bool:
    """Whether a person sits at both ends: questions are only asked then."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
