"""`tts rebuild`: host and disk are gone; make both anew."""

from typing import Annotated

import msgspec
import typer

from ops import rebuild as work
from ops.commands import options
from ops.commands.restore import agree
from ops.engine import Engine, project_directory
from ops.errors import ExitCode, OpsError
from ops.journal import Journal
from ops.progress import waiting
from ops.rebuild_host import Work
from ops.screen import err, next_line, out, print_json
from ops.screens.rebuild import loss_screen, report_screen, resume_screen

Source = Annotated[
    str | None,
    typer.Option("--from", help="The off-site repository: aws, spaces. Without it the one with the newest databases."),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="The droplet is there but lost: keep an image of its disk, then delete it.")
]
Anew = Annotated[bool, typer.Option("--anew", help="Forget an unfinished rebuild instead of going on with it.")]


def rebuild(
    source: Source = None,
    replace: Replace = False,
    anew: Anew = False,
    yes: options.Yes = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """Make a lost host anew and bring its data back from off-site. Killed at any point, the same command goes on."""
    engine = Engine(stack, project_directory())
    engine = Engine(engine.stack_name(), engine.directory)
    name = engine.stack_name()
    journal = None if anew else Journal.open(work.WORK, name)
    if journal:
        err().print(resume_screen(journal.record))
    else:
        journal = _begin(engine, name, source, replace=replace, yes=yes)
    with waiting(f"Rebuilding {journal.record.choices['host']}") as now:
        doing = Work(engine, journal, now)
        report = work.rebuild(doing)
        file = work.close(doing, report)
    if json:
        print_json(msgspec.to_builtins(report))
        return
    out().print(report_screen(report, str(file)))
    out().print(next_line("tts status" + (f" --stack {stack}" if stack else "")))


def _begin(engine: Engine, stack: str, source: str | None, *, replace: bool, yes: bool) -> Journal:
    """Find out what is lost, ask, and open the journal."""
    with waiting("Asking the provider"):
        known = work.offsite_names(engine, stack)
        loss = work.find_loss(engine, stack)
    if source and source not in known:
        raise OpsError(
            f"There is no off-site repository {source}.",
            fix=f"Off-site repositories of stack {stack}: {', '.join(known) or 'none'}",
            code=ExitCode.USAGE,
        )
    if not loss.gone and not replace:
        raise OpsError(
            f"Droplet {loss.droplet} of {loss.host} is there; the provider says it is {loss.status}.",
            fix="Start it, or see `tts status`. Only if it is lost for good: tts rebuild --replace",
            code=ExitCode.USAGE,
        )
    if not yes:
        err().print(loss_screen(loss, stack, source))
    agree(loss.host, yes, "")
    choices = {"host": loss.host, "droplet": loss.droplet, "replace": replace, "from": source}
    return Journal.begin(work.WORK, stack, choices)
