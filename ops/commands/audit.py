"""`tts audit` and `tts cost`: what can be known about a stack without touching its hosts."""

import msgspec
import typer

from ops.commands import options
from ops.errors import ExitCode
from ops.progress import waiting
from ops.screen import next_line, out, print_json
from ops.screens.audit import audit_screen, cost_screen
from ops.session import read_outputs


def audit(stack: options.Stack = None, json: options.Json = False) -> None:
    """Check the off-site buckets from outside, read-only: history, encryption, lock, access, freshness.

    Needs the operator's own AWS_* and SPACES_* credentials. Exit code 3 when something needs a person.
    """
    from ops.audit import audit as look  # noqa: PLC0415  # boto3 takes half a second that no other command should pay

    _, outputs = read_outputs(stack)
    with waiting("Looking into the buckets") as now:
        reports = look(outputs.backup.offsite, now)
    if json:
        print_json({"buckets": reports, "findings": sum(len(report.findings) for report in reports)})
    else:
        out().print(audit_screen(reports))
        out().print(next_line("tts status" + (f" --stack {stack}" if stack else "")))
    if any(report.findings for report in reports) or not reports:
        raise typer.Exit(ExitCode.ATTENTION)


def cost(stack: options.Stack = None, json: options.Json = False) -> None:
    """What the stack costs a month, item by item."""
    _, outputs = read_outputs(stack)
    if json:
        print_json(msgspec.structs.asdict(outputs.cost_per_month))
    else:
        out().print(cost_screen(outputs.cost_per_month))
