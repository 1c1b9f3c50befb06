"""What the host commands print, typed: `tts-host-status` and `tts-snapshots --json`."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from ops.errors import OpsError
from ops.remote import Completed

T = TypeVar("T")


class Service(msgspec.Struct, frozen=True):
    """A container of the application. `healthy` is what its health check says, false when it has none."""

    name: str
    service: str
    healthy: bool
    state: str
    restarts: int = 0


class OffsiteCopy(msgspec.Struct, frozen=True):
    """The newest copy at one destination. `lag` counts the local snapshots it lacks, `error` is the last try's."""

    name: str
    snapshot: str | None = None
    newest: datetime | None = None
    lag: int = 0
    error: str | None = None


class BackupKind(msgspec.Struct, frozen=True):
    """The state of one kind of backup. Ages are in seconds; times are UTC."""

    kind: str
    newest: datetime | None
    age_seconds: float | None
    snapshot: str | None = None
    verified: bool = False
    verified_at: datetime | None = None
    last_result: str = "none"
    last_error: str | None = None
    offsite: tuple[OffsiteCopy, ...] = ()


class Disk(msgspec.Struct, frozen=True):
    """The file system that holds the data and the local repository."""

    path: str
    free_percent: float
    free_bytes: int


class Week(msgspec.Struct, frozen=True):
    """Samples of up to seven days: how many hours, what 95 % of them do not exceed, and the disk as it is now."""

    hours: float = 0
    cpu_percent: int | None = None
    memory_percent: int | None = None
    disk_free_percent: int | None = None


class Drill(msgspec.Struct, frozen=True):
    """One drill, as the host records it. `steps` are in seconds; a drill with findings has failed."""

    result: str
    started: datetime
    repository: str
    seconds: float = 0
    server: str = ""
    snapshots: dict[str, Any] = {}
    databases: dict[str, dict[str, int]] = {}
    media: dict[str, int] = {}
    media_missing: tuple[str, ...] = ()
    steps: dict[str, float] = {}
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything came back as it was."""
        return self.result == "PASS" and not self.findings

    @property
    def rows(self) -> int:
        """Rows of all databases that were restored and compared."""
        return sum(database.get("rows", 0) for database in self.databases.values())


class HostReport(msgspec.Struct, frozen=True):
    """What `tts-host-status` prints. `findings` are the last verification's, `errors` say what could not be read."""

    services: tuple[Service, ...] = ()
    backups: tuple[BackupKind, ...] = ()
    disk: Disk | None = None
    repository_bytes: int | None = None
    load: tuple[float, ...] = ()
    memory_used_percent: float | None = None
    week: Week = Week()
    drill: Drill | None = None
    findings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class OffsiteResult(msgspec.Struct, frozen=True):
    """How the copy to one destination went."""

    name: str
    result: str
    error: str | None = None


class BackupResult(msgspec.Struct, frozen=True):
    """One line of `tts-backup --json`: how the backup of one kind went. `step` is where it stopped."""

    job: str
    result: str
    kind: str | None = None
    step: str | None = None
    error: str | None = None
    snapshot: str | None = None
    seconds: float = 0
    files: int | None = None
    bytes: int | None = None
    warnings: tuple[str, ...] = ()
    offsite: tuple[OffsiteResult, ...] = ()

    @property
    def name(self) -> str:
        """The kind; a job that did not get as far as to say it is known by its own name."""
        return self.kind or self.job.removeprefix("backup-")


class Snapshot(msgspec.Struct, frozen=True):
    """One snapshot of a repository. `original` is the local one that this is a copy of, `host` whose data it holds."""

    id: str
    short_id: str
    time: datetime
    kind: str
    run: str | None = None
    original: str | None = None
    files: int | None = None
    bytes: int | None = None
    host: str | None = None
    stack: str | None = None


class SnapshotList(msgspec.Struct, frozen=True):
    """What `tts-snapshots --json` prints, newest first."""

    repository: str
    snapshots: tuple[Snapshot, ...] = ()


class PlannedDatabase(msgspec.Struct, frozen=True):
    """One database in a restore plan, with what its manifest counted."""

    name: str
    rows: int | None = None
    bytes: int | None = None


class PlannedTable(msgspec.Struct, frozen=True):
    """One table in a restore plan, with the rows that it had."""

    name: str
    rows: int


class RestorePlan(msgspec.Struct, frozen=True, tag_field="event", tag="plan"):
    """The first line of a restore: what it would put back, and from where. `tables` are those of one `database`."""

    snapshot: str
    time: datetime
    repository: str
    databases: tuple[PlannedDatabase, ...] = ()
    database: str | None = None
    tables: tuple[PlannedTable, ...] = ()
    missing_only: bool = False
    files: int | None = None
    bytes: int | None = None
    paths: tuple[str, ...] = ()
    target: str | None = None


class RestoreStep(msgspec.Struct, frozen=True, tag_field="event", tag="step"):
    """A step of a restore has begun; `done` of `of` databases or files are through. `table` has other rows now."""

    step: str
    database: str | None = None
    table: str | None = None
    done: int | None = None
    of: int | None = None
    added: int | None = None
    changed: int | tuple[str, ...] | None = None
    removed: int | None = None


class RestoreResult(msgspec.Struct, frozen=True, tag_field="event", tag="result"):
    """The last line of a restore. `kept` names the old data that stays until it is dropped."""

    result: str
    error: str | None = None
    kept: tuple[str, ...] = ()
    seconds: float = 0


RestoreEvent = RestorePlan | RestoreStep | RestoreResult


def decode(completed: Completed, type_: type[T], *, command: str, host: str) -> T:
    """The JSON that a host command printed.

    Raises:
        OpsError: the command failed, or its output is not that JSON; the message says which.
    """
    if completed.code:
        last = [line for line in completed.stderr.splitlines() if line.strip()][-1:]
        raise OpsError(
            f"`{command}` failed on {host} with exit code {completed.code}.",
            where=last[0] if last else "it gave no reason",
            fix=f"tts ssh {host} -- {command}",
        )
    try:
        return msgspec.json.decode(completed.stdout, type=type_)
    except msgspec.DecodeError as error:
        raise OpsError(
            f"`{command}` on {host} printed something that this tts cannot read.",
            where=str(error),
            fix="Host and checkout differ in version: pulumi up installs this checkout's scripts.",
        ) from None
