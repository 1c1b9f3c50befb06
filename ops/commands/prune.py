"""`tts prune`: retention of the off-site copies, from the operator's machine."""

from typing import Annotated

import typer

from ops.commands import options
from ops.engine import Engine, project_directory
from ops.errors import ExitCode, OpsError
from ops.progress import waiting
from ops.screen import err, is_interactive, next_line, out, print_json
from ops.stack import parse_outputs

Source = Annotated[str, typer.Option("--from", help="The copies to prune: aws, spaces, another destination, or all.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")]
Accept = Annotated[
    bool, typer.Option("--accept", help="With --yes: go on although something looks wrong, which was looked into.")
]


def prune(
    source: Source = "all",
    dry_run: DryRun = False,
    yes: options.Yes = False,
    accept: Accept = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """Remove what retention no longer keeps off-site, and prolong the locks of what stays. Run it at least monthly.

    It needs restic on this machine, and the stack's key for maintenance, which no host has.
    """
    from ops import prune as work  # noqa: PLC0415  # boto3 takes half a second that no other command should pay
    from ops.offsite import opened  # noqa: PLC0415
    from ops.screens.prune import prospect_screen, pruned_screen  # noqa: PLC0415

    engine = Engine(stack, project_directory())
    name = engine.stack_name()
    outputs = parse_outputs(name, engine.outputs())
    with opened(engine, outputs, source) as destinations:
        with waiting("Looking into the copies") as now:
            todo: list[work.Work] = []
            for destination in destinations:
                now(destination.name)
                todo.append(work.look(destination, outputs, name))
        prospects = [each.prospect for each in todo]
        if dry_run:
            if json:
                print_json({"copies": prospects})
            else:
                out().print(prospect_screen(prospects))
                out().print("Nothing was changed: this was a dry run.")
            return
        doubts = [doubt for each in prospects for doubt in each.doubts]
        if not yes or doubts:
            err().print(prospect_screen(prospects))
        _agree(name, yes=yes and (accept or not doubts), doubts=bool(doubts))
        with waiting("Pruning") as now:
            results = [work.carry_out(each, now) for each in todo]
    if json:
        print_json({"copies": results})
    else:
        out().print(pruned_screen(results))
        out().print(next_line("tts audit" + (f" --stack {stack}" if stack else "")))
    if any(result.error for result in results):
        raise typer.Exit(ExitCode.FAILED)


def _agree(word: str, *, yes: bool, doubts: bool) -> None:
    """Go on only when the person types the stack's name; with doubts, `--yes` alone is none."""
    if yes:
        return
    if not is_interactive():
        fix = "Look into it, then add --yes --accept." if doubts else "Add --yes."
        raise OpsError("Nobody is here to agree to this.", fix=fix, code=ExitCode.USAGE)
    if typer.prompt(f"Type {word} to go on", default="", show_default=False, err=True) != word:
        raise OpsError("That is not it: nothing was changed.", fix=f"Type {word} exactly, or add --yes.")
