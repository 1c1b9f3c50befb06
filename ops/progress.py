"""Showing that long work is alive, on standard error: a moving line for a person, plain lines for a log."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops.screen import err

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def waiting(title: str) -> Generator[Callable[[str], None]]:
    """A line with the elapsed time while the block runs. The yielded function says what is going on right now.

    Without a terminal each new text is one line, so that a log shows the course of the work.
    """
    console = err()
    if not console.is_terminal:
        yield lambda text: console.print(f"{title}: {text}", markup=False, soft_wrap=True)
        return
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        room = max(console.width - 20, 20)
        yield lambda text: progress.update(task, description=f"{title}: {text}"[:room])
