"""`tts promote`: one stack takes another's place."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import typer

from ops import promote as work
from ops.commands import options
from ops.commands.restore import agree
from ops.engine import Engine, project_directory
from ops.errors import ExitCode, OpsError
from ops.journal import Journal
from ops.progress import waiting
from ops.promote_check import Side, check
from ops.screen import err, marks, next_line, out, print_json
from ops.screens.promote import plan_screen, report_screen, resume_screen

Source = Annotated[str, typer.Option("--from", help="The stack that serves now.")]
Target = Annotated[str, typer.Option("--to", help="The stack that is to serve.")]
Back = Annotated[bool, typer.Option("--back", help="The other way round: what --to has by now goes to --from.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Look at both stacks, show the plan, change nothing.")]
Abort = Annotated[
    bool, typer.Option("--abort", help="Give an unfinished promotion up: the source serves again as it did.")
]
Anew = Annotated[bool, typer.Option("--anew", help="Forget an unfinished promotion instead of going on with it.")]


@dataclass(frozen=True)
class How:
    """What is to be done with it, and how the person wants to be told."""

    back: Back = False
    dry_run: DryRun = False
    abort: Abort = False
    anew: Anew = False
    yes: options.Yes = False
    json: options.Json = False


@options.grouped
def promote(source: Source, target: Target, how: How) -> None:
    """Let one stack take another's place: a last backup, restored and compared, then the entry moves.

    The source stays held, with its data, for --back. Killed at any point, the same command goes on.
    """
    if how.back:
        source, target = target, source
    journal = None if how.anew else Journal.open(work.WORK, f"{source}-{target}")
    directory = project_directory()
    engines = Engine(source, directory), Engine(target, directory)
    if how.abort:
        _abort(journal, *engines)
        return
    if journal and not how.dry_run:
        err().print(resume_screen(journal.record))
    else:
        journal = _begin(*engines, how)
    if journal is None:
        return
    with waiting(f"{target} takes the place of {source}") as now:
        report = work.promote(journal, *engines, now)
        file = work.close(journal, report)
    if how.json:
        print_json(msgspec.to_builtins(report))
        return
    out().print(report_screen(report, str(file)))
    out().print(next_line(f"tts status --stack {target}"))


def _begin(source: Engine, target: Engine, how: How) -> Journal | None:
    """Look at both stacks, ask, and open the journal; None when only the plan was asked for."""
    names = source.stack or "", target.stack or ""
    with waiting("Looking at both stacks"):
        plan = check(*(Side.of(name, source.directory) for name in names))
    if how.dry_run:
        if how.json:
            print_json(msgspec.to_builtins(plan))
        else:
            out().print(plan_screen(plan))
            out().print("Nothing was changed: this was a dry run.")
        return None
    if not how.yes:
        err().print(plan_screen(plan))
    agree(plan.target, how.yes, f"What {plan.target} holds is replaced; {plan.source} serves nobody from now on.")
    return Journal.begin(work.WORK, f"{names[0]}-{names[1]}", {"plan": msgspec.to_builtins(plan)})


def _abort(journal: Journal | None, source: Engine, target: Engine) -> None:
    if journal is None:
        raise OpsError(
            f"No promotion of {target.stack} is unfinished.",
            fix="See where things stand: tts status",
            code=ExitCode.USAGE,
        )
    with waiting(f"{source.stack} starts again") as now:
        work.abort(journal, source, target, now)
    out().print(f"{marks()[0]} {source.stack} serves again; {target.stack} is held: tts ssh, then tts-hold off")
    out().print(next_line(f"tts status --stack {source.stack}"))
