"""The commands of a host, started from here: its backup jobs as its schedule runs them, and those that only answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from ops import hostlog
from ops.errors import ExitCode, OpsError
from ops.hostreport import BackupResult, SnapshotList, decode
from ops.stack import deploy_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.remote import Completed
    from ops.session import Session

T = TypeVar("T")
BUSY_SECONDS: Final = 3600  # a killed `tts` may leave a restore at work on the host
PAUSE = 3  # seconds between two looks at what takes its time
LOCAL = "local"
HANDED = "handed"  # on the host that takes over another stack's data, that one's repository


def back_up(
    session: Session, kind: str, *, offsite: bool, now: Callable[[str], None], wait: int = 0
) -> tuple[BackupResult, ...]:
    """Run the backup of one kind, or of `all`, on the host that owns the jobs; `wait` seconds for one that runs.

    Raises:
        OpsError: the job did not run at all. A job that ran and failed is a result.
    """
    argv = ["tts-backup", kind, "--json", *([] if offsite else ["--no-offsite"])]
    argv += ["--wait", str(wait)] if wait else []
    done = session.remote.stream(session.outputs.owner, argv, on_word=lambda line: now(hostlog.words(line)))
    results = json_lines(done.stdout, BackupResult)
    began = any(result.result == "ok" for result in results) or done.code == ExitCode.FAILED
    if not results or not began:
        raise failed(session, done, f"The backup of {kind}")
    return results


def snapshots(session: Session, repository: str, kind: str | None) -> SnapshotList:
    """The snapshots in one repository, newest first.

    Raises:
        OpsError: there is no such repository, or the host cannot read it.
    """
    check_repository(session, repository)
    argv = ["tts-snapshots", "--json", "--repository", repository, *(["--kind", kind] if kind else [])]
    owner = session.outputs.owner
    done = session.remote.run(owner, argv, timeout=300)
    if done.code:
        raise failed(session, done, f"Reading the repository {repository}")
    return decode(done, SnapshotList, command="tts-snapshots", host=owner.name)


def ask(session: Session, argv: list[str], what: str, *, stdin: str = "", timeout: float = 600) -> str:
    """What a command prints on the host that owns the jobs.

    Raises:
        OpsError: it ended badly; `what` begins the sentence.
    """
    done = session.remote.run(session.outputs.owner, argv, stdin=stdin, timeout=timeout)
    if done.code:
        raise failed(session, done, what)
    return done.stdout.strip()


def patiently(now: Callable[[str], None], act: Callable[[], T]) -> T:
    """Wait while a host works on something else, such as what a killed run began there; `now` is told."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return act()
        except OpsError as error:
            if error.code != ExitCode.BUSY or time.monotonic() > deadline:
                raise
            now(f"waiting: {error.where}")
            time.sleep(PAUSE)


def check_repository(session: Session, name: str) -> None:
    """Refuse a repository that the stack does not have, before anything runs."""
    names = [LOCAL, *(offsite.name for offsite in session.outputs.backup.offsite)]
    if name not in [*names, HANDED]:
        raise OpsError(
            f"There is no repository {name}.",
            fix=f"Repositories of stack {session.stack}: {', '.join(names)}",
            code=ExitCode.USAGE,
        )


def failed(session: Session, done: Completed, what: str) -> OpsError:
    """The error for a host command that ended badly; its exit code decides which."""
    owner = session.outputs.owner.name
    reason = hostlog.reason(done.stderr)
    if done.code == ExitCode.BUSY:
        return OpsError(
            f"{what} did not start: another job is at work on {owner}.",
            where=reason,
            fix="Wait for it, then run this again.",
            code=ExitCode.BUSY,
        )
    if done.code == ExitCode.CONFIG:
        return OpsError(
            f"{what} did not start: the host is not set up as it should be.",
            where=reason,
            fix=deploy_command(session.stack),
            code=ExitCode.CONFIG,
        )
    missing = done.code == 127
    return OpsError(
        f"{what} failed." if not missing else f"{what} did not start: {owner} lacks the command.",
        where=f"{owner}: {reason}",
        fix=deploy_command(session.stack) if missing else session.spell(f"tts ssh {owner} -- ls /var/log/tts"),
    )


def json_lines(text: str, type_: type[T]) -> tuple[T, ...]:
    """The lines of a host command's output that are documents of this type; any other line is passed over."""
    found: list[T] = []
    for line in text.splitlines():
        try:
            found.append(msgspec.json.decode(line, type=type_))
        except msgspec.DecodeError:
            continue
    return tuple(found)
