"""Up to `resized` and down to `single` again, with a writer at work: nothing that was acknowledged is ever lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.traffic import writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.contents import Fingerprint
    from tests.e2e.platform import Platform

pytestmark = pytest.mark.rehearsal

UP = ("up", "--yes", "--skip-preview")


def concurrency(platform: Platform) -> list[str]:
    shown = "docker exec tts-$name-worker cat /proc/1/cmdline | tr '\\0' ' '"
    command = f"for name in workflow notification; do {shown}; echo; done"
    lines = platform.host("web-1", command).splitlines()
    return [line.split()[-1] for line in lines]


def last_stop(platform: Platform) -> float:
    """When the host began to stop the application last."""
    line = platform.host("web-1", "grep step=stop /var/log/tts/quiesce.log | tail -1")
    return float(platform.host("web-1", f"date -u -d {line.split()[0]} +%s"))


@pytest.fixture(scope="module")
def before(platform: Platform, seeded: Fingerprint) -> set[str]:
    return platform.lasting_rows()


def test_a_climb_whose_snapshot_fails_is_refused_and_the_application_runs(platform: Platform, before: set[str]) -> None:
    platform.pulumi("config", "set", "rung", "resized")
    platform.next_action_fails("snapshot")
    output = " ".join(platform.pulumi_fails(*UP).split())
    assert "web-1 keeps its size s-2vcpu-2gb and was not resized to s-4vcpu-8gb" in output
    assert "The application is running." in output
    assert platform.outputs()["rung"] == "single"
    assert platform.droplet("web-1")["size_slug"] == "s-2vcpu-2gb"
    assert platform.get("/health/")


def test_a_resize_that_fails_at_the_provider_leaves_the_application_running(platform: Platform) -> None:
    platform.next_action_fails("resize")
    assert "errored" in platform.pulumi_fails(*UP)
    platform.wait_until_healthy()
    assert platform.outputs()["rung"] == "single"
    assert platform.droplet("web-1")["size_slug"] == "s-2vcpu-2gb"


def test_the_climb_loses_no_acknowledged_ticket_and_moves_nothing(
    platform: Platform, seeded: Fingerprint, before: set[str], record_property: Callable[[str, object], None]
) -> None:
    platform.pulumi("config", "set", "rung", "resized")
    urns = set(platform.resources())
    with writing(platform.site()) as writer:
        platform.pulumi(*UP)
    downtime = writer.longest_wait(since=last_stop(platform))
    record_property("downtime_seconds", round(downtime, 1))
    print(f"downtime of the climb: {downtime:.0f} s")
    assert 1 < downtime < 180

    assert platform.outputs()["rung"] == "resized"
    assert platform.droplet("web-1")["size_slug"] == "s-4vcpu-8gb"
    assert platform.droplet("web-1")["disk"] == 60, "a disk that grew has no way back"
    assert set(platform.resources()) == urns
    assert writer.acknowledged.keys() - platform.tickets() == set()
    assert before - platform.row_hashes() == set()
    assert seeded.attachments.items() <= platform.attachments().items()
    assert concurrency(platform) == ["8", "4"]
    assert any(f"{platform.stack}-web-1-before-resized-" in name for name in platform.snapshots())
    platform.pulumi("preview", "--expect-no-changes")


def test_the_way_down_ends_on_single_though_the_engine_is_killed_at_every_step(
    platform: Platform, seeded: Fingerprint, before: set[str]
) -> None:
    platform.pulumi("config", "set", "rung", "single")
    with writing(platform.site()) as writer:
        snapshots = len(platform.snapshots())
        platform.kill_the_engine_when(lambda: len(platform.snapshots()) > snapshots, "a snapshot", *UP)
        platform.kill_the_engine_when(lambda: platform.droplet("web-1")["status"] == "off", "the power to be off", *UP)
        # The provider finished what the killed engine had begun; this one puts the droplet back, and is killed in that.
        resizes = platform.actions("resize")
        platform.kill_the_engine_when(lambda: platform.actions("resize") > resizes, "a resize", *UP)
        platform.pulumi(*UP)
    assert platform.outputs()["rung"] == "single"
    assert platform.droplet("web-1")["size_slug"] == "s-2vcpu-2gb"
    assert platform.droplet("web-1")["status"] == "active"
    assert writer.acknowledged.keys() - platform.tickets() == set()
    assert before - platform.row_hashes() == set()
    assert seeded.attachments.items() <= platform.attachments().items()
    assert concurrency(platform) == ["4", "2"]
    platform.pulumi("preview", "--expect-no-changes")
    platform.wait_until_healthy()
