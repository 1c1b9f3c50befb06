"""Which snapshots stay: by count for each kind, and so that nobody who can only add can drive a genuine one out.

A host that was taken over can forge snapshots: thousands, in the future, in the past. Three things hold against that.
A snapshot that claims to be from after its own upload, or that is not of this stack, is never counted and never
removed. One that claims to be much older than its upload (forged, or a backlog that came late) cannot displace one
that came in time: what stays is what the policy keeps with and without the late ones. And a number of new snapshots
far above the usual asks a person first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ops.restic import Snapshot
    from ops.stack import Retention

KINDS = ("databases", "media", "config")
MIN_KEEP = 3  # the newest of a kind stay, however old: as on the host
CLOCK_SLACK = timedelta(minutes=5)
LATE = timedelta(hours=48)  # between a snapshot and its upload: a night's outage is no backlog yet
_USUAL = 8  # uploads of one kind a day that need no explanation: a nightly one, and some by hand
_JUMP = 4  # times the median day


@dataclass(frozen=True)
class KindPlan:
    """What happens to the snapshots of one kind."""

    kind: str
    keep: tuple[Snapshot, ...]
    remove: tuple[Snapshot, ...]


@dataclass(frozen=True)
class Plan:
    """The whole of a repository. `future` and `foreign` ones are left alone; `jumps` are sentences."""

    kinds: tuple[KindPlan, ...]
    future: tuple[Snapshot, ...]
    foreign: tuple[Snapshot, ...]
    jumps: tuple[str, ...]

    @property
    def remove(self) -> tuple[str, ...]:
        """Ids of all that go."""
        return tuple(item.id for kind in self.kinds for item in kind.remove)

    @property
    def keep(self) -> tuple[str, ...]:
        """Ids of all that stay and are this stack's."""
        return tuple(item.id for kind in self.kinds for item in kind.keep)


@dataclass(frozen=True)
class Owner:
    """Whose snapshots these are: the host and the stack in their tags."""

    host: str
    stack: str


def make_plan(snapshots: Sequence[Snapshot], owner: Owner, retention: Retention, now: datetime) -> Plan:
    """Sort the snapshots of a repository into those that stay, go, and are left alone."""
    future = [item for item in snapshots if _is_future(item, now)]
    foreign = [item for item in snapshots if item not in future and not _is_own(item, owner)]
    genuine = [item for item in snapshots if item not in future and item not in foreign]
    kinds: list[KindPlan] = []
    jumps: list[str] = []
    for kind in KINDS:
        of_kind = [item for item in genuine if item.kind == kind]
        kept = kept_ids([item for item in of_kind if not _is_late(item)], retention) | kept_ids(of_kind, retention)
        stay = tuple(item for item in of_kind if item.id in kept)
        kinds.append(KindPlan(kind, stay, tuple(item for item in of_kind if item.id not in kept)))
        jumps += jump(kind, of_kind)
    return Plan(tuple(kinds), tuple(future), tuple(foreign), tuple(jumps))


def kept_ids(snapshots: Iterable[Snapshot], retention: Retention) -> set[str]:
    """What restic's `forget --keep-last 3 --keep-daily ... ` would keep of one group, in UTC."""
    newest_first = sorted(snapshots, key=lambda item: item.time, reverse=True)
    kept = {item.id for item in newest_first[:MIN_KEEP]}
    rules: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (retention.daily, lambda moment: moment.date()),
        (retention.weekly, lambda moment: moment.isocalendar()[:2]),
        (retention.monthly, lambda moment: (moment.year, moment.month)),
    )
    for count, period in rules:
        kept |= _newest_of_each(newest_first, count, period)
    return kept


def _newest_of_each(newest_first: Sequence[Snapshot], count: int, period: Callable[[datetime], object]) -> set[str]:
    newest: dict[object, str] = {}
    for item in newest_first:
        newest.setdefault(period(item.time.astimezone(UTC)), item.id)
    kept = set(list(newest.values())[:count])
    if newest_first and len(newest) < count:
        kept.add(newest_first[-1].id)  # as restic does: the oldest reaches furthest back while there is room
    return kept


def jump(kind: str, snapshots: Sequence[Snapshot]) -> list[str]:
    """Days on which far more snapshots arrived than usual, each as a sentence."""
    days = Counter((item.uploaded or item.time).astimezone(UTC).date() for item in snapshots)
    found: list[str] = []
    for day, count in sorted(days.items()):
        others = [number for other, number in days.items() if other != day]
        if count > max(_USUAL, _JUMP * (median(others) if others else 0)):
            usual = f"{median(others):.0f} on other days" if others else "no other day to compare with"
            found.append(f"{count} {kind} snapshots arrived on {day}, {usual}")
    return found


def _is_future(item: Snapshot, now: datetime) -> bool:
    limit = min(item.uploaded, now) if item.uploaded else now
    return item.time > limit + CLOCK_SLACK


def _is_late(item: Snapshot) -> bool:
    return item.uploaded is not None and item.uploaded - item.time > LATE


def _is_own(item: Snapshot, owner: Owner) -> bool:
    return (
        item.host == owner.host
        and item.tag("stack") == owner.stack
        and item.kind in KINDS
        and "partial" not in item.tags
    )
