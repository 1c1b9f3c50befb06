"""Limits that a person sets: how long copies are kept, how fast they go, how much room they take, what is odd."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.docker  # seconds each, for real programs


@pytest.fixture
def small(bare_host):
    """A host on which the run of `config` stands for all kinds."""
    bare_host.write(TTS_OFFSITE="")
    return bare_host


def store(host, source, kind="config", days=0.0):
    """A snapshot as a run of that many days ago made it."""
    moment = datetime.now(UTC) - timedelta(days=days)
    tags = f"kind={kind},stack=test,run={moment:%Y%m%dT%H%M%SZ}"
    # restic takes a time as that of this machine
    when = moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    done = host.restic("local", "backup", "--host", "web-1", "--tag", tags, "--time", when, str(source))
    assert done.returncode == 0, done.stderr


def verify(host):
    return json.loads(host.run("verify", "--json").stdout)["findings"]


def test_bug_18_and_19_twelve_weeks_of_configuration_stay_and_other_kinds_are_not_counted(small):
    for week in range(15, 0, -1):
        store(small, small.root / "app", days=7 * week)
    store(small, small.root / "app", kind="media", days=400)
    assert small.run("backup", "config").returncode == 0
    assert len(small.snapshots(kind="config")) == 16, "thirty daily and twelve weekly keep more than twelve weeks"
    small.write(TTS_KEEP_DAILY="1", TTS_KEEP_WEEKLY="12", TTS_KEEP_MONTHLY="1")
    assert small.run("backup", "config").returncode == 0
    times = sorted(item["time"][:10] for item in small.snapshots(kind="config"))
    weeks = {datetime.fromisoformat(time).isocalendar()[:2] for time in times}
    assert len(weeks) == 12
    assert len(small.snapshots(kind="media")) == 1
    assert small.restic("local", "check").returncode == 0


def test_the_upload_is_limited_and_the_local_backup_is_not(small):
    small.write(TTS_OFFSITE="aws", TTS_LIMIT_UPLOAD_KIB="512")
    calls = small.root / "restic.calls"
    small.fake("restic", f'echo "$*" >>{calls}\nexec "$REAL" "$@"')
    assert small.run("backup", "config").returncode == 0
    limited = [line.split()[0] for line in calls.read_text().splitlines() if "--limit-upload 512" in line]
    assert limited == ["copy"]
    calls.unlink()
    small.write(TTS_LIMIT_UPLOAD_KIB="0")
    assert small.run("backup", "config").returncode == 0
    assert "--limit-upload" not in calls.read_text()


def test_fault_18_a_newest_snapshot_far_below_the_median_of_the_last_seven_is_a_finding(small):
    small.write(TTS_MEDIA_VOLUME="")
    large = small.root / "app" / "large.bin"
    for day in range(7, 0, -1):
        large.write_bytes(os.urandom(200_000 if day != 4 else 10))  # one odd one does not make the median
        store(small, small.root / "app", days=day)
    store(small, small.root / "app", days=0.5)  # not within the second of the next: which is the newest must be clear
    assert not any("the median before it" in finding for finding in verify(small))
    large.unlink()
    store(small, small.root / "app")
    assert any(
        "newest config snapshot has" in finding and "the median before it" in finding for finding in verify(small)
    )


def test_fault_88_too_little_free_disk_is_a_warning_of_the_run_and_a_finding(small):
    small.write(TTS_MIN_FREE_PERCENT="100", TTS_MEDIA_VOLUME="")
    done = small.run("backup", "config", "--json")
    assert done.returncode == 0, done.stderr
    assert "the threshold is 100 %" in json.loads(done.stdout)["warnings"][0]
    assert any("the threshold is 100 %" in finding for finding in verify(small))


def test_bug_66_all_that_a_run_writes_is_private(small):
    small.write(TTS_OFFSITE="aws")
    for kind in ("config", "media"):
        assert small.run("backup", kind).returncode == 0
    roots = [small.root / name for name in ("state", "log", "cache")] + [
        small.repository(name) for name in ("local", "aws")
    ]
    # Not the keys: those of the tests are cheap ones, and the tests wrote them.
    written = [path for root in roots for path in root.rglob("*") if path.parent.name != "keys"]
    assert len(written) > 50
    assert [str(path) for path in written if path.stat().st_mode & 0o077] == []
