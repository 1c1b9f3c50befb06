"""`tts drill`: prove that the backups can be restored, without touching anything live."""

from typing import Annotated

import typer

from ops import drill as work
from ops.commands import options
from ops.engine import Engine, project_directory
from ops.errors import ExitCode
from ops.hostreport import Drill
from ops.progress import waiting
from ops.screen import next_line, out, print_json
from ops.screens.drill import drill_screen, history_screen
from ops.session import open_session, read_outputs

Source = Annotated[
    str | None,
    typer.Option(
        "--from", help="The repository: aws, spaces, local. Without it the off-site ones take turns by month."
    ),
]
Here = Annotated[bool, typer.Option("--here", help="On this machine: needs only the bucket, its key, the passphrase.")]
History = Annotated[bool, typer.Option("--history", help="Only show what earlier drills found.")]


def drill(
    source: Source = None,
    here: Here = False,
    history: History = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """Restore the newest off-site snapshots into a throwaway server and compare everything. Exit code 1 on FAIL."""
    if history:
        _show_history(stack, json=json)
        return
    found = _here(stack, source) if here else _on_host(stack, source)
    if json:
        print_json(found)
    else:
        out().print(drill_screen(found))
        step = "tts drill --history" if found.ok else "tts verify"
        out().print(next_line(step + (f" --stack {stack}" if stack else "")))
    if not found.ok:
        raise typer.Exit(ExitCode.FAILED)


def _on_host(stack: str | None, source: str | None) -> Drill:
    with open_session(stack) as session, waiting(f"Rehearsing on {session.outputs.owner.name}") as now:
        return work.on_host(session, source, now)


def _here(stack: str | None, source: str | None) -> Drill:
    name, outputs = read_outputs(stack)
    with waiting("Rehearsing here") as now:
        return work.here(Engine(name, project_directory()), name, outputs, source, now)


def _show_history(stack: str | None, *, json: bool) -> None:
    with open_session(stack) as session:
        drills = work.past(session)
    if json:
        print_json(drills)
    else:
        out().print(history_screen(drills))
