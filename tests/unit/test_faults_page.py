"""The page of faults is complete, names tests that exist, and follows from its sources."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FAULTS: dict[str, Any] = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docs/faults.py"))


def _rows(kind: str) -> Iterator[Any]:
    return (row for row in FAULTS["rows"]() if row.kind == kind)


@pytest.mark.parametrize(("kind", "count"), [("fault", 88), ("bug", 70)])
def test_every_number_is_there_once(kind: str, count: int) -> None:
    assert [row.number for row in _rows(kind)] == list(range(1, count + 1))


def test_every_row_has_a_test_or_says_why_not() -> None:
    bare = [f"{row.kind} {row.number}: {row.broken}" for row in FAULTS["rows"]() if not row.tests() and not row.note]
    assert not bare


def test_every_test_that_the_table_names_exists() -> None:
    named = {name for row in FAULTS["rows"]() for name in row.named}
    assert not named - FAULTS["all_tests"]()


def test_every_numbered_test_has_a_row() -> None:
    known = {(row.kind, row.number) for row in FAULTS["rows"]()}
    assert not {name for name, rows in FAULTS["numbered_tests"]().items() if not rows <= known}


def test_the_page_is_that_of_its_sources() -> None:
    assert FAULTS["PAGE"].read_text(encoding="utf-8") == FAULTS["page"](), "run: python docs/faults.py"


def test_the_page_of_results_says_how_each_row_ended(tmp_path: Path) -> None:
    case = '<testcase classname="tests.scripts.test_faults_databases" name="{}">{}</testcase>'
    ended = [
        case.format("test_fault_14_a_second_job_ends_with_75_and_touches_nothing[a]", ""),
        case.format("test_fault_14_a_second_job_ends_with_75_and_touches_nothing[b]", ""),
        case.format("test_fault_10_too_few_inodes_are_refused_before_anything_is_written", "<failure/>"),
    ]
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuites><testsuite>{''.join(ended)}</testsuite></testsuites>")
    FAULTS["main"]([str(tmp_path / "page.md"), str(report), str(tmp_path / "none.xml")])
    lines = {line.split(" |")[0]: line for line in (tmp_path / "page.md").read_text().split("## Bugs")[0].splitlines()}
    assert lines["| 14"].endswith("| passed |")
    assert lines["| 10"].endswith("| **failed**: too few inodes are refused before anything is written |")
    assert "**not run**" in lines["| 12"]
    assert lines["| 48"].endswith("| no test: see the note |")
