"""The signs for climbing: which values are signs, and which rung they call for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ops.climb import climb
from ops.hostreport import Week

if TYPE_CHECKING:
    from conftest import Fakes, Tts

CALM = Week(hours=168, cpu_percent=80, memory_percent=85, disk_free_percent=20)


def week(**changes: Any) -> Week:
    return Week(**{**{name: getattr(CALM, name) for name in CALM.__struct_fields__}, **changes})


def test_at_the_limits_there_is_no_sign_yet() -> None:
    found = climb("single", [("web-1", CALM)])
    assert (found.signs, found.rung, found.next) == ((), None, None)
    assert found.words == "no sign in the last 7 days"


@pytest.mark.parametrize(
    ("rung", "changes", "goal", "step"),
    [
        ("single", {"cpu_percent": 81}, "resized", "resized"),
        ("single", {"memory_percent": 86}, "resized", "resized"),
        ("single", {"disk_free_percent": 19}, "externalised", "resized"),
        ("single", {"disk_free_percent": 19, "cpu_percent": 99}, "externalised", "resized"),
        ("resized", {"cpu_percent": 81}, "externalised", "externalised"),
        ("externalised", {"memory_percent": 86}, "balanced", "balanced"),
        ("externalised", {"disk_free_percent": 3}, "balanced", "balanced"),
        ("balanced", {"cpu_percent": 81}, "cluster", None),
        ("cluster", {"cpu_percent": 100}, None, None),
        ("a rung of another version", {"cpu_percent": 100}, None, None),
    ],
)
def test_signs_call_for_the_rung_that_helps(
    rung: str, changes: dict[str, int], goal: str | None, step: str | None
) -> None:
    """A resize keeps the disk, so a full one calls for the rung on which the data leave the host."""
    found = climb(rung, [("web-1", week(**changes))])
    assert [sign.sign for sign in found.signs] == [key.split("_")[0] for key in sorted(changes)]
    assert (found.rung, found.next) == (goal, step)


def test_a_rung_that_is_not_built_is_called_so() -> None:
    found = climb("balanced", [("web-1", week(cpu_percent=95))])
    assert found.words == "the signs call for the rung cluster, which this version does not build yet"


def test_a_day_without_samples_says_nothing_about_the_processors_but_a_full_disk_is_full() -> None:
    found = climb("single", [("web-1", Week(hours=3, cpu_percent=99, memory_percent=99, disk_free_percent=19))])
    assert [sign.sign for sign in found.signs] == ["disk"]
    assert climb("single", [("web-1", Week(hours=3, cpu_percent=99))]).words == "3 h sampled so far"
    assert climb("single", []).hours == 0


def test_one_busy_host_of_two_is_a_sign_and_named() -> None:
    found = climb("balanced", [("web-1", CALM), ("web-2", week(cpu_percent=92))])
    assert [sign.text for sign in found.signs] == ["web-2 used 92 % of its processors for hours, more than 80 %"]


def test_status_says_which_rung_and_how_to_go_there(
    deployed: Fakes, tts: Tts, report: dict[str, Any], outputs: dict[str, Any]
) -> None:
    report["week"] = {"hours": 168, "cpu_percent": 91, "memory_percent": 50, "disk_free_percent": 60}
    deployed.answer("ssh", "tts-host-status", report)
    document = tts("status", "--json").json
    assert document["climb"]["rung"] == document["climb"]["next"] == "resized"
    assert document["climb"]["signs"] == [{"host": "web-1", "sign": "cpu", "percent": 91, "limit": 80}]
    (advice,) = [each for each in document["findings"] if not each["urgent"]]
    assert advice["next_step"] == "pulumi config set rung resized --stack prod && pulumi up --stack prod"
    assert "web-1 used 91 % of its processors for hours" in advice["text"]
    screen = tts("status").stdout
    assert len(screen.splitlines()) <= 24
    assert "call for the rung resized" in " ".join(screen.split())


def test_a_host_of_an_older_version_has_no_signs(deployed: Fakes, tts: Tts) -> None:
    document = tts("status", "--json").json
    assert document["climb"] == {"signs": [], "rung": None, "next": None, "hours": 0}
