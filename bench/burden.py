"""What a backup costs the host on which it runs: memory, priority, and how the application answers meanwhile."""

from __future__ import annotations

import statistics
from itertools import chain
from typing import TYPE_CHECKING

from bench import databases, media
from bench.report import Figure
from bench.turns import percentile

if TYPE_CHECKING:
    from bench.host import Host

MIB = 1 << 20
RATE = 10  # requests a second
QUIET = 10  # seconds between two backups
BACKUPS = 8  # in a round
JOBS = (databases.WITH_COPIES, media.WITH_COPIES)
# What starts the job and what the terminal sees; they do no work.
PRIORITY = "best-effort: prio 7"


def figures(host: Host, rounds: int) -> list[Figure]:
    return [*footprint(host), latency(host, rounds)]


def footprint(host: Host) -> list[Figure]:
    """The largest sum of a job's processes, those in the database's container included, and who did not step back."""
    peak, forward = 0.0, dict[str, str]()
    for job in JOBS:
        seen = host.watched(job)
        peak = max(peak, seen["peak_bytes"] / MIB)
        forward |= {name: shown for name, shown in seen["priorities"].items() if not stepped_back(shown)}
    return [
        Figure("memory of a job, at its peak", peak, "MiB", 512, "proportional set size of all its processes"),
        Figure(
            "programs of a job without `nice` and `ionice`", len(forward), "", 0,
            ", ".join(sorted(forward)) or "nice 10, best effort 7: PostgreSQL's own tools too",
        ),
    ]  # fmt: skip


def stepped_back(shown: str) -> bool:
    """Whether a process runs at a low priority: `10 best-effort: prio 7`."""
    nice, _, of_disk = shown.partition(" ")
    return int(nice) >= 10 and (of_disk == PRIORITY or of_disk.startswith("idle"))


def latency(host: Host, rounds: int) -> Figure:
    """The 95th percentile of the application's answers during backups and between them, under the same light load.

    Of all answers: a percentile of the whole is no mean of percentiles of its parts, and of the hundred answers
    during one backup five decide. What the single backups say is shown beside it.
    """
    backups = BACKUPS * rounds
    seen = host.loaded(RATE, QUIET, backups, databases.NIGHTLY)
    if seen["failed"]:
        raise SystemExit(f"{seen['failed']} requests failed during backups")
    during, usual = (percentile(list(chain.from_iterable(seen[when])), 0.95) for when in ("busy", "quiet"))
    single = [statistics.median(percentile(answers, 0.95) for answers in seen[when]) for when in ("busy", "quiet")]
    return Figure(
        "application's p95 latency during a backup ÷ without one", during / usual, "x", 1.5,
        f"s-2vcpu-2gb, {RATE} requests a second, a fifth of them writes, all answers of {backups} backups:"
        f" {1000 * during:.1f} ms and {1000 * usual:.1f} ms; medians of the single backups'"
        f" {1000 * single[0]:.1f} ms and {1000 * single[1]:.1f} ms",
    )  # fmt: skip
