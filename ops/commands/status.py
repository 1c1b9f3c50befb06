"""`tts status`: the whole stack on one screen."""

import msgspec
import typer

from ops.commands import options
from ops.errors import ExitCode
from ops.judge import Finding, judge, next_step
from ops.progress import waiting
from ops.screen import out, print_json
from ops.screens.status import status_screen
from ops.session import open_session
from ops.status import Status, collect


def status(stack: options.Stack = None, json: options.Json = False) -> None:
    """Rung, hosts, services, backups and their copies, cost, and what to do next.

    Exit code 3 when something needs a person, 0 when all is well.
    """
    with waiting("Asking the stack and its hosts"), open_session(stack) as session:
        seen = collect(session.stack, session.outputs, session.remote)
    findings = tuple(
        msgspec.structs.replace(finding, next_step=session.spell(finding.next_step)) for finding in judge(seen)
    )
    step = session.spell(next_step(findings))
    if json:
        print_json(document(seen, findings, step))
    else:
        out().print(status_screen(seen, findings, step))
    if any(finding.urgent for finding in findings):
        raise typer.Exit(ExitCode.ATTENTION)


def document(seen: Status, findings: tuple[Finding, ...], step: str) -> dict[str, object]:
    """The JSON of `tts status`: everything on the screen, and the findings with their next steps."""
    return {**msgspec.structs.asdict(seen), "findings": findings, "next_step": step}
