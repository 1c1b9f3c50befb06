"""Reference pages that follow from the sources are those that the sources make now."""

import copy

import pytest

import pricing
from docs.generate import (
    CLIMB,
    CONFIGURATION,
    README,
    TRANSITIONS,
    climb,
    configuration,
    costs,
    neighbours,
    readme,
    transitions,
)
from phases import Rung
from tests.unit.config import project_file, schema


def test_the_page_on_configuration_is_that_of_pulumi_yaml() -> None:
    assert configuration(project_file()) == CONFIGURATION.read_text(encoding="utf-8"), (
        "make it again: python docs/generate.py"
    )


def test_a_changed_key_changes_the_page() -> None:
    project = copy.deepcopy(project_file())
    project["config"]["region"]["default"] = "ams3"
    assert configuration(project) != CONFIGURATION.read_text(encoding="utf-8")


def test_every_key_has_a_section_and_no_mark_of_the_source_is_left() -> None:
    page = configuration(project_file())
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == list(schema())
    assert "[fixed]" not in page
    assert "\nSecret" not in page


def test_the_table_of_steps_is_that_of_the_ladder_and_the_prices() -> None:
    page = CLIMB.read_text(encoding="utf-8")
    assert climb(page) == page, "make it again: python docs/generate.py"
    assert transitions() in page


def test_every_step_that_can_be_made_is_in_the_table() -> None:
    assert {(step.start, step.goal) for step in TRANSITIONS} >= neighbours() >= {(Rung.SINGLE, Rung.RESIZED)}


def test_the_guides_estimate_stands_beside_what_the_same_costs_today() -> None:
    page = CLIMB.read_text(encoding="utf-8")
    assert "The guide estimates 54 dollars" in page
    assert "cost\n56.15 at prices of 2026-09-07" in page


def test_the_costs_in_the_readme_are_those_of_the_ladder_and_the_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    page = README.read_text(encoding="utf-8")
    assert readme(page) == page, "make it again: python docs/generate.py"
    assert costs() in page
    monkeypatch.setitem(pricing.DROPLETS, "s-4vcpu-8gb", pricing.Price(49.0, "a test", "2026-11-01"))
    assert readme(page) != page


def test_a_changed_price_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pricing.DROPLETS, "s-4vcpu-8gb", pricing.Price(49.0, "a test", "2026-11-01"))
    assert climb(CLIMB.read_text(encoding="utf-8")) != CLIMB.read_text(encoding="utf-8")
