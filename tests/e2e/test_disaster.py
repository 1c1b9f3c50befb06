"""Disaster: a restore is rehearsed; then droplet and disk are gone, and everything comes back from off-site."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import bulk
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.contents import Fingerprint
    from tests.e2e.platform import Platform

pytestmark = pytest.mark.rehearsal
TICKETS = 850  # have more than a thousand attachments


@pytest.fixture(scope="module")
def grown(platform: Platform, seeded: Fingerprint) -> Iterator[Fingerprint]:
    """A platform of some size: a hundred thousand rows more in each database, a thousand files."""
    platform.seed(TICKETS)
    platform.in_each_database(bulk.ADD)
    found = platform.settled()
    assert seeded.attachments.items() <= found.attachments.items()
    assert len(found.attachments) >= 1000
    assert all(sum(tables.values()) >= bulk.ROWS for tables in found.rows.values())
    assert set(found.rows) == set(bulk.ADD)
    yield found
    platform.in_each_database(bulk.REMOVE)


def test_a_drill_restores_every_row_on_a_server_without_a_network(platform: Platform, grown: Fingerprint) -> None:
    platform.tts("backup", "all")
    drill = platform.tts_json("drill", "--from", "aws")
    assert drill["result"] == "PASS", drill["findings"]
    assert set(drill["databases"]) == set(grown.rows)
    for name, tables in grown.rows.items():
        assert drill["databases"][name]["rows"] == sum(tables.values()), name
    assert drill["media"]["files"] == len(grown.attachments)
    assert platform.tts_json("status")["drill"]["result"] == "PASS"


def test_a_drill_on_the_operator_s_machine_needs_no_host(platform: Platform) -> None:
    drill = platform.tts_json("drill", "--here", "--from", "spaces")
    assert drill["result"] == "PASS", drill["findings"]


def test_a_lost_droplet_comes_back_with_every_row_and_file(platform: Platform, grown: Fingerprint) -> None:
    before = platform.outputs()
    droplet = before["hosts"][0]["dropletId"]
    platform.delete_droplet(droplet)
    report = platform.tts_json("rebuild", "--from", "spaces", "--yes")
    after = platform.outputs()
    assert after["hosts"][0]["dropletId"] not in {droplet, None}
    assert after["url"] == before["url"], "the address that the world knows leads to the new host"
    assert platform.fingerprint() == grown
    assert report["repository"] == "spaces"
    assert report["rows"] == {name: sum(tables.values()) for name, tables in grown.rows.items()}
    assert 0 < report["rto"] < 1800, "seconds until the application answered again"
    assert report["rpo"] > 0
    (kept,) = (platform.local / "journal").glob("rebuild-*Z.json")
    assert json.loads(kept.read_text())["choices"]["report"]["droplet"] == report["droplet"]
    platform.pulumi("preview", "--expect-no-changes")


def test_the_rebuilt_host_backs_itself_up_and_its_schedule_runs(platform: Platform) -> None:
    status = platform.tts_json("status")
    assert [backup["kind"] for backup in status["backups"] if not backup["verified"]] == []
    assert [finding for finding in status["findings"] if finding["urgent"]] == []
    assert platform.host("web-1", "systemctl is-active cron").strip() == "active"


def test_an_image_of_the_disk_is_complete_before_it_is_named_and_can_be_deleted(platform: Platform) -> None:
    made = platform.tts_json("snapshot", "before-upgrade")["made"]
    assert made["id"] in {image["id"] for image in platform.tts_json("snapshot", "--list")["images"]}
    platform.tts("snapshot", "--delete", str(made["id"]), "--yes")
    wait_for(
        lambda: made["id"] not in {image["id"] for image in platform.tts_json("snapshot", "--list")["images"]},
        "the image to be gone",
    )
