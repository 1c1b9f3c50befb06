"""Both sides of a ratio in turns, so that a machine that grows busy slows both."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def in_turns(
    rounds: int, sides: Mapping[str, Callable[[], float]], before: Callable[[int], object] = lambda _: None
) -> dict[str, list[float]]:
    """Measure every side `rounds` times. `before` prepares a round; who begins changes from round to round."""
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        before(number)
        for name in turned(list(sides), number):
            measured[name].append(sides[name]())
    return measured


def turned(names: Sequence[str], number: int) -> list[str]:
    first = number % len(names)
    return [*names[first:], *names[:first]]


def ratio(measured: Mapping[str, Sequence[float]], above: str, below: str) -> float:
    """The median of one side divided by that of the other."""
    return statistics.median(measured[above]) / statistics.median(measured[below])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
