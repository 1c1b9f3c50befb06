"""`tts keys`: what opens the backups, and a new passphrase for them."""

from typing import Annotated

import typer
from rich.text import Text

from ops.commands import options
from ops.deploy import Deployment
from ops.engine import Engine, project_directory
from ops.errors import ExitCode, OpsError
from ops.progress import waiting
from ops.repokeys import Opened, Rotation, read_place
from ops.repokeys import verify as try_all
from ops.screen import err, is_interactive, marks, new_table, next_line, out, print_json
from ops.session import open_session
from ops.stack import deploy_command

Up = Annotated[bool, typer.Option("--up", help="Also run `pulumi up`, which gives the host the new passphrase.")]

keys = typer.Typer(no_args_is_help=True, help="The passphrase and the recovery key of the backups: verify, rotate.")


@keys.command()
def verify(stack: options.Stack = None, json: options.Json = False) -> None:
    """Try the host's passphrase, the configured one and the recovery key on the local and every off-site repository."""
    from ops.offsite import ALL, opened  # noqa: PLC0415  # boto3 takes half a second that no other command should pay

    engine = Engine(stack, project_directory())
    place = read_place(engine)
    with (
        open_session(stack) as session,
        opened(engine, session.outputs, ALL) as destinations,
        waiting("Trying the keys") as now,
    ):
        found = try_all(session, place, [item for item in destinations if item.vault], now)
    if json:
        print_json({"repositories": found, "ok": all(item.well for item in found)})
    else:
        _show(found)
    if not all(item.well for item in found):
        raise typer.Exit(ExitCode.FAILED)


@keys.command()
def rotate(up: Up = False, yes: options.Yes = False, stack: options.Stack = None) -> None:
    """Give the backups a new passphrase: added everywhere, deployed, proven, and only then the old one taken away.

    It may stop anywhere, and goes on when run again. It does not encrypt anew: whoever had both the old passphrase
    and a copy of the repository keeps what was in it.
    """
    from ops.offsite import ALL, opened  # noqa: PLC0415

    engine = Engine(stack, project_directory())
    name = engine.stack_name()
    place = read_place(engine)
    if place.next is None:
        _agree(name, yes)
    with (
        open_session(stack) as session,
        opened(engine, session.outputs, ALL) as destinations,
        waiting("Rotating the passphrase") as now,
    ):
        rotation = Rotation(engine, session, destinations, now)
        place = rotation.begin(place)
        there = rotation.host_has(place)
        if not there and up:
            Deployment(engine, now).up()
            there = rotation.host_has(place)
        if there:
            rotation.finish(place)
    if there:
        out().print("The new passphrase opens every repository, and the old one opens none.")
        out().print(next_line(session.spell("tts keys verify")))
        return
    out().print("Both passphrases open every repository. The host still works with the old one.")
    out().print(next_line(f"{deploy_command(name)} && {session.spell('tts keys rotate')}"))


def _agree(word: str, yes: bool) -> None:
    if yes:
        return
    if not is_interactive():
        raise OpsError("Nobody is here to agree to this.", fix="Add --yes.", code=ExitCode.USAGE)
    err().print("The backups get a new passphrase. Write the recovery key down first if you have not.")
    if typer.prompt(f"Type {word} to go on", default="", show_default=False, err=True) != word:
        raise OpsError("That is not it: nothing was changed.", fix=f"Type {word} exactly, or add --yes.")


def _show(found: list[Opened]) -> None:
    good, bad = marks()
    words = {True: Text(f"{good} opens", style="green"), False: Text(f"{bad} does not", style="red"), None: Text("-")}
    table = new_table("repository", "from", "host's passphrase", "passphrase", "recovery key")
    for item in found:
        table.add_row(
            item.repository, item.seen_from, *(words[each] for each in (item.host, item.passphrase, item.recovery))
        )
    console = out()
    console.print(table)
    for item in found:
        if item.error:
            console.print(Text(f"{bad} {item.repository} (from {item.seen_from}): {item.error}", style="red"))
    console.print(next_line("tts audit" if all(item.well for item in found) else "tts status"))
