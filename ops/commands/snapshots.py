"""`tts snapshots`: what there is to go back to."""

from typing import Annotated

import typer

from ops import jobs
from ops.commands import options
from ops.commands.kinds import Kind
from ops.progress import waiting
from ops.screen import next_line, out, print_json
from ops.screens.backup import snapshot_screen
from ops.session import open_session

OnlyKind = Annotated[Kind | None, typer.Option("--kind", help="Only this kind.")]


def snapshots(
    kind: OnlyKind = None,
    source: options.From = jobs.LOCAL,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """List the snapshots of a repository, newest first; each can be restored from."""
    with open_session(stack) as session:
        with waiting(f"Reading the repository {source}"):
            found = jobs.snapshots(session, source, kind)
        if json:
            print_json(found)
            return
        out().print(snapshot_screen(found))
        what = "media" if kind is Kind.MEDIA else "databases"
        step = f"tts restore {what} --dry-run" if found.snapshots else "tts backup"
        out().print(next_line(session.spell(step)))
