"""`tts rewind`: what an off-site bucket held at a moment, to look at, to fetch, or to put back."""

# ruff: noqa: PLR0913, PLR0917  # the arguments of a command are its options

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands import options
from ops.engine import Engine, project_directory
from ops.errors import ExitCode, OpsError
from ops.progress import waiting
from ops.screen import err, is_interactive, next_line, out, print_json
from ops.stack import parse_outputs

if TYPE_CHECKING:
    from ops.offsite import Destination
    from ops.rewind import Rewind

To = Annotated[str, typer.Option("--to", help="The moment: 2026-11-23T02:00:00 in UTC, or an age such as 3h or 2d.")]
Source = Annotated[str, typer.Option("--from", help="The bucket: aws or spaces.")]
Folder = Annotated[
    Path | None, typer.Option("--to-dir", help="Fetch the repository of that moment into this new folder.")
]
Apply = Annotated[bool, typer.Option("--apply", help="Put what was overwritten or deleted since back in the bucket.")]
HideAdded = Annotated[
    bool, typer.Option("--hide-added", help="With --apply: hide what was added since, good backups too.")
]


def rewind(
    to: To,
    source: Source = "aws",
    to_dir: Folder = None,
    apply: Apply = False,
    hide_added: HideAdded = False,
    yes: options.Yes = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """Show what a bucket held at a moment; fetch it, or put it back. No version is ever deleted."""
    from ops import rewind as work  # noqa: PLC0415  # boto3 takes half a second that no other command should pay
    from ops.offsite import opened  # noqa: PLC0415
    from ops.screens.rewind import changes_screen  # noqa: PLC0415

    if apply and to_dir:
        raise OpsError("--to-dir and --apply exclude each other.", fix="Fetch and look first.", code=ExitCode.USAGE)
    moment = work.parse_moment(to, datetime.now(UTC))
    if to_dir:
        work.check_folder(to_dir)
    engine = Engine(stack, project_directory())
    name = engine.stack_name()
    outputs = parse_outputs(name, engine.outputs())
    with opened(engine, outputs, source) as (destination, *_):
        if destination.vault is None:
            raise OpsError(
                f"{source} is no bucket of this program.",
                fix="Use the versions of whoever keeps it.",
                code=ExitCode.USAGE,
            )
        with waiting(f"Reading the versions of {source}"):
            found = work.look(destination.vault, moment)
        if to_dir:
            _fetch(destination, found, to_dir, json=json)
        elif apply:
            _apply(destination, found, hide_added=hide_added, yes=yes, json=json)
        elif json:
            print_json(found.changes)
        else:
            out().print(changes_screen(found.changes, found.vault.bucket))
            out().print(next_line(f"tts rewind --to {to} --from {source} --to-dir FOLDER"))


def _fetch(destination: "Destination", found: "Rewind", folder: Path, *, json: bool) -> None:
    """Into a folder, then opened by restic as any repository."""
    from ops import rewind as work  # noqa: PLC0415
    from ops.restic import SLOW, Repository  # noqa: PLC0415
    from ops.screens.rewind import fetched_screen  # noqa: PLC0415

    with waiting("Fetching") as now:
        fetched = work.fetch(found, folder, now)
        now("restic looks at it")
        local = Repository("fetched", str(folder), destination.repository.password, {})
        snapshots = local.snapshots()
        check = local.try_run("check", "--no-lock", timeout=SLOW)
    well = check.code == 0 and not fetched.damaged
    if json:
        print_json({"changes": found.changes, "fetched": fetched, "snapshots": len(snapshots), "sound": well})
    else:
        out().print(fetched_screen(fetched))
        sound = "is sound" if check.code == 0 else f"is damaged: {check.words}"
        out().print(f"restic lists {len(snapshots)} snapshots in it; its structure {sound}.", markup=False)
        out().print(next_line(f"restic -r {folder} snapshots"))
    if not well:
        raise typer.Exit(ExitCode.FAILED)


def _apply(destination: "Destination", found: "Rewind", *, hide_added: bool, yes: bool, json: bool) -> None:
    """Into the bucket itself, after a typed yes."""
    from ops import rewind as work  # noqa: PLC0415
    from ops.restic import SLOW  # noqa: PLC0415
    from ops.screens.rewind import changes_screen  # noqa: PLC0415

    if not yes:
        err().print(changes_screen(found.changes, found.vault.bucket))
        if not is_interactive():
            raise OpsError("Nobody is here to agree to this.", fix="Add --yes.", code=ExitCode.USAGE)
        word = found.vault.bucket
        if typer.prompt(f"Type {word} to go on", default="", show_default=False, err=True) != word:
            raise OpsError("That is not it: nothing was changed.", fix=f"Type {word} exactly, or add --yes.")
    with waiting("Putting back") as now:
        applied = work.apply(found, now, hide_added=hide_added)
        now("restic looks at it")
        snapshots = destination.repository.snapshots()
        check = destination.repository.try_run("check", "--no-lock", timeout=SLOW)
    if json:
        print_json(
            {"changes": found.changes, "applied": applied, "snapshots": len(snapshots), "sound": check.code == 0}
        )
    else:
        out().print(f"{applied.restored} objects were put back, {applied.hidden} hidden.")
        sound = "is sound" if check.code == 0 else f"is damaged: {check.words}"
        out().print(f"restic lists {len(snapshots)} snapshots; the structure {sound}.", markup=False)
        out().print(next_line("tts audit"))
    if check.code:
        raise typer.Exit(ExitCode.FAILED)
