"""Asking the host to prove its backups."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from ops import hostlog
from ops.jobs import failed, json_lines
from ops.session import Session


class Verification(msgspec.Struct, frozen=True):
    """The report of `tts-verify --json`. `findings` are what a person must look at."""

    result: str
    checked_at: datetime | None = None
    findings: tuple[Any, ...] = ()
    kinds: dict[str, Any] = {}
    repositories: dict[str, Any] = {}

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return self.result == "ok" and not self.findings


def verify_backups(session: Session, now: Callable[[str], None]) -> Verification:
    """Run the verification on the host that owns the jobs.

    Raises:
        OpsError: it did not run at all. A check that found something is a result.
    """
    done = session.remote.stream(
        session.outputs.owner, ["tts-verify", "--json"], on_word=lambda line: now(hostlog.words(line))
    )
    reports = json_lines(done.stdout, Verification)
    if not reports:
        raise failed(session, done, "The verification")
    return reports[-1]
