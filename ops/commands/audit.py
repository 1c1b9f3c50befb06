"""`tts audit` and `tts cost`: what can be known about a stack without touching its hosts."""

from typing import TYPE_CHECKING

import msgspec
import typer

from ops.commands import options
from ops.engine import Engine, project_directory
from ops.errors import ExitCode, OpsError
from ops.progress import waiting
from ops.screen import err, next_line, out, print_json
from ops.screens.audit import audit_screen, cost_screen
from ops.session import read_outputs
from ops.stack import parse_outputs

if TYPE_CHECKING:
    from ops.audit import Access
    from ops.stack import Outputs


def audit(stack: options.Stack = None, json: options.Json = False) -> None:
    """Check the off-site copies from outside, read-only: history, encryption, locks, access, freshness, growth.

    Uses the stack's key for audits, else the operator's own AWS_* and SPACES_* credentials; and, where restic and the
    stack's passphrase are at hand, looks at each kind of backup. Exit code 3 when something needs a person.
    """
    from ops.audit import audit as look  # noqa: PLC0415  # boto3 takes half a second that no other command should pay

    engine = Engine(stack, project_directory())
    name = engine.stack_name()
    outputs = parse_outputs(name, engine.outputs())
    access = _access(engine, outputs)
    with waiting("Looking into the buckets") as now:
        reports = look(outputs, name, access, now)
    if json:
        print_json({"buckets": reports, "findings": sum(len(report.findings) for report in reports)})
    else:
        out().print(audit_screen(reports))
        out().print(next_line("tts status" + (f" --stack {stack}" if stack else "")))
    if any(report.findings for report in reports) or not reports:
        raise typer.Exit(ExitCode.ATTENTION)


def _access(engine: Engine, outputs: "Outputs") -> "Access":
    """What can be had. Without the stack's secrets the environment's keys must do."""
    from ops.audit import Access  # noqa: PLC0415
    from ops.offsite import further_credentials  # noqa: PLC0415
    from ops.vault import read_keys  # noqa: PLC0415

    try:
        keys = read_keys(engine, "audit")
        password = engine.secret("backupPassphrase").strip()
        others = any(item.bucket is None for item in outputs.backup.offsite)
        return Access(keys, password, further_credentials(engine.config()) if others else {})
    except OpsError as error:
        err().print(f"Without the stack's own keys: {error.what}", markup=False)
        return Access({}, None, {})


def cost(stack: options.Stack = None, json: options.Json = False) -> None:
    """What the stack costs a month, item by item."""
    _, outputs = read_outputs(stack)
    if json:
        print_json(msgspec.structs.asdict(outputs.cost_per_month))
    else:
        out().print(cost_screen(outputs.cost_per_month))
