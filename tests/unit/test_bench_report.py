"""The page of figures: every benchmark writes its own section, and a missed limit is said."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from bench.burden import latency, stepped_back
from bench.host import Host
from bench.load import Answer, Load
from bench.onhost.measure import processes
from bench.picture import bars
from bench.report import Figure, table, write_section
from bench.site import Site
from bench.turns import in_turns, percentile, ratio, turned

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("value", "limit", "at_least", "word"),
    [
        (1.9, 2, False, "| 1.90 x | ≤ 2 x | yes |"),
        (2.004, 2, False, "| 2.00 x | ≤ 2 x | **no** |"),
        (41.06, 25, True, "| 41.1 x | ≥ 25 x | yes |"),
        (24.99, 25, True, "| 25.0 x | ≥ 25 x | **no** |"),
        (131.6, None, False, "| 132 x |  |  |"),
    ],
)
def test_a_row_says_whether_the_figure_is_within_its_limit(
    value: float, limit: float | None, at_least: bool, word: str
) -> None:
    assert word in Figure("name", value, "x", limit, "how", at_least=at_least).row


def test_a_section_is_added_and_then_replaced_and_the_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    write_section(page, "one", "One", table([Figure("first", 1, "s", 2, "so")]))
    write_section(page, "two", "Two", "second")
    write_section(page, "one", "One", "measured again")
    text = page.read_text()
    assert text.startswith("# Performance\n")
    assert text.count("<!-- one -->") == text.count("<!-- two -->") == 2
    assert "first" not in text
    assert text.index("measured again") < text.index("second")
    write_section(page, "two", "Two", "second")
    assert page.read_text() == text


def test_every_side_is_measured_in_every_round_and_each_begins_in_its_turn() -> None:
    order: list[str] = []
    sides = {name: lambda name=name: float(order.append(name) or len(order)) for name in ("a", "b", "c")}
    measured = in_turns(3, sides, lambda number: order.append(f"round {number}"))
    assert [word for word in order if word in sides] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert {len(values) for values in measured.values()} == {3}
    assert turned(["a", "b"], 3) == ["b", "a"]


def test_ratios_are_of_medians_and_percentiles_are_values_that_were_measured() -> None:
    assert ratio({"slow": [8, 2, 100], "fast": [2, 1, 4]}, "slow", "fast") == 4
    assert percentile([float(number) for number in range(1, 101)], 0.95) == 95
    assert percentile([3.0], 0.95) == 3


def test_a_process_that_did_not_step_back_is_seen() -> None:
    assert stepped_back("10 best-effort: prio 7")
    assert stepped_back("19 idle")
    assert not stepped_back("0 best-effort: prio 7")
    assert not stepped_back("10 none: prio 0")


def test_a_process_that_has_ended_is_not_judged() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        assert process.pid in processes()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its parent has not asked
        assert process.pid not in processes()


class Answered(Host):
    """A host whose application has answered: one backup was slow."""

    def loaded(self, rate: float, quiet: float, rounds: int, command: str) -> dict[str, Any]:
        usual = [0.010] * 94 + [0.012] * 6
        slow = [0.010] * 50 + [0.030] * 50
        return {
            "quiet": [usual] * rounds,
            "busy": [slow, *[usual] * (rounds - 1)],
            "failed": int(self.stack == "failing"),
        }


def test_the_latency_is_a_percentile_of_all_answers_and_that_of_single_backups_is_told() -> None:
    figure = latency(Answered("web-1", "local", {}), 1)
    assert figure.value == pytest.approx(2.5)  # 50 of 800 are slow, all in one backup, and 40 may be
    assert (
        "all answers of 8 backups: 30.0 ms and 12.0 ms; medians of the single backups' 12.0 ms and 12.0 ms"
        in figure.how
    )


def test_a_request_that_failed_during_backups_ends_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="1 requests failed"):
        latency(Answered("web-1", "failing", {}), 1)


def test_the_picture_is_svg_with_a_bar_for_each_side() -> None:
    drawn = ElementTree.fromstring(bars("<title>", {"a & b": (36.4, 7.3), "c": (0, 1)}))
    assert [element.text for element in drawn.iter() if element.text and " s" in element.text] == [
        "36.4 s",
        "7.3 s",
        "0.0 s",
        "1.0 s",
    ]


def test_a_wait_is_between_good_answers_and_only_acknowledged_tickets_count() -> None:
    load = Load(Site("192.0.2.1"), rate=4, writes=1)
    load.answers += [
        Answer(12, 0.5, 201, "c"),  # answers come in in any order
        Answer(0, 0.1, 201, "a"),
        Answer(1, 0.1, 201, "b"),
        Answer(5, 0.2, 502),
        Answer(3, 2.0, 0),
    ]
    assert load.longest_wait() == pytest.approx(11.4)
    assert [answer.due for answer in load.failed()] == [3, 5]
    assert load.reasons() == "1 of status 0, 1 of status 502"
    assert load.tickets() == {"a", "b", "c"}
    assert [answer.due for answer in load.between(1, 5)] == [1, 3]
    assert Load(Site("192.0.2.1"), rate=4, writes=1).longest_wait() == 0
