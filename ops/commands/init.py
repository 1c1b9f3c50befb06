"""`tts init`: give a stack the keys and secrets it lacks."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ops import init as work
from ops.commands import options
from ops.engine import ConfigValue, Engine, project_directory
from ops.errors import ExitCode, OpsError
from ops.progress import waiting
from ops.screen import err, is_interactive, marks, new_table, next_line, out, print_json
from ops.stack import LOCAL, deploy_command

_KEEP = (
    "Keep three things away from this machine and from each other: the file Pulumi.{stack}.yaml (commit it; its "
    "secrets are encrypted), the passphrase that Pulumi encrypts it with, and the recovery key, on paper. File and "
    "passphrase rebuild everything; the recovery key alone still opens every backup. "
    "To read it again: pulumi config get recoveryKey --stack {stack}"
)

KeyFile = Annotated[
    Path | None,
    typer.Option("--recovery-key-file", help="Also write the recovery key to this new file, mode 0600."),
]


def init(
    stack: options.Stack = None,
    yes: options.Yes = False,
    json: options.Json = False,
    recovery_key_file: KeyFile = None,
) -> None:
    """Make the keys and secrets that a stack lacks. What is there is never changed, so it may be run at any time."""
    engine = Engine(stack, project_directory())
    engine = Engine(engine.stack_name(), engine.directory)
    _check_new_file(recovery_key_file)
    with waiting("Reading the configuration"):
        fresh = not engine.exists()
    if fresh:
        _agree_to_new_stack(engine.stack or "", yes)
        engine.create_stack()
    config = engine.config()
    todo = work.plan(config)
    if todo.missing:
        if not yes and is_interactive():
            _ask(f"Write {len(todo.missing)} keys and secrets to the configuration of stack {engine.stack}?")
        with waiting("Making") as now:
            work.make(engine, config, todo, now)
        config = engine.config()
    if json:
        print_json({"stack": engine.stack, "made": todo.missing, "kept": todo.present})
    else:
        _screen(engine.stack or "", todo, closed=not work.may_connect(config))
    _hand_over(config, recovery_key_file, show="recoveryKey" in todo.missing and not json)


def _check_new_file(file: Path | None) -> None:
    """Refuse a file that cannot be made, before anything else is."""
    if file and (file.exists() or not file.absolute().parent.is_dir()):
        reason = "exists" if file.exists() else "stands in a folder that is not there"
        raise OpsError(f"{file} {reason}.", fix="Name a new file in a folder of yours.", code=ExitCode.USAGE)


def _agree_to_new_stack(stack: str, yes: bool) -> None:
    """A stack may be new because its name was mistyped; a script must say that it means it."""
    if yes:
        return
    if not is_interactive():
        raise OpsError(f"There is no stack {stack} yet.", fix="Add --yes to make it.", code=ExitCode.USAGE)
    _ask(f"There is no stack {stack} yet. Make it?")


def _ask(question: str) -> None:
    if not typer.confirm(question, err=True):
        raise OpsError("Nothing was changed.", fix="Run it again and answer y, or add --yes.")


def _screen(stack: str, todo: work.Plan, *, closed: bool) -> None:
    good, _ = marks()
    table = new_table("key", "", "what it is for")
    for key in (*todo.missing, *todo.present):
        made = Text(f"{good} made", style="green") if key in todo.missing else Text("kept", style="dim")
        table.add_row(key, made, work.PURPOSE.get(key, "a secret of the application"))
    console = out()
    console.print(table)
    if stack != LOCAL:
        console.print("\n" + _KEEP.format(stack=stack), markup=False)
    if closed:
        console.print("sshFrom is empty: say which networks may use SSH, yours among them.")
        console.print(next_line(f"pulumi config set --path 'sshFrom[0]' ADDRESS/32 --stack {stack}"))
    else:
        console.print(next_line(deploy_command(stack)))


def _hand_over(config: Mapping[str, ConfigValue], file: Path | None, *, show: bool) -> None:
    """Give the recovery key to the person: into a file, or once onto a terminal; never into a pipe or a log."""
    key = (config["recoveryKey"].value or "").strip()
    if file:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
            target.write(f"{key}\n")
        err().print(f"The recovery key is in {file}. Print it, then delete the file.", markup=False)
    elif show and is_interactive():
        err().print(f"\nRecovery key, shown this once:\n\n    {key}\n", markup=False)
