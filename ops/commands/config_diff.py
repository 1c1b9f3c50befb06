"""`tts config-diff`: what has changed in a host's configuration."""

from typing import Annotated

import msgspec
import typer
from rich.text import Text

from ops import jobs
from ops.commands import options
from ops.hostreport import decode
from ops.progress import waiting
from ops.screen import next_line, out, print_json
from ops.session import open_session

One = Annotated[str, typer.Argument(metavar="A", help="A config snapshot: its id, latest, or previous.")]
Other = Annotated[str, typer.Argument(metavar="[B]", help="Another one, or live: what the host has now.")]


class FileDifference(msgspec.Struct, frozen=True):
    """One file: added, removed or changed, and its lines as in a unified diff."""

    path: str
    change: str
    diff: tuple[str, ...]


class ConfigDifference(msgspec.Struct, frozen=True, rename={"one": "from", "other": "to"}):
    """What `tts-config-diff --json` prints. Secrets are masked on the host: none travels."""

    one: str
    other: str
    files: tuple[FileDifference, ...]


def config_diff(
    one: One = "previous",
    other: Other = "latest",
    source: options.From = jobs.LOCAL,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """Compare two config snapshots, or one with what is live. Of secrets only whether they changed is shown."""
    with open_session(stack) as session:
        jobs.check_repository(session, source)
        argv = ["tts-config-diff", one, other, "--repository", source, "--json"]
        with waiting(f"Comparing {one} with {other}"):
            done = session.remote.run(session.outputs.owner, argv, timeout=600)
        if done.code:
            raise jobs.failed(session, done, "The comparison")
        found = decode(done, ConfigDifference, command=argv[0], host=session.outputs.owner.name)
        if json:
            print_json(found)
            return
        if not found.files:
            out().print(f"No difference between {one} and {other}.")
        for file in found.files:
            out().print(Text(f"{file.change} {file.path}", style="bold"))
            for line in file.diff:
                out().print(Text(line, style={"+": "green", "-": "red"}.get(line[:1], "dim")), soft_wrap=True)
        out().print(next_line(session.spell("tts snapshots --kind config")))
