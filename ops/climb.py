"""The guide's signs for climbing, read from a week of samples on every host, and the rung that they call for.

"Consistently above" is taken to mean: more than eight hours of the last seven days, the 95th percentile of the samples
that `tts-sample` takes on each host every five minutes. Disk space does not come and go, so its newest value counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.stack import LOCAL
from phases import Database, Rung, built, path, row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ops.hostreport import Week

# The guide, "When to scale": CPU consistently > 80%, RAM consistently > 85%, disk space < 20% free.
CPU_PERCENT: Final = 80
MEMORY_PERCENT: Final = 85
DISK_FREE_PERCENT: Final = 20
LEAST_HOURS: Final = 24
"""Hours of samples below which CPU and memory say nothing yet."""


class Sign(msgspec.Struct, frozen=True):
    """One sign on one host: `cpu`, `memory` or `disk`, its value and the limit that it is beyond, in percent."""

    host: str
    sign: str
    percent: int
    limit: int

    @property
    def text(self) -> str:
        """The sign in words."""
        if self.sign == "disk":
            return f"{self.host} has {self.percent} % of its disk free, less than {self.limit} %"
        what = {"cpu": "processors", "memory": "memory"}[self.sign]
        return f"{self.host} used {self.percent} % of its {what} for hours, more than {self.limit} %"


class Climb(msgspec.Struct, frozen=True):
    """The signs, the rung that they call for (null: none), the one to go to now, and how many hours were sampled."""

    signs: tuple[Sign, ...]
    rung: str | None
    next: str | None
    hours: float

    @property
    def words(self) -> str:
        """One short line for the screen."""
        if not self.signs:
            return "no sign in the last 7 days" if self.hours >= LEAST_HOURS else f"{self.hours:.0f} h sampled so far"
        if self.rung is None:
            return "signs, but no rung above this one"
        later = "" if self.next else ", which this version does not build yet"
        return f"the signs call for the rung {self.rung}{later}"


def climb(rung: str, weeks: Iterable[tuple[str, Week]]) -> Climb:
    """What the weeks of the hosts, given by name, say on this rung."""
    known = list(weeks)
    signs = tuple(sign for name, week in known for sign in _signs(name, week))
    hours = min((week.hours for _, week in known), default=0)
    if not signs or rung not in list(Rung):
        return Climb(signs, None, None, hours)
    goal = _goal(Rung(rung), {sign.sign for sign in signs})
    step = path(Rung(rung), goal)[1] if goal else None
    return Climb(signs, goal, step if step in built() else None, hours)


def command(stack: str, rung: str) -> str:
    """What a person types to go there."""
    if stack == LOCAL:
        return f"make up RUNG={rung}"
    return f"pulumi config set rung {rung} --stack {stack} && pulumi up --stack {stack}"


def _signs(name: str, week: Week) -> Iterator[Sign]:
    enough = week.hours >= LEAST_HOURS
    for sign, percent, limit in (
        ("cpu", week.cpu_percent, CPU_PERCENT),
        ("memory", week.memory_percent, MEMORY_PERCENT),
    ):
        if enough and percent is not None and percent > limit:
            yield Sign(name, sign, percent, limit)
    if week.disk_free_percent is not None and week.disk_free_percent < DISK_FREE_PERCENT:
        yield Sign(name, "disk", week.disk_free_percent, DISK_FREE_PERCENT)


def _goal(rung: Rung, signs: set[str]) -> Rung | None:
    """The next rung; a full disk calls for the first on which the data leave the host: a resize keeps the disk."""
    above = list(Rung)[list(Rung).index(rung) + 1 :]
    if "disk" in signs and row(rung).database is Database.ON_HOST:
        return next(each for each in above if row(each).database is not Database.ON_HOST)
    return above[0] if above else None
