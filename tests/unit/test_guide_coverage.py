"""The page on the guide names commands and tests that exist, and follows from its table."""

import re
import runpy
from pathlib import Path
from typing import Any

import typer.main

from ops.main import app

ROOT = Path(__file__).resolve().parents[2]
COVERAGE: dict[str, Any] = runpy.run_path(str(ROOT / "docs/coverage.py"))
FAULTS: dict[str, Any] = runpy.run_path(str(ROOT / "docs/faults.py"))
PLAIN = {"pulumi", "restic", "pg_restore"}


def _commands() -> set[str]:
    """What `tts` knows, with the subcommands of its groups, and what the host has."""
    found: set[str] = set()
    for name, command in getattr(typer.main.get_command(app), "commands").items():  # noqa: B009 - a group, by its stubs not
        found.add(f"tts {name}")
        found |= {f"tts {name} {each}" for each in getattr(command, "commands", {})}
    host = (path.read_text(encoding="utf-8") for path in (ROOT / "scripts/host").iterdir() if path.is_file())
    return found | {each for text in host for each in re.findall(r"^# Usage: (tts-\S+)", text, re.MULTILINE)}


def test_every_command_exists() -> None:
    known = _commands()
    named = {each for point in COVERAGE["points"]() for each in point.commands if each.split()[0] not in PLAIN}
    assert len(named) > 15
    missing = {each for each in named if not {each, each.rpartition(" ")[0]} & known}
    assert not missing


def test_every_test_exists() -> None:
    named = {each for point in COVERAGE["points"]() for each in point.tests}
    assert not named - FAULTS["all_tests"]()


def test_every_point_has_a_command_and_a_test() -> None:
    assert not [point.asked for point in COVERAGE["points"]() if not point.tests or not all(point.commands)]


def test_the_page_is_that_of_its_table() -> None:
    assert COVERAGE["PAGE"].read_text(encoding="utf-8") == COVERAGE["page"](), "run: python docs/coverage.py"
