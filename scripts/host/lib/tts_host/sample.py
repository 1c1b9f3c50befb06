"""Seven days of samples of how busy this host is, and what they say: one line each, the oldest fall off."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tts_host import gauge, state
from tts_host.config import Config, load
from tts_host.log import step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EVERY_S = 300  # as in the cron file
KEPT = 7 * 24 * 3600 // EVERY_S
GAP_S = 3 * EVERY_S  # samples further apart than this say nothing about the time between them
FILE = "samples.csv"


@dataclass(frozen=True)
class Sample:
    """One line. `busy_s` is a counter since boot; the processors are what the host might have used."""

    at: int
    busy_s: float
    processors: float
    memory_percent: int
    disk_free_percent: int


def main(_args: list[str]) -> None:
    take(load())


def take(config: Config) -> None:
    """Add a sample of this moment."""
    now = Sample(
        at=round(time.time()),
        busy_s=round(gauge.busy_seconds(), 2),
        processors=round(gauge.processors(), 2),
        memory_percent=gauge.memory_used_percent(),
        disk_free_percent=gauge.disk_free_percent(config.state_dir),
    )
    lines = [",".join(map(str, astuple(each))) for each in (*read(config), now)]
    state.replace(path(config), "\n".join(lines[-KEPT:]) + "\n", 0o600)


def path(config: Config) -> Path:
    return config.state_dir / "state" / FILE


def read(config: Config) -> list[Sample]:
    """The samples in order; a damaged line is left out."""
    try:
        lines = path(config).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    return [found for line in lines if (found := _parse(line))]


def week(samples: Sequence[Sample]) -> dict[str, Any]:
    """What 95 % of the samples stay at or below, and the disk as it is now; None where nothing is known.

    The 95th percentile of a week is what the host has exceeded for eight hours: no peak, and no average that the
    nights pull down.
    """
    return {
        "hours": round(len(samples) * EVERY_S / 3600, 1),
        "cpu_percent": percentile(processor_percents(samples), 95),
        "memory_percent": percentile([each.memory_percent for each in samples], 95),
        "disk_free_percent": samples[-1].disk_free_percent if samples else None,
    }


def processor_percents(samples: Sequence[Sample]) -> list[float]:
    """Use of the processors between each two samples; not across a boot or a gap."""
    found: list[float] = []
    for before, after in pairwise(samples):
        seconds, busy = after.at - before.at, after.busy_s - before.busy_s
        if 0 < seconds <= GAP_S and busy >= 0:
            found.append(min(100.0, 100 * busy / seconds / after.processors))
    return found


def percentile(values: Sequence[float], share: int) -> int | None:
    """The smallest of `values` that `share` percent of them do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[max(0, -(-len(ordered) * share // 100) - 1)])


def _parse(line: str) -> Sample | None:
    words = line.split(",")
    try:
        return Sample(int(words[0]), float(words[1]), float(words[2]), int(words[3]), int(words[4]))
    except (ValueError, IndexError):
        return None


if __name__ == "__main__":
    step(main)
