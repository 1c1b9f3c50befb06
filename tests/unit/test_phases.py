"""The ladder: its rows, what makes a row unsound, and which steps are legal."""

from dataclasses import replace
from typing import Any

import pytest

import pricing
from phases import LADDER, Broker, Database, Entry, Media, Platform, Row, Rung, built, path, refusal, row, violations


def test_every_rung_has_one_row_in_the_order_of_the_ladder() -> None:
    assert [each.rung for each in LADDER] == list(Rung)


@pytest.mark.parametrize("each", LADDER, ids=lambda each: each.rung)
def test_every_row_is_sound(each: Row) -> None:
    assert violations(each) == []


@pytest.mark.parametrize("each", LADDER, ids=lambda each: each.rung)
def test_every_row_has_a_size_with_a_price(each: Row) -> None:
    assert each.size in pricing.DROPLETS


def test_single_is_the_guides_first_production() -> None:
    first = row(Rung.SINGLE)
    assert (first.hosts, first.size, first.workflow_concurrency, first.notification_concurrency) == (
        1,
        "s-2vcpu-2gb",
        4,
        2,
    )


def test_resizing_doubles_the_workers_and_moves_no_state() -> None:
    single, resized = row(Rung.SINGLE), row(Rung.RESIZED)
    assert (resized.workflow_concurrency, resized.notification_concurrency) == (8, 4)
    same = replace(resized, rung=single.rung, size=single.size, change=single.change, built=single.built)
    assert replace(same, workflow_concurrency=4, notification_concurrency=2) == single


def test_this_version_builds_all_but_the_cluster() -> None:
    assert built() == (Rung.SINGLE, Rung.RESIZED, Rung.EXTERNALISED, Rung.BALANCED)


UNSOUND: list[tuple[dict[str, Any], str]] = [
    ({"hosts": 0}, "a rung has at least one host"),
    ({"database": Database.ON_HOST}, "more than one host needs the managed database"),
    ({"media": Media.ON_HOST}, "more than one host needs media in Spaces"),
    ({"broker": Broker.ON_HOST}, "more than one host needs a broker outside the web hosts"),
    ({"entry": Entry.RESERVED_IP}, "a reserved IP leads to one host only: more need a balancer"),
    (
        {"broker": Broker.ON_HOST, "hosts": 1},
        "database, media and broker leave the host together: one move, one moment of truth",
    ),
    ({"platform": Platform.KUBERNETES}, "an ingress is the entry of a cluster and of nothing else"),
    ({"entry": Entry.INGRESS}, "an ingress is the entry of a cluster and of nothing else"),
]


@pytest.mark.parametrize(("change", "message"), UNSOUND, ids=[message for _, message in UNSOUND])
def test_an_unsound_row_is_named(change: dict[str, Any], message: str) -> None:
    assert message in violations(replace(row(Rung.BALANCED), **change))


def test_two_hosts_with_state_on_one_of_them_break_every_rule_at_once() -> None:
    assert len(violations(replace(row(Rung.SINGLE), hosts=2))) == 4


@pytest.mark.parametrize("rung", list(Rung))
def test_a_new_stack_may_start_anywhere(rung: Rung) -> None:
    assert refusal(None, rung) is None


def test_neighbours_may_be_reached_up_and_down_and_nothing_else() -> None:
    rungs = list(Rung)
    legal = {(start, goal) for start in rungs for goal in rungs if refusal(start, goal) is None}
    assert legal == {(a, b) for a in rungs for b in rungs if abs(rungs.index(a) - rungs.index(b)) <= 1}


def test_a_refusal_names_the_legal_path() -> None:
    assert refusal(Rung.SINGLE, Rung.BALANCED) == (
        "the deployed rung is 'single' and a step moves one rung: "
        "go single -> resized -> externalised -> balanced, one `pulumi up` each"
    )


def test_a_path_leads_both_ways() -> None:
    assert path(Rung.SINGLE, Rung.SINGLE) == (Rung.SINGLE,)
    assert path(Rung.EXTERNALISED, Rung.SINGLE) == (Rung.EXTERNALISED, Rung.RESIZED, Rung.SINGLE)
    assert path(Rung.SINGLE, Rung.CLUSTER) == tuple(Rung)
