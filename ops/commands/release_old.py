"""`tts release-old`: remove what a step of the ladder has left behind."""

from typing import Annotated

import typer
from rich.text import Text

from ops import release
from ops.commands import options
from ops.commands.restore import agree
from ops.engine import Engine, project_directory
from ops.progress import waiting
from ops.release import Item, Old
from ops.screen import err, marks, new_table, next_line, out, print_json
from ops.session import open_session

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")]
_KILO = 1024


def release_old(
    dry_run: DryRun = False, yes: options.Yes = False, stack: options.Stack = None, json: options.Json = False
) -> None:
    """Remove the old side of the last move: volumes of the host, or managed database, media bucket and broker host.

    It is the way back until then. A fresh verified backup of the side in use is demanded first, or made.
    """
    engine = Engine(stack, project_directory())
    with open_session(stack) as session:
        with waiting("Looking for what is left behind"):
            old = release.find(session, engine)
        if dry_run or not old.items:
            _show(old, removed=False, json=json)
            return
        if not json:
            err().print(_table(old.items))
        with waiting("Looking at the backups of the side in use") as now:
            release.demand_backup(session, now)
        agree(session.stack, yes, f"All of this is removed for good, {_words(old)}. There is no way back to it.")
        with waiting("Removing") as now:
            release.remove(session, engine, old, now)
        _show(old, removed=True, json=json)
        if not json:
            out().print(next_line(session.spell("tts status")))


def _words(old: Old) -> str:
    return "on the host" if old.side == "host" else "at the provider, with its backups there"


def _show(old: Old, *, removed: bool, json: bool) -> None:
    if json:
        print_json({"side": old.side, "items": old.items, "removed": removed})
        return
    if not old.items:
        out().print("Nothing is left behind: there is nothing to remove.")
        return
    if removed:
        out().print(Text(f"{marks()[0]} removed {', '.join(item.name for item in old.items)}", style="green"))
        return
    out().print(_table(old.items))
    out().print("Nothing was removed: this was a dry run.")


def _table(items: tuple[Item, ...]) -> object:
    table = new_table("what", "name", "files", "size", right=("files", "size"))
    for item in items:
        files = "-" if item.files is None else f"{item.files:,}"
        table.add_row(item.what, item.name, files, "-" if item.bytes is None else _size(item.bytes))
    return table


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KILO:
            return f"{count:.0f} {unit}"
        count /= _KILO
    return f"{count:.1f} TiB"
