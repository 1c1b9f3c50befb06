"""`tts backup` and `tts verify`: the host's jobs by hand, with their course and their result on the screen."""

from typing import Annotated

import typer

from ops import jobs
from ops.commands import options
from ops.commands.kinds import What
from ops.errors import ExitCode
from ops.progress import waiting
from ops.screen import next_line, out, print_json
from ops.screens.backup import backup_screen, verify_screen
from ops.session import Session, open_session
from ops.verify import Verification, verify_backups

Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Verify the new backups afterwards.")]
Offsite = Annotated[bool, typer.Option("--offsite/--no-offsite", help="Copy them off-site in the same run.")]


def backup(
    what: Annotated[What, typer.Argument(help="What to back up.")] = What.ALL,
    stack: options.Stack = None,
    verify: Verify = True,
    offsite: Offsite = True,
    json: options.Json = False,
) -> None:
    """Back up now, on the host that owns the jobs, then prove the result."""
    with open_session(stack) as session:
        with waiting(f"Backing up {what} on {session.outputs.owner.name}") as now:
            results = jobs.back_up(session, what, offsite=offsite, now=now)
        well = all(result.result == "ok" for result in results)
        verification = _verify(session) if verify and well else None
        if verification:
            well = verification.ok
        if json:
            print_json({"backups": results, "verification": verification})
        else:
            out().print(backup_screen(results))
            if verification:
                out().print(verify_screen(verification))
            out().print(next_line(session.spell("tts status")))
    if not well:
        raise typer.Exit(ExitCode.FAILED)


def verify(stack: options.Stack = None, json: options.Json = False) -> None:
    """Prove the newest backup of each kind: repository structure, part of its data, age, size."""
    with open_session(stack) as session:
        verification = _verify(session)
        if json:
            print_json(verification)
        else:
            step = "tts status" if verification.ok else "tts backup"
            out().print(verify_screen(verification))
            out().print(next_line(session.spell(step)))
    if not verification.ok:
        raise typer.Exit(ExitCode.FAILED)


def _verify(session: Session) -> Verification:
    with waiting(f"Verifying on {session.outputs.owner.name}") as now:
        return verify_backups(session, now=now)
