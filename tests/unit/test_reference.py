"""Reference pages that follow from the sources are those that the sources make now."""

import copy

from docs.generate import CONFIGURATION, configuration
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
