"""`tts`: the operator's command. This module only lists the commands and turns errors into words and exit codes."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from ops.commands.alert_test import alert_test
from ops.commands.audit import audit, cost
from ops.commands.backup import backup, verify
from ops.commands.config_diff import config_diff
from ops.commands.drill import drill
from ops.commands.init import init
from ops.commands.keys import keys
from ops.commands.preview_gate import preview_gate
from ops.commands.promote import promote
from ops.commands.prune import prune
from ops.commands.rebuild import rebuild
from ops.commands.release_old import release_old
from ops.commands.restore import restore
from ops.commands.rewind import rewind
from ops.commands.snapshot import snapshot
from ops.commands.snapshots import snapshots
from ops.commands.ssh import SshCommand, ssh
from ops.commands.status import status
from ops.errors import ExitCode, OpsError
from ops.screen import err, error_screen

if TYPE_CHECKING:
    from types import FrameType


class Commands(TyperGroup):
    """Turns the one error class into a screen without a traceback, and Ctrl-C into a clean end."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        _leave_by_the_door()
        try:
            return super().invoke(ctx)
        except OpsError as error:
            err().print(error_screen(error), soft_wrap=True)
            raise typer.Exit(error.code) from None
        except KeyboardInterrupt:
            err().print("Interrupted.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None


def _leave_by_the_door() -> None:
    """Let the signals that end a program run its clean-up first: keys leave the disk."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Look after a stack: its keys, its state, its backups.\n\n"
    "Exit codes: 0 well, 1 the work failed, 2 wrong arguments, 3 status or audit needs a person, 69 host unreachable, "
    "75 another job runs, 78 stack or configuration wrong, 130 interrupted.",
)
app.command()(init)
app.command()(status)
app.command()(backup)
app.command()(verify)
app.command()(snapshots)
app.add_typer(restore, name="restore")
app.command(cls=SshCommand)(ssh)
app.add_typer(keys, name="keys")
app.command()(prune)
app.command()(rewind)
app.command()(audit)
app.command()(cost)
app.command()(rebuild)
app.command()(promote)
app.command("alert-test")(alert_test)
app.command("config-diff")(config_diff)
app.command()(drill)
app.command()(snapshot)
app.command("preview-gate")(preview_gate)
app.command("release-old")(release_old)
