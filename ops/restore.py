"""Restoring on the host that owns the backups: first a plan that changes nothing, then the same plan carried out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from ops import hostlog, jobs
from ops.errors import ExitCode, OpsError
from ops.hostreport import RestoreEvent, RestorePlan, RestoreResult, RestoreStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.session import Session


@dataclass(frozen=True)
class Request:
    """What to restore: the host command's own words, the snapshot (an id or `latest`), and the repository.

    `host` and `stack` say whose snapshots, where they are not this stack's own.
    """

    words: tuple[str, ...]
    snapshot: str = "latest"
    repository: str = jobs.LOCAL
    host: str = ""
    stack: str = ""

    def argv(self, *flags: str) -> list[str]:
        """The host command."""
        source = ["--snapshot", self.snapshot, "--repository", self.repository]
        source += [
            word for name in ("host", "stack") if (value := getattr(self, name)) for word in (f"--{name}", value)
        ]
        return ["tts-restore", *self.words, *source, *flags, "--json"]


def plan(session: Session, request: Request) -> RestorePlan:
    """What the request would put back. Nothing is changed.

    Raises:
        OpsError: no such repository, snapshot or database; the host's own words say which.
    """
    jobs.check_repository(session, request.repository)
    done = session.remote.run(session.outputs.owner, request.argv("--dry-run"), timeout=600)
    plans = [event for event in _events(done.stdout) if isinstance(event, RestorePlan)]
    if done.code or not plans:
        raise _refused(session, done.stdout) or jobs.failed(session, done, "Planning the restore")
    return plans[0]


def carry_out(session: Session, request: Request, agreed: RestorePlan, now: Callable[[str], None]) -> RestoreResult:
    """Do what was planned, from exactly the snapshot that was agreed to.

    Raises:
        OpsError: it failed; the host leaves the live data as they were.
    """
    return _change(session, replace(request, snapshot=agreed.snapshot).argv("--yes"), "The restore", now)


class Part(StrEnum):
    """What a restore can have replaced other than whole databases."""

    MEDIA = "media"
    CONFIG = "config"
    TABLES = "tables"


@dataclass(frozen=True)
class Kept:
    """Data that a restore replaced and kept: of a part, of some databases, or of every database."""

    databases: tuple[str, ...] = ()
    part: Part | None = None

    def argv(self, verb: str) -> list[str]:
        """The host command that does `verb`, undo or drop-old, to them."""
        names = [word for name in self.databases for word in ("--database", name)]
        return ["tts-restore", verb, *names, *([f"--{self.part}"] if self.part else []), "--yes", "--json"]


def undo(session: Session, kept: Kept, now: Callable[[str], None]) -> RestoreResult:
    """Put back what the last restore replaced."""
    return _change(session, kept.argv("undo"), "The undo", now)


def drop_old(session: Session, kept: Kept, now: Callable[[str], None]) -> RestoreResult:
    """Delete what restores replaced and kept."""
    return _change(session, kept.argv("drop-old"), "Dropping the old data", now)


def _change(session: Session, argv: list[str], what: str, now: Callable[[str], None]) -> RestoreResult:
    def show(line: str) -> None:
        for event in _events(line):
            if isinstance(event, RestoreStep):
                now(_step_words(event))

    done = session.remote.stream(session.outputs.owner, argv, on_data=show)
    results = [event for event in _events(done.stdout) if isinstance(event, RestoreResult)]
    if not results or (done.code and results[-1].result == "ok"):
        raise jobs.failed(session, done, what)
    if results[-1].result != "ok":
        raise OpsError(
            f"{what} failed; the live data are as they were.",
            where=results[-1].error or hostlog.reason(done.stderr),
            fix=session.spell("tts status"),
        )
    return results[-1]


def _refused(session: Session, output: str) -> OpsError | None:
    """The host's reason when it answered a plan with a result instead."""
    for event in _events(output):
        if isinstance(event, RestoreResult) and event.error:
            return OpsError(
                "This cannot be restored.",
                where=event.error,
                fix=session.spell("tts snapshots"),
                code=ExitCode.FAILED,
            )
    return None


def _events(text: str) -> list[RestoreEvent]:
    found: list[RestoreEvent] = []
    for line in text.splitlines():
        try:
            found.append(msgspec.json.decode(line, type=RestoreEvent))
        except msgspec.DecodeError:
            continue  # a line for people
    return found


def _step_words(step: RestoreStep) -> str:
    count = f" {step.done} of {step.of}" if step.of else ""
    numbers = {"added": step.added, "changed": step.changed, "removed": step.removed}
    rows = ", ".join(f"{number} {what}" for what, number in numbers.items() if isinstance(number, int))
    return f"{step.step} {step.table or step.database or ''}".strip() + count + (f": {rows}" if rows else "")
