"""Object locks of what a repository still uses: reading when they end, and prolonging them from outside.

A lock counts from upload and is never prolonged by itself, while restic uses old packs for new snapshots. So whoever
prunes prolongs: every version of every object that is there now gets the bucket's full term again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError  # pyright: ignore[reportMissingTypeStubs]

from ops.history import current, first
from ops.vault import CONNECTIONS, reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.history import History, Version
    from ops.stack import Lock
    from ops.vault import Vault

_NONE = {"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest"}


class LockReport(msgspec.Struct, frozen=True):
    """Locks of the objects in use. `fewest_days` is the time left on the one that ends first; None without objects."""

    objects: int
    due: int
    unlocked: int
    fewest_days: float | None
    prolonged: int = 0


@dataclass(frozen=True)
class _Held:
    version: Version
    mode: str | None
    until: datetime | None


@dataclass(frozen=True)
class LockKeeper:
    """The locks of one bucket. `now` is this machine's clock."""

    client: Any
    vault: Vault
    lock: Lock
    now: datetime

    @property
    def renew_below(self) -> timedelta:
        """Half the term: a run may be missed as often as that allows."""
        return timedelta(days=self.lock.days) / 2

    def look(self, history: History) -> LockReport:
        """Read every lock in use, and change none."""
        return self._report(self._read(_in_use(history)))

    def prolong(self, history: History) -> LockReport:
        """Prolong every lock in use that is past half its term, in its own mode; none is ever shortened.

        Raises:
            ClientError: the store refused.
        """
        held = self._read(_in_use(history))
        due = [item for item in held if self._is_due(item)]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self._renew, due))
        # What is reported is what the store says afterwards, not what was asked of it.
        after = {item.version: item for item in self._read(item.version for item in due)}
        report = self._report([after.get(item.version, item) for item in held])
        return msgspec.structs.replace(report, prolonged=len(due) - report.due)

    def _report(self, held: list[_Held]) -> LockReport:
        left = [(item.until - self.now) / timedelta(days=1) for item in held if item.until]
        unlocked = sum(1 for item in held if item.until is None or item.until <= self.now)
        fewest = 0.0 if unlocked else min(left, default=None)
        due = sum(1 for item in held if self._is_due(item))
        return LockReport(len(held), due, unlocked, None if fewest is None else round(fewest, 1))

    def _is_due(self, item: _Held) -> bool:
        return item.until is None or item.until - self.now < self.renew_below

    def _read(self, versions: Iterable[Version]) -> list[_Held]:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(self._held, versions))

    def _held(self, version: Version) -> _Held:
        place = {"Bucket": self.vault.bucket, "Key": version.key, "VersionId": version.version_id}
        try:
            found = self.client.get_object_retention(**place)["Retention"]
        except ClientError as error:
            if reason(error) not in _NONE:
                raise
            return _Held(version, None, None)
        return _Held(version, found.get("Mode"), found.get("RetainUntilDate"))

    def _renew(self, item: _Held) -> None:
        mode = item.mode or self.lock.mode.upper()
        self.client.put_object_retention(
            Bucket=self.vault.bucket,
            Key=item.version.key,
            VersionId=item.version.version_id,
            Retention={"Mode": mode, "RetainUntilDate": self.now + timedelta(days=self.lock.days)},
        )


def _in_use(history: History) -> list[Version]:
    """What is there now and, where that was written over, what was first written: the good one must not run out."""
    return [item for name, now in current(history).items() for item in {now, first(history[name])}]
