"""Looking at the off-site copies from outside, read-only: would what lies there survive the loss of the host?

It uses the stack's key for audits, else the operator's own credentials, and never the host's for a bucket of ours.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3  # pyright: ignore[reportMissingTypeStubs]
import msgspec

from ops.audit_settings import settings
from ops.errors import ExitCode, OpsError
from ops.history import current, read_history
from ops.locks import LockKeeper, LockReport
from ops.policy import Owner, make_plan
from ops.restic import Repository
from ops.trend import Trend, trend, unusual
from ops.vault import STORE_ERRORS, KeyPair, Vault, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.history import History
    from ops.policy import Plan
    from ops.restic import Snapshot
    from ops.stack import OffSite, Outputs

# A day between two backups, or a week for the configuration, and two hours for the run itself.
MAX_AGE = timedelta(hours=26)
MAX_AGES = {"databases": MAX_AGE, "media": MAX_AGE, "config": timedelta(days=7, hours=2)}
_FEW_DAYS = 7  # left on a lock: time for a person to prolong it
_SNAPSHOTS = "snapshots/"


class KindAge(msgspec.Struct, frozen=True):
    """The newest snapshot of one kind, by the stack's own host."""

    kind: str
    newest: datetime | None
    snapshots: int


class BucketReport(msgspec.Struct, frozen=True):
    """What was seen at one destination. `findings` are what a person must look at, `notes` what could not be seen."""

    name: str
    bucket: str | None
    newest_snapshot: datetime | None = None
    snapshots: int = 0
    objects: int = 0
    bytes: int = 0
    kinds: tuple[KindAge, ...] = ()
    trend: Trend | None = None
    locks: LockReport | None = None
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Access:
    """What the audit may use: the keys for audits by destination, the passphrase, others' credentials; all optional."""

    keys: Mapping[str, KeyPair]
    password: str | None = dataclasses.field(repr=False)
    further: Mapping[str, Mapping[str, str]] = dataclasses.field(repr=False)


def audit(outputs: Outputs, stack: str, access: Access, now: Callable[[str], None]) -> tuple[BucketReport, ...]:
    """Look at every destination. What cannot be read is a finding.

    Raises:
        OpsError: there is no key of the stack's and none in the environment.
    """
    reports: list[BucketReport] = []
    for destination in outputs.backup.offsite:
        now(destination.name)
        vault = find_vault(destination, access.keys)
        look = _Look(destination, outputs, stack, access, datetime.now(UTC))
        reports.append(look.at_bucket(vault) if vault else look.at_repository())
    return tuple(reports)


@dataclasses.dataclass(frozen=True)
class _Look:
    destination: OffSite
    outputs: Outputs
    stack: str
    access: Access
    now: datetime

    def at_bucket(self, vault: Vault) -> BucketReport:
        report = BucketReport(vault.name, vault.bucket)
        client = vault.client()
        try:
            history = read_history(client, vault)
        except STORE_ERRORS as error:
            return msgspec.structs.replace(
                report, findings=(*settings(client, vault, {}), f"its objects cannot be listed: {reason(error)}")
            )
        there = current(history)
        snapshots = [item.modified for name, item in there.items() if name.startswith(_SNAPSHOTS)]
        findings = [*settings(client, vault, history), *unusual(history, self.now)]
        locks, about_locks = self._locks(client, vault, history)
        kinds, about_kinds, notes = self._kinds(vault.location, vault.environment(), history)
        newest = max(snapshots, default=None)
        return msgspec.structs.replace(
            report,
            newest_snapshot=newest,
            snapshots=len(snapshots),
            objects=len(there),
            bytes=sum(item.size for item in there.values()),
            kinds=kinds,
            trend=trend(history),
            locks=locks,
            findings=(*findings, *about_locks, *(about_kinds if kinds else (*about_kinds, *self._age(newest)))),
            notes=notes,
        )

    def at_repository(self) -> BucketReport:
        """A destination that is somebody else's: only restic can look into it."""
        credentials = dict(self.access.further.get(self.destination.name, {}))
        if "GOOGLE_APPLICATION_CREDENTIALS_JSON" in credentials:
            note = "its key is a file, which an audit does not lay on the disk: look at it from the host (tts status)"
            return BucketReport(self.destination.name, None, notes=(note,))
        kinds, findings, notes = self._kinds(self.destination.repository, credentials, {})
        newest = max((kind.newest for kind in kinds if kind.newest), default=None)
        count = sum(kind.snapshots for kind in kinds)
        return BucketReport(self.destination.name, None, newest, count, kinds=kinds, findings=findings, notes=notes)

    def _locks(self, client: Any, vault: Vault, history: History) -> tuple[LockReport | None, list[str]]:
        lock = self.outputs.backup.lock
        if lock is None or vault.name != "aws":
            return None, []
        try:
            found = LockKeeper(client, vault, lock, self.now).look(history)
        except STORE_ERRORS as error:
            return None, [f"its locks cannot be read: {reason(error)}"]
        if found.unlocked:
            return found, [
                f"{found.unlocked} of {found.objects} objects in use are not locked: tts prune prolongs them"
            ]
        if found.fewest_days is not None and found.fewest_days < min(_FEW_DAYS, lock.days / 2):
            left = f"the first lock of an object in use ends in {found.fewest_days:.0f} days"
            return found, [f"{left}: tts prune prolongs it"]
        return found, []

    def _kinds(
        self, location: str, environment: Mapping[str, str], history: History
    ) -> tuple[tuple[KindAge, ...], tuple[str, ...], tuple[str, ...]]:
        """Each kind's newest snapshot, findings, notes; no kinds when the repository cannot be opened from here."""
        if self.access.password is None or shutil.which("restic") is None:
            missing = "the passphrase is not at hand" if self.access.password is None else "there is no restic on PATH"
            return (), (), (f"{missing}: freshness is that of the whole bucket, not of each kind",)
        try:
            found = Repository(self.destination.name, location, self.access.password, environment).snapshots()
        except OpsError as error:
            return (), (f"{error.what} {error.where}",), ()
        snapshots = [dataclasses.replace(item, uploaded=_uploaded(history, item.id)) for item in found]
        owner = Owner(self.outputs.backup.owner, self.stack)
        plan = make_plan(snapshots, owner, self.outputs.backup.retention, self.now)
        ages = [_newest(kind.kind, (*kind.keep, *kind.remove)) for kind in plan.kinds]
        return tuple(ages), (*self._judge(ages), *_strange(plan)), ()

    def _judge(self, ages: list[KindAge]) -> list[str]:
        found = [f"it holds no {age.kind} snapshot of this stack" for age in ages if age.newest is None]
        for age in ages:
            if age.newest and self.now - age.newest > MAX_AGES[age.kind]:
                hours = (self.now - age.newest).total_seconds() / 3600
                found.append(f"its newest {age.kind} snapshot is {hours:.0f} h old")
        return found

    def _age(self, newest: datetime | None) -> list[str]:
        if newest is None:
            return ["it holds no snapshot"]
        age = self.now - newest
        return [f"its newest snapshot is {age.total_seconds() / 3600:.0f} h old"] if age > MAX_AGE else []


def _uploaded(history: History, snapshot: str) -> datetime | None:
    versions = [item for item in history.get(f"{_SNAPSHOTS}{snapshot}", ()) if not item.marker]
    return versions[-1].modified if versions else None


def _newest(kind: str, snapshots: tuple[Snapshot, ...]) -> KindAge:
    return KindAge(kind, max((item.time for item in snapshots), default=None), len(snapshots))


def _strange(plan: Plan) -> list[str]:
    found = list(plan.jumps)
    if plan.future:
        found.append(f"{len(plan.future)} snapshots claim to be from after their upload: a wrong clock, or forged")
    if plan.foreign:
        found.append(f"{len(plan.foreign)} snapshots are not of this stack")
    return found


def find_vault(destination: OffSite, keys: Mapping[str, KeyPair]) -> Vault | None:
    """The bucket with the stack's key for it, else with what the environment offers; None when it is not ours.

    Raises:
        OpsError: there is neither.
    """
    if destination.bucket is None or destination.region is None:
        return None
    key = keys.get(destination.name)
    if key is None and destination.name == "spaces":
        names = ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY")
        values = [os.environ.get(name, "") for name in names]
        if not all(values):
            raise _no_credentials(*names)
        key = KeyPair(*values)
    elif key is None and boto3.Session().get_credentials() is None:  # pyright: ignore[reportUnknownMemberType]
        raise _no_credentials("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return Vault(destination.name, destination.bucket, destination.region, destination.repository, key)


def _no_credentials(*names: str) -> OpsError:
    return OpsError(
        "The buckets cannot be looked at without credentials.",
        fix=f"Set {' and '.join(names)}; a read-only key is enough. Or deploy again, which makes one: pulumi up.",
        code=ExitCode.CONFIG,
    )
