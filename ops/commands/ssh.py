"""`tts ssh`: a shell or one command on a host, with the stack's key and the host's pinned one."""

from typing import Annotated

import typer

from ops.commands import options
from ops.session import open_session

Host = Annotated[str | None, typer.Argument(help="Name of the host; without it the one that runs the backups.")]
Command = Annotated[list[str] | None, typer.Argument(help="A command, after `--`; without it a shell.")]


def ssh(host: Host = None, command: Command = None, stack: options.Stack = None) -> None:
    """Open a shell on a host, or run a command there: tts ssh web-1 -- docker ps.

    The exit code is the command's own; 255 when SSH itself failed.
    """
    with open_session(stack) as session:
        target = session.outputs.host(host) if host else session.outputs.owner
        code = session.remote.interactive(target, command or [])
    raise typer.Exit(code)
