"""`tts restore`: back to a snapshot, with a plan first, a typed yes, and a way back."""

# ruff: noqa: PLR0913, PLR0917  # the arguments of a command are its options

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from ops import jobs
from ops import restore as work
from ops.commands import options
from ops.errors import ExitCode, OpsError
from ops.hostreport import RestoreResult
from ops.progress import waiting
from ops.restore import Kept, Request
from ops.screen import err, is_interactive, next_line, out, print_json
from ops.screens.restore import plan_screen, result_screen
from ops.session import Session, open_session

_RESTORED = "/var/lib/tts/restored"  # on the host; each restore of a path gets a new folder in it

SnapshotId = Annotated[str, typer.Option("--snapshot", help="Id from `tts snapshots`, or latest.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")]
DropOld = Annotated[bool, typer.Option("--drop-old", help="Do not keep the replaced data: no undo afterwards.")]
Target = Annotated[
    str | None, typer.Option("--target", help="With PATH: a new folder on the host to put it in; else one is made.")
]
OfMedia = Annotated[bool, typer.Option("--media", help="The media instead of databases.")]

Databases = Annotated[list[str] | None, typer.Argument(help="Only these databases.")]

restore = typer.Typer(no_args_is_help=True, help="Put data back from a snapshot; what it replaces is kept for an undo.")


@dataclass(frozen=True)
class _Choice:
    """How the person wants it done. `word` is what must be typed to agree."""

    word: str
    dry_run: bool
    yes: bool
    json: bool
    drop_old: bool = False


@restore.command()
def database(
    name: Annotated[str, typer.Argument(help="The database.")],
    snapshot: SnapshotId = "latest",
    source: options.From = jobs.LOCAL,
    dry_run: DryRun = False,
    yes: options.Yes = False,
    drop_old: DropOld = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """One database. It is built aside and swapped in by a rename, so a failure leaves the live one as it was."""
    with open_session(stack) as session:
        request = Request(("databases", "--database", name), snapshot, source)
        _restore(session, request, f"database {name}", _Choice(name, dry_run, yes, json, drop_old))


@restore.command()
def databases(
    snapshot: SnapshotId = "latest",
    source: options.From = jobs.LOCAL,
    dry_run: DryRun = False,
    yes: options.Yes = False,
    drop_old: DropOld = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """All databases of one snapshot, swapped in together."""
    with open_session(stack) as session:
        request = Request(("databases",), snapshot, source)
        _restore(session, request, "all databases", _Choice(session.stack, dry_run, yes, json, drop_old))


@restore.command()
def media(
    path: Annotated[str | None, typer.Argument(help="One file or folder; without it all media.")] = None,
    target: Target = None,
    snapshot: SnapshotId = "latest",
    source: options.From = jobs.LOCAL,
    dry_run: DryRun = False,
    yes: options.Yes = False,
    drop_old: DropOld = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """All media in place, or one PATH laid into a folder beside them for you to look at."""
    folder = target or f"{_RESTORED}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    words = ("path", path, "--target", folder, "--kind", "media") if path else ("media",)
    what = f"{path} of the media into {folder}" if path else "all media"
    with open_session(stack) as session:
        request = Request(words, snapshot, source)
        _restore(session, request, what, _Choice(session.stack, dry_run, yes, json, drop_old and not path))


@restore.command()
def undo(
    names: Databases = None,
    media: OfMedia = False,
    yes: options.Yes = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """Put back what the last restore replaced: every database, the named ones, or the media."""
    kept = Kept(tuple(names or ()), media)
    with open_session(stack) as session:
        agree(session.stack, yes, "The data of now give way to those from before the restore.")
        _work(session, "Undoing the restore", lambda now: work.undo(session, kept, now), json=json)


@restore.command("drop-old")
def drop_old(
    names: Databases = None,
    media: OfMedia = False,
    yes: options.Yes = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """Delete what restores replaced and kept; after that there is no undo."""
    kept = Kept(tuple(names or ()), media)
    with open_session(stack) as session:
        agree(session.stack, yes, "The data from before the restore are deleted for good.")
        _work(session, "Deleting the old data", lambda now: work.drop_old(session, kept, now), json=json)


def _restore(session: Session, request: Request, what: str, choice: _Choice) -> None:
    """Plan, show, ask, do."""
    with waiting(f"Looking into {request.repository}"):
        plan = work.plan(session, request)
    owner = session.outputs.owner.name
    if choice.dry_run:
        if choice.json:
            print_json(plan)
        else:
            out().print(plan_screen(plan, what, owner))
            out().print("Nothing was changed: this was a dry run.")
        return
    if not choice.yes:
        err().print(plan_screen(plan, what, owner))
    agree(choice.word, choice.yes, "")
    _work(session, f"Restoring {what}", lambda now: work.carry_out(session, request, plan, now), json=choice.json)
    if choice.drop_old:
        kept = Kept(tuple(database.name for database in plan.databases), media=not plan.databases)
        with waiting("Deleting the old data") as now:
            work.drop_old(session, kept, now)


def agree(word: str, yes: bool, warning: str) -> None:
    """Go on only when the person types the word: a yes by habit is no yes."""
    if yes:
        return
    if not is_interactive():
        raise OpsError("Nobody is here to agree to this.", fix="Add --yes.", code=ExitCode.USAGE)
    if warning:
        err().print(warning)
    if typer.prompt(f"Type {word} to go on", default="", show_default=False, err=True) != word:
        raise OpsError("That is not it: nothing was changed.", fix=f"Type {word} exactly, or add --yes.")


def _work(session: Session, title: str, act: Callable[[Callable[[str], None]], RestoreResult], *, json: bool) -> None:
    with waiting(f"{title} on {session.outputs.owner.name}") as now:
        result = act(now)
    if json:
        print_json(result)
        return
    out().print(result_screen(result, title))
    out().print(next_line(session.spell("tts status")))
