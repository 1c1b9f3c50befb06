"""Makes docs/reference/faults.md of docs/faults.txt and the tests: `python docs/faults.py`. A test says when stale.

`python docs/faults.py PAGE REPORT.xml...` writes the same with the result of every row, of pytest's reports.
"""

import ast
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs/faults.txt"
PAGE = ROOT / "docs/reference/faults.md"

_NUMBERED = re.compile(r"test_(fault|bug)_(\d+(?:_and_\d+)*)_")
_HEADS = {
    "fault": "## Faults\n\nWhat is broken on purpose, and what must follow.\n",
    "bug": "## Bugs of the scripts that this replaces\n\nWhat common backup scripts get wrong, and what holds here.\n",
}
_TOP = """\
# Faults and the tests that inject them

Made from `docs/faults.txt` and the tests by `python docs/faults.py`; change it there.

"The run fails" means: the status is not 0, the last line of the log says `result=failed` and names the step, the
failure is told to every alert channel, no new snapshot counts, no older one is lost, no retention happens, staging is
empty, and the lock is free.

Run the tests of one row with `pytest -k fault_12` or `pytest -k bug_35`. `make test` writes this page with the result
of every row to `.local/logs/faults.md`.
"""


@dataclass(frozen=True)
class Row:
    """One fault or bug. `named` are tests of other names, as FILE::NAME below tests/, that inject it too."""

    kind: str
    number: int
    broken: str
    expected: str
    named: tuple[str, ...]
    note: str

    def tests(self) -> list[str]:
        """Every test of this row: those that bear its number, then those that the table names."""
        numbered = [name for name, rows in numbered_tests().items() if (self.kind, self.number) in rows]
        return [*numbered, *(name for name in self.named if name not in numbered)]


@cache
def rows() -> tuple[Row, ...]:
    """The table as it is written."""
    found: list[Row] = []
    kind = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
        elif line and not line.startswith("#"):
            number, broken, expected, named, note = (part.strip() for part in line.split("|"))
            found.append(Row(kind, int(number), broken, expected, tuple(named.split()), note))
    return tuple(found)


@cache
def all_tests() -> frozenset[str]:
    """Every test function as FILE::NAME, and every test file as FILE."""
    found: set[str] = set()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        file = str(path.relative_to(ROOT / "tests"))
        found.add(file)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {f"{file}::{node.name}" for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return frozenset(found)


@cache
def numbered_tests() -> dict[str, set[tuple[str, int]]]:
    """Tests whose names bear the numbers of rows, and which."""
    found: dict[str, set[tuple[str, int]]] = {}
    for name in sorted(all_tests()):
        if match := _NUMBERED.match(name.partition("::")[2]):
            found[name] = {(match[1], int(number)) for number in match[2].split("_and_")}
    return found


def results(reports: Sequence[Path]) -> dict[str, set[str]]:
    """How each test ended, by its name as above: passed, failed, skipped, or several for one with parameters."""
    found: dict[str, set[str]] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # pytest wrote it
            file = (case.get("classname") or "").removeprefix("tests.").replace(".", "/") + ".py"
            name = (case.get("name") or "").partition("[")[0]
            bad = case.find("failure") is not None or case.find("error") is not None
            ended = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
            found.setdefault(f"{file}::{name}", set()).add(ended)
            found.setdefault(file, set()).add(ended)
    return found


def page(ended: Mapping[str, set[str]] | None = None) -> str:
    """The whole page; with `ended`, how each test ended, it says so of each row."""
    parts = [_TOP]
    more = ("", "") if ended is None else (" Result |", " --- |")
    for kind, head in _HEADS.items():
        table = [f"| # | Broken | What must follow | Tests |{more[0]}", f"| --- | --- | --- | --- |{more[1]}"]
        of_kind = [row for row in rows() if row.kind == kind]
        table += [_line(row) + ("" if ended is None else f" {_result(row, ended)} |") for row in of_kind]
        parts += [head, "\n".join(table) + "\n"]
    return "\n".join(parts)


def _line(row: Row) -> str:
    cells = [f"[{_words(test)}](../../tests/{test.partition('::')[0]})" for test in row.tests()]
    shown = "; ".join([*cells, *([row.note] if row.note else [])])
    return f"| {row.number} | {row.broken} | {row.expected} | {shown} |"


def _result(row: Row, ended: Mapping[str, set[str]]) -> str:
    """The worst of its tests, with the names of those that did not pass."""
    by = {test: ended.get(test, {"not run"}) for test in row.tests()}
    if not by:
        return "no test: see the note"
    for word in ("failed", "not run", "skipped"):
        if names := [_words(test) for test, ways in by.items() if word in ways]:
            return f"**{word}**: {'; '.join(names)}"
    return "passed"


def _words(test: str) -> str:
    """A test's name as the sentence that it is."""
    file, _, name = test.partition("::")
    return _NUMBERED.sub("", name).removeprefix("test_").replace("_", " ") or Path(file).stem.replace("_", " ")


def main(arguments: Sequence[str]) -> None:
    """Write the page; with arguments, that of results."""
    if arguments:
        target, *reports = map(Path, arguments)
        target.write_text(page(results([report for report in reports if report.exists()])), encoding="utf-8")
    else:
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
