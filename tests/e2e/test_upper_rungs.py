"""The state leaves the host, hosts multiply, one dies, all comes back to one host: no acknowledged row is ever lost."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e.attempts import inputs, previewed
from tests.e2e.fleet import Fleet
from tests.e2e.traffic import reading, writing
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.contents import Fingerprint
    from tests.e2e.platform import Platform
    from tests.e2e.traffic import Writer

pytestmark = pytest.mark.rehearsal

UP = ("up", "--yes", "--skip-preview")
ZONE = "tickets.example"
# What the balancer promises: a look every 5 s, out after 3 bad ones, each of which may take 5 s to be given up.
OUT_WITHIN = 3 * (5 + 5)


@pytest.fixture(scope="module")
def fleet(platform: Platform, seeded: Fingerprint) -> Fleet:
    """The platform with a name in a zone of the account."""
    fleet = Fleet(platform.local, platform.stack)
    fleet.make_zone(ZONE)
    fleet.pulumi("config", "set", "domain", ZONE)
    fleet.pulumi("config", "set", "dnsZone", ZONE)
    fleet.pulumi(*UP)
    return fleet


@pytest.fixture(scope="module")
def before(fleet: Fleet) -> set[str]:
    """The rows before the climb."""
    return fleet.lasting_rows()


@pytest.fixture
def holds(fleet: Fleet, seeded: Fingerprint, before: set[str]) -> Callable[[Writer], None]:
    """Says that everything is there: what there was before the climb, and what was acknowledged since."""

    def check(writer: Writer) -> None:
        assert writer.acknowledged.keys() - fleet.tickets() == set()
        assert before - fleet.row_hashes() == set()
        assert seeded.attachments.items() <= fleet.attachments().items()
        fleet.pulumi("preview", "--expect-no-changes")
        fleet.wait_until_healthy()

    return check


def climb(fleet: Fleet, rung: str, *interruptions: Callable[[], None]) -> None:
    """Set the rung and deploy. Each interruption spoils a deployment of its own before that."""
    fleet.pulumi("config", "set", "rung", rung)
    for interrupted in interruptions:
        interrupted()
    fleet.pulumi(*UP)
    assert fleet.outputs()["rung"] == rung


def test_the_state_leaves_the_host_while_tickets_come_in(
    fleet: Fleet, before: set[str], holds: Callable[[Writer], None]
) -> None:
    climb(fleet, "resized")
    stateful = fleet.protected()
    off_and_on = partial(fleet.power_cycle, "web-1")
    with writing(fleet.site()) as writer:
        climb(
            fleet,
            "externalised",
            partial(fleet.kill_the_engine_when, lambda: fleet.clusters() != [], "a cluster that is not there yet", *UP),
            fleet.remove_strays,
            partial(fleet.interrupt_when, fleet.moves, "the first copy", off_and_on, *UP),
            partial(fleet.interrupt_when, partial(fleet.moves, past="closing"), "the stop", off_and_on, *UP),
            partial(fleet.kill_the_engine_when, partial(fleet.moves, past="closing"), "the stop", *UP),
        )
    print(f"longest time without an acknowledged ticket: {writer.longest_wait():.0f} s")
    holds(writer)
    assert stateful <= fleet.protected(), "what held state on the lower rung is still there, and still protected"
    assert "tts-postgres" not in fleet.containers("web-1")
    assert "postgres_data" in fleet.volumes("web-1"), "the old data stays until it is released"
    fleet.tts("backup", "all")
    fleet.tts("verify")
    assert {each["kind"]: each["verified"] for each in fleet.tts_json("status")["backups"]} == dict.fromkeys(
        ("databases", "media", "config"), True
    )


@pytest.mark.parametrize(
    ("mutation", "name"),
    [(inputs("DatabaseCluster", name="another"), "db"), (inputs("SpacesBucket", name="another-bucket"), "media")],
    ids=["database cluster", "bucket of the media"],
)
def test_another_name_for_what_holds_the_state_is_refused(
    mutation: str, name: str, fleet: Fleet, tmp_path: Path
) -> None:
    assert previewed(fleet, tmp_path, mutation).refused(name)


def test_writes_go_on_after_the_primary_of_the_database_died(fleet: Fleet, holds: Callable[[Writer], None]) -> None:
    with writing(fleet.site()) as writer:
        wait_for(lambda: len(writer.acknowledged) > 5, "the writer to write")
        dead = fleet.kill_the_primary()
        wait_for(lambda: fleet.primary() not in ("", dead), "another primary", seconds=60)
    assert writer.longest_wait() < 60
    holds(writer)


def test_hosts_multiply_without_one_failed_request(fleet: Fleet, holds: Callable[[Writer], None]) -> None:
    balancers = partial(fleet.api, "GET", "/v2/load_balancers")
    with writing(fleet.site()) as writer, reading(fleet.site()) as readers:
        climb(
            fleet,
            "balanced",
            partial(fleet.kill_the_engine_when, lambda: balancers()["load_balancers"] != [], "a balancer", *UP),
            fleet.remove_strays,
        )
    assert readers.failed == []
    assert len(readers.answered) > 500
    holds(writer)
    addresses = {host["address"] for host in fleet.outputs()["hosts"] if host["role"] == "web"}
    assert len(addresses) == 2
    assert [address for address in addresses if fleet.open_to_the_world(address, 80)] == []


def test_a_new_release_goes_host_by_host_without_one_failed_request(
    fleet: Fleet, holds: Callable[[Writer], None]
) -> None:
    with writing(fleet.site()) as writer, reading(fleet.site()) as readers, fleet.another_release():
        fleet.pulumi(*UP)
    assert readers.failed == []
    fleet.pulumi(*UP)
    holds(writer)


def test_a_dead_host_fails_few_requests_and_comes_back_by_itself(fleet: Fleet, holds: Callable[[Writer], None]) -> None:
    with writing(fleet.site()) as writer, reading(fleet.site()) as readers:
        wait_for(lambda: len(readers.answered) > 50, "the readers to read")
        fleet.power("web-2", "power_off", "off")
        bound = time.time() + OUT_WITHIN
        # Nothing need fail at all: the balancer asks the other host when one does not answer.
        wait_for(lambda: readers.answered[-1] > bound + 10, "answers after the dead host is left out")
        late = [failure for failure in readers.failed if failure[0] > bound]
        fleet.power("web-2", "power_on", "active")
        fleet.wait_until_healthy()
        wait_for(lambda: fleet.serves("web-2"), "requests on the host that came back", seconds=120)
    print(f"{len(readers.failed)} of {len(readers.failed) + len(readers.answered)} requests failed")
    assert late == []
    holds(writer)


def test_down_again_to_one_host_with_every_row_and_file(fleet: Fleet, holds: Callable[[Writer], None]) -> None:
    with writing(fleet.site()) as writer:
        with reading(fleet.site()) as readers:
            climb(fleet, "externalised")
        assert readers.failed == []
        climb(
            fleet,
            "resized",
            partial(fleet.interrupt_when, fleet.moves, "the first copy back", fleet.cut_the_installation, *UP),
        )
        assert "tts-postgres" in fleet.containers("web-1")
        climb(fleet, "single")
    holds(writer)
    assert fleet.outputs()["database"]["state"] == "held", "the managed cluster stays until it is released"


def test_what_is_held_goes_when_it_is_released(fleet: Fleet, holds: Callable[[Writer], None]) -> None:
    with writing(fleet.site()) as writer:
        fleet.tts("release-old", "--yes")
    holds(writer)
    assert "database" not in fleet.outputs()
    assert fleet.clusters() == []
