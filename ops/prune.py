"""What `tts prune` does: retention of the off-site copies, with a key that no host has, and longer locks for the rest.

In a versioned bucket a removed object is only marked as deleted: `tts rewind` shows and restores it until its version
runs out.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from ops.errors import OpsError
from ops.history import first_upload, overwritten, read_history
from ops.locks import LockKeeper, LockReport
from ops.policy import Owner, Plan, make_plan
from ops.restic import SLOW
from ops.vault import STORE_ERRORS, store_failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.offsite import Destination
    from ops.stack import Outputs

_RETRY_LOCK = "--retry-lock=5m"  # a copy from the host may be under way
_AT_ONCE = 500  # ids in one command line


class KindCount(msgspec.Struct, frozen=True):
    """Snapshots of one kind: those that stay and those that go."""

    kind: str
    keep: int
    remove: int


class Prospect(msgspec.Struct, frozen=True):
    """What pruning one destination would do. `doubts` are sentences: each asks a person first."""

    name: str
    kinds: tuple[KindCount, ...]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
    locks: LockReport | None

    @property
    def removes(self) -> int:
        """Snapshots that would go."""
        return sum(kind.remove for kind in self.kinds)


class Pruned(msgspec.Struct, frozen=True):
    """What pruning one destination did, as its lists say and not as restic's exit status does."""

    name: str
    before: int
    after: int
    removed: int
    locks: LockReport | None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Work:
    """One destination and what is to be done to it."""

    destination: Destination
    plan: Plan
    prospect: Prospect
    lock_keeper: LockKeeper | None


def look(destination: Destination, outputs: Outputs, stack: str) -> Work:
    """Read the repository and its bucket, and decide what goes. Changes nothing.

    Raises:
        OpsError: the repository or its bucket cannot be read.
    """
    now = datetime.now(UTC)
    snapshots = destination.repository.snapshots()
    notes: list[str] = []
    doubts: list[str] = []
    keeper = _keeper(destination, outputs, now)
    locks = None
    if destination.vault:
        try:
            client = destination.vault.client()
            history = read_history(client, destination.vault)
            snapshots = [
                dataclasses.replace(item, uploaded=first_upload(history, f"snapshots/{item.id}")) for item in snapshots
            ]
            if strange := overwritten(history):
                doubts.append(
                    f"{len(strange)} objects hold other content than was first written, {strange[0]} among them; "
                    "restic writes each once. See what was there before: tts rewind"
                )
            locks = keeper.look(history) if keeper else None
        except STORE_ERRORS as error:
            raise store_failed(destination.vault, "Reading the bucket", error) from None
    plan = make_plan(snapshots, Owner(outputs.backup.owner, stack), outputs.backup.retention, now)
    doubts += plan.jumps
    if plan.future:
        notes.append(f"{len(plan.future)} snapshots claim to be from after their upload: not counted, not removed")
    if plan.foreign:
        notes.append(f"{len(plan.foreign)} snapshots are not of this stack: not counted, not removed")
    kinds = tuple(KindCount(kind.kind, len(kind.keep), len(kind.remove)) for kind in plan.kinds)
    prospect = Prospect(destination.name, kinds, tuple(notes), tuple(doubts), locks)
    return Work(destination, plan, prospect, keeper)


def carry_out(work: Work, now: Callable[[str], None]) -> Pruned:
    """Remove what the plan says, prove it, and prolong the locks of what stays, whatever became of the removal."""
    name = work.destination.name
    before = len(work.plan.keep) + len(work.plan.remove)
    error: str | None = None
    removed = 0
    try:
        removed = _remove(work, now)
    except OpsError as failure:
        error = f"{failure.what} {failure.where}".strip()
    locks = None
    if work.lock_keeper:
        now(f"{name}: prolonging locks")
        try:
            locks = work.lock_keeper.prolong(read_history(work.lock_keeper.client, work.lock_keeper.vault))
        except STORE_ERRORS as refused:
            failure = store_failed(work.lock_keeper.vault, "Prolonging locks", refused)
            error = " ".join(filter(None, (error, failure.what, failure.where)))
    return Pruned(name, before, before - removed, removed, locks, error)


def _remove(work: Work, now: Callable[[str], None]) -> int:
    repository, plan = work.destination.repository, work.plan
    repository.run("unlock")  # locks of processes that died; those of live ones stay
    now(f"{repository.name}: removing {len(plan.remove)} snapshots")
    for start in range(0, len(plan.remove), _AT_ONCE):
        repository.run("forget", _RETRY_LOCK, *plan.remove[start : start + _AT_ONCE])
    _prove(plan, {item.id for item in repository.snapshots()}, repository.name)
    now(f"{repository.name}: freeing space")
    repository.run("prune", _RETRY_LOCK, timeout=SLOW)
    now(f"{repository.name}: checking")
    repository.run("check", _RETRY_LOCK, timeout=SLOW)
    return len(plan.remove)


def _prove(plan: Plan, listed: set[str], name: str) -> None:
    """restic reports removals that the store refused; what is listed afterwards is what counts."""
    still = [each[:8] for each in plan.remove if each in listed]
    gone = [each[:8] for each in plan.keep if each not in listed]
    if still:
        raise OpsError(
            f"{name} still lists {len(still)} snapshots that restic says it removed, {still[0]} among them.",
            fix="The key may not delete there: deploy the one for maintenance (pulumi up).",
        )
    if gone:
        raise OpsError(
            f"{name} no longer lists {len(gone)} snapshots that were to stay, {gone[0]} among them.",
            fix="Somebody else removed them. See what was there: tts rewind",
        )


def _keeper(destination: Destination, outputs: Outputs, now: datetime) -> LockKeeper | None:
    """Only the AWS bucket has locks."""
    lock, vault = outputs.backup.lock, destination.vault
    if lock is None or vault is None or vault.name != "aws":
        return None
    return LockKeeper(vault.client(), vault, lock, now)
