"""`tts ssh`: a shell or one command on a host, with the stack's key and the host's pinned one."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ops.commands import options
from ops.session import open_session


class SshCommand(TyperCommand):
    """Takes what follows `--` for the command, also where no host is named before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the command aside in `ctx.obj`, and let Typer read the rest."""
        if "--" in args:
            split = args.index("--")
            ctx.obj, args = args[split + 1 :], args[:split]
        return super().parse_args(ctx, args)


Host = Annotated[str | None, typer.Argument(help="Name of the host; without it the one that runs the backups.")]


def ssh(ctx: typer.Context, host: Host = None, stack: options.Stack = None) -> None:
    """Open a shell on a host, or run the command after `--` there: tts ssh web-1 -- docker ps.

    The exit code is the command's own; 255 when SSH itself failed.
    """
    command: list[str] = ctx.obj or []
    with open_session(stack) as session:
        target = session.outputs.host(host) if host else session.outputs.owner
        code = session.remote.interactive(target, command)
    raise typer.Exit(code)
