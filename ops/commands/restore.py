"""`tts restore`: back to a snapshot, with a plan first, a typed yes, and a way back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from ops import jobs
from ops import restore as work
from ops.commands import options
from ops.errors import ExitCode, OpsError
from ops.hostreport import RestoreResult
from ops.progress import waiting
from ops.restore import Kept, Part, Request
from ops.screen import err, is_interactive, next_line, out, print_json
from ops.screens.restore import plan_screen, result_screen
from ops.session import Session, open_session

Database = Annotated[str, typer.Argument(help="The database.")]
Databases = Annotated[list[str] | None, typer.Argument(help="Only these databases.")]
Tables = Annotated[list[str], typer.Argument(help="Its tables: NAME, or SCHEMA.NAME.")]
Paths = Annotated[list[str] | None, typer.Argument(help="Only these files or folders; without any, all.")]
MissingOnly = Annotated[
    bool, typer.Option("--missing-only", help="Only add the rows that are gone; change and remove none.")
]
Target = Annotated[
    str | None, typer.Option("--target", help="Lay the paths into this new folder on the host and replace nothing.")
]

restore = typer.Typer(no_args_is_help=True, help="Put data back from a snapshot; what it replaces is kept for an undo.")


@dataclass(frozen=True)
class _How:
    """From where, and how the person wants it done."""

    snapshot: Annotated[str, typer.Option("--snapshot", help="Id from `tts snapshots`, or latest.")] = "latest"
    source: options.From = jobs.LOCAL
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Do not keep the replaced data: no undo afterwards.")] = (
        False
    )
    yes: options.Yes = False
    stack: options.Stack = None
    json: options.Json = False


@dataclass(frozen=True)
class _Which:
    """Which kept data, and how to answer."""

    media: Annotated[bool, typer.Option("--media", help="The media instead of databases.")] = False
    config: Annotated[bool, typer.Option("--config", help="The configuration instead of databases.")] = False
    tables: Annotated[bool, typer.Option("--tables", help="Single tables of the one database that is named.")] = False
    yes: options.Yes = False
    stack: options.Stack = None
    json: options.Json = False

    def kept(self, names: list[str] | None) -> Kept:
        parts = [part for part in Part if getattr(self, part)]
        named = tuple(names or ())
        fits = not parts or (len(named) == 1 if parts == [Part.TABLES] else not named)
        if len(parts) > 1 or not fits:
            raise OpsError(
                "This does not say what to do it to.",
                fix="Name databases, or --media, or --config, or one database and --tables.",
                code=ExitCode.USAGE,
            )
        return Kept(named, parts[0] if parts else None)


@restore.command()
@options.grouped
def database(name: Database, how: _How) -> None:
    """One database. It is built aside and swapped in by a rename, so a failure leaves the live one as it was."""
    _restore(("databases", "--database", name), f"database {name}", how, Kept((name,)), word=name)


@restore.command()
@options.grouped
def databases(how: _How) -> None:
    """All databases of one snapshot, swapped in together."""
    _restore(("databases",), "all databases", how, Kept())


@restore.command()
@options.grouped
def table(database: Database, names: Tables, missing_only: MissingOnly = False, *, how: _How) -> None:
    """Single tables of a live database: their rows become those of the snapshot, in one transaction.

    Rows that other tables refer to are not taken away: it is refused, and those tables can be named as well.
    """
    chosen = tuple(word for name in names for word in ("--table", name))
    words = ("tables", "--database", database, *chosen, *(("--missing-only",) if missing_only else ()))
    _restore(words, f"{', '.join(names)} of {database}", how, Kept((database,), Part.TABLES), word=database)


@restore.command()
@options.grouped
def media(paths: Paths = None, target: Target = None, *, how: _How) -> None:
    """All media, or only some files or folders of them."""
    _restore_files(Part.MEDIA, paths or [], target, how)


@restore.command()
@options.grouped
def config(paths: Paths = None, target: Target = None, *, how: _How) -> None:
    """The configuration files that differ from the snapshot's; `tts config-diff` shows them before."""
    _restore_files(Part.CONFIG, paths or [], target, how)


@restore.command()
@options.grouped
def undo(names: Databases = None, *, which: _Which) -> None:
    """Put back what the last restore replaced: every database, the named ones, tables, media or configuration."""
    kept = which.kept(names)
    with open_session(which.stack) as session:
        agree(session.stack, which.yes, "The data of now give way to those from before the restore.")
        _work(session, "Undoing the restore", lambda now: work.undo(session, kept, now), json=which.json)


@restore.command("drop-old")
@options.grouped
def drop_old(names: Databases = None, *, which: _Which) -> None:
    """Delete what restores replaced and kept; after that there is no undo."""
    kept = which.kept(names)
    with open_session(which.stack) as session:
        agree(session.stack, which.yes, "The data from before the restore are deleted for good.")
        _work(session, "Deleting the old data", lambda now: work.drop_old(session, kept, now), json=which.json)


def _restore_files(part: Part, paths: list[str], target: str | None, how: _How) -> None:
    what = f"{', '.join(paths)} of the {part}" if paths else "all media" if part is Part.MEDIA else "the configuration"
    if not target:
        _restore((part, *paths), what, how, Kept(part=part))
        return
    if not paths:
        raise OpsError("--target needs paths.", fix="Name the files or folders to lay there.", code=ExitCode.USAGE)
    _restore(("path", *paths, "--target", target, "--kind", part), f"{what} into {target}", how, None)


def _restore(words: tuple[str, ...], what: str, how: _How, replaces: Kept | None, word: str | None = None) -> None:
    """Plan, show, ask for `word`, else the name of the stack, and do it."""
    request = Request(words, how.snapshot, how.source)
    with open_session(how.stack) as session:
        with waiting(f"Looking into {request.repository}"):
            plan = work.plan(session, request)
        screen = plan_screen(plan, what, session.outputs.owner.name)
        if how.dry_run:
            if how.json:
                print_json(plan)
            else:
                out().print(screen)
                out().print("Nothing was changed: this was a dry run.")
            return
        if not how.yes:
            err().print(screen)
        agree(word or session.stack, how.yes, "")
        _work(session, f"Restoring {what}", lambda now: work.carry_out(session, request, plan, now), json=how.json)
        if how.drop_old and replaces:
            with waiting("Deleting the old data") as now:
                work.drop_old(session, replaces, now)


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
