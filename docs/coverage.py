"""Makes docs/reference/guide-coverage.md of docs/guide-coverage.txt: `python docs/coverage.py`. A test compares."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs/guide-coverage.txt"
PAGE = ROOT / "docs/reference/guide-coverage.md"
_TOP = """\
# What the guide asks of backups, and where it is done

Made from `docs/guide-coverage.txt` by `python docs/coverage.py`; change it there. `tts ...` runs on the operator's
machine, `tts-...` on the host.

| | The guide | Here | Command | Shown by |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Point:
    """One point of the guide: what it asks, how it is done, with which commands, shown by which tests."""

    section: str
    asked: str
    done: str
    commands: tuple[str, ...]
    tests: tuple[str, ...]


@cache
def points() -> tuple[Point, ...]:
    """The table as it is written."""
    found: list[Point] = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            section, asked, done, commands, tests = (part.strip() for part in line.split(" | "))
            found.append(Point(section, asked, done, tuple(commands.split(", ")), tuple(tests.split())))
    return tuple(found)


def page() -> str:
    """The whole page."""
    return _TOP + "".join(_line(point) for point in points())


def _line(point: Point) -> str:
    commands = ", ".join(f"`{each}`" for each in point.commands)
    tests = "; ".join(f"[{_words(each)}](../../tests/{each.partition('::')[0]})" for each in point.tests)
    return f"| {point.section} | {point.asked} | {point.done} | {commands} | {tests} |\n"


def _words(test: str) -> str:
    return test.partition("::")[2].removeprefix("test_").replace("_", " ")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
