"""The guide's backups and the product's, on the same data in the same run, with what comes back compared.

    python -m bench.backups [--local DIR] [--rounds 3] [--bytes 1000000000] [--files 20000]

Without --local it makes a local cloud of its own and removes it; with it, it uses the stack `local` of that one, and
leaves there what it stored off-site.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path

from bench import burden, databases, media
from bench.cloud import platform
from bench.fleet import Fleet
from bench.host import REPOSITORY
from bench.picture import bars
from bench.report import Figure, machine, table, write_section

PAGE = REPOSITORY / "docs/reference/performance.md"
PICTURE = REPOSITORY / "docs/pictures/backups.svg"
STACK = "local"


@dataclass(frozen=True)
class Sizes:
    """How much is measured how often."""

    rows_bytes: int
    media_files: int
    media_bytes: int
    rounds: int


def measure(fleet: Fleet, sizes: Sizes) -> tuple[list[Figure], dict[str, tuple[float, float]]]:
    """All figures, and for the picture the seconds of the guide and of the product."""
    fewer = max(1, sizes.rounds - 1)  # of what takes minutes
    host = fleet.host()
    host.install()
    try:
        host.content("fill", str(sizes.rows_bytes))
        backed_up, seconds = shown(databases.backups(host, sizes.rounds))
        restored, restores = shown(databases.restore(host, fewer))
        files, runs = shown(media.backups(host, sizes.media_files, sizes.media_bytes, fewer))
        costs = burden.figures(host, sizes.rounds)
    finally:
        host.content("remove")
        host.remove()
    pairs = {
        "databases, first run": _pair(seconds, "guide", "first"),
        "databases, 1 % changed": _pair(seconds, "guide", "nightly"),
        "restore of all databases": _pair(restores, "guide", "product"),
        "media, 0.1 % changed": _pair(runs, "guide", "job"),
    }
    return [*backed_up, *restored, *files, *costs], pairs


def shown(measured: tuple[list[Figure], dict[str, list[float]]]) -> tuple[list[Figure], dict[str, list[float]]]:
    """What was measured, and on the screen at once: the whole takes half an hour."""
    figures, seconds = measured
    print("\n".join(figure.row for figure in figures))
    print(
        "\n".join(f"  {name}: {', '.join(f'{one:.1f}' for one in each)} s" for name, each in seconds.items()),
        flush=True,
    )
    return measured


def _pair(seconds: dict[str, list[float]], *names: str) -> tuple[float, float]:
    one, other = (statistics.median(seconds[name]) for name in names)
    return one, other


def section(figures: list[Figure], sizes: Sizes) -> str:
    about = (
        f"Five databases of three further tables each, {sizes.rows_bytes / 1e9:g} GB of text that compresses about"
        f" three times; {sizes.media_files} media files, {sizes.media_bytes / 1e9:g} GB. Both sides ran in turns on one"
        " droplet of the local cloud; medians."
    )
    return (
        f"{about} `make bench`, on {machine()}.\n\n{table(figures)}\n![seconds of both sides](../pictures/backups.svg)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--local", type=Path, help="the directory of a local cloud that is up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--files", type=int, default=20_000)
    words = parser.parse_args()
    sizes = Sizes(words.bytes, words.files, words.files * 100_000, words.rounds)
    with platform(words.local) as environment:
        figures, pairs = measure(Fleet(STACK, environment), sizes)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(bars("Seconds of the guide's way and of the product's", pairs))
    write_section(PAGE, "backups", "Backups and restores", section(figures, sizes))
    print("\n".join(figure.row for figure in figures))


if __name__ == "__main__":
    main()
