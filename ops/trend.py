"""What a bucket's history tells about the course of things: growth, floods, disappearances. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, timedelta
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from ops.history import at, current, first_upload, overwritten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from ops.history import History

_FOLDER = "snapshots/"
_DAYS = 3  # other days that are needed to call one unusual
_MANY_BYTES = 1 << 30  # less than a gigabyte a day is nothing to ask about
_TIMES = 10  # the median day
_MANY_SNAPSHOTS = 24  # a day: three kinds, and a number of runs by hand
_SNAPSHOT_TIMES = 4
_LOOK_BACK = timedelta(days=7)


class Trend(msgspec.Struct, frozen=True):
    """Bytes that arrived on the newest day with an upload, and on the median of the other days."""

    days: int
    newest_day_bytes: int
    median_day_bytes: int


def trend(history: History) -> Trend:
    """How the bucket has grown by what is in it now."""
    days: Counter[date] = Counter()
    for name, item in current(history).items():
        days[(first_upload(history, name) or item.modified).astimezone(UTC).date()] += item.size
    if not days:
        return Trend(0, 0, 0)
    newest = max(days)
    others = [size for day, size in days.items() if day != newest]
    return Trend(len(days), days[newest], int(median(others)) if others else 0)


def unusual(history: History, now: datetime) -> Iterator[str]:
    """What a person should look at, each as a sentence."""
    grown = trend(history)
    if grown.days > _DAYS and grown.newest_day_bytes > max(_MANY_BYTES, _TIMES * grown.median_day_bytes):
        yield (
            f"{grown.newest_day_bytes / 1e9:.1f} GB arrived on its newest day, "
            f"{grown.median_day_bytes / 1e9:.1f} GB on others"
        )
    yield from _flood(history)
    yield from _gone(history, now)
    if strange := overwritten(history):
        yield (
            f"{len(strange)} objects hold other content than was first written, {strange[0][:24]} among them: "
            "tts rewind brings it back"
        )


def _flood(history: History) -> Iterator[str]:
    uploads = (first_upload(history, name) for name in current(history) if name.startswith(_FOLDER))
    days = Counter(moment.astimezone(UTC).date() for moment in uploads if moment)
    for day, count in sorted(days.items()):
        others = [number for other, number in days.items() if other != day]
        if count > max(_MANY_SNAPSHOTS, _SNAPSHOT_TIMES * (median(others) if others else 0)):
            yield f"{count} snapshots arrived on {day}, {median(others) if others else 0:.0f} on others"


def _gone(history: History, now: datetime) -> Iterator[str]:
    before = {name for name in at(history, now - _LOOK_BACK) if name.startswith(_FOLDER)}
    lost = before - current(history).keys()
    if len(before) > _DAYS and len(lost) > len(before) / 2:
        yield f"{len(lost)} of {len(before)} snapshots of a week ago are gone: if nobody pruned, tts rewind"
