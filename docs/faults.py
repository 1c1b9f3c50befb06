"""Makes docs/reference/faults.md of docs/faults.txt and the tests: `python docs/faults.py`. A test says when stale."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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

Run the tests of one row with `pytest -k fault_12` or `pytest -k bug_35`.
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


def page() -> str:
    """The whole page."""
    parts = [_TOP]
    for kind, head in _HEADS.items():
        table = ["| # | Broken | What must follow | Tests |", "| --- | --- | --- | --- |"]
        table += [_line(row) for row in rows() if row.kind == kind]
        parts += [head, "\n".join(table) + "\n"]
    return "\n".join(parts)


def _line(row: Row) -> str:
    cells = [f"[{_words(test)}](../../tests/{test.partition('::')[0]})" for test in row.tests()]
    shown = "; ".join([*cells, *([row.note] if row.note else [])])
    return f"| {row.number} | {row.broken} | {row.expected} | {shown} |"


def _words(test: str) -> str:
    """A test's name as the sentence that it is."""
    file, _, name = test.partition("::")
    return _NUMBERED.sub("", name).removeprefix("test_").replace("_", " ") or Path(file).stem.replace("_", " ")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
