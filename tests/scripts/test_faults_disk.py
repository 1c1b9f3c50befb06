"""A disk that is full at five points of a run: nothing half is stored, nothing is lost, the space comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.docker  # seconds each, for real programs
POINTS = (0.1, 0.3, 0.55, 0.8, 0.95)  # shares of what a run writes: into both dumps, the packs, the index
ROOM = "40m"


@pytest.fixture
def small(host):
    """A host whose staging and repository are on a small disk of their own, whose size the preflight does not see."""
    disk = host.root / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        shutil.copytree(host.repository("local"), disk / "local")
        host.write(TTS_OFFSITE="aws", TTS_STATE_DIR=str(disk / "state"), TTS_LOCAL_REPOSITORY=str(disk / "local"))
        (host.root / "patch").mkdir()
        patch = "import os\nreal = os.statvfs\nos.statvfs = lambda p: os.statvfs_result([*real(p)[:4], 10**9, *real(p)[5:]])\n"  # noqa: E501
        (host.root / "patch" / "sitecustomize.py").write_text(patch)
        host.fake("python3", f'export PYTHONPATH="{host.root}/patch:$PYTHONPATH"; exec "$REAL" "$@"')
        yield host
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def resize(host, size):
    subprocess.run(["mount", "-o", f"remount,size={size}", str(host.root / "disk")], check=True)


def used(host):
    disk = os.statvfs(host.root / "disk")
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize


def new_rows(host):
    """Two megabytes that no earlier run has stored."""
    for name in ("auth_db", "ticket_db"):
        host.server.sql(
            "drop table if exists big; create table big as select md5(random()::text) || md5(random()::text) x "
            "from generate_series(1, 15000)",
            name,
        )


def test_fault_08_a_disk_that_is_full_at_any_point_of_a_run_leaves_no_half_snapshot_and_gives_the_space_back(small):
    new_rows(small)
    before = used(small)
    done = small.run("backup", "databases", "--json")
    assert done.returncode == 0, done.stderr
    written = (
        json.loads(done.stdout)["bytes"] + used(small) - before
    )  # the dumps in staging, and what is stored of them
    steps = set()
    for share in POINTS:
        new_rows(small)
        before = used(small)
        there = {item["id"] for item in listed(small)}
        resize(small, before + int(share * written))
        done = small.run("backup", "databases")
        resize(small, ROOM)
        assert done.returncode != 0, f"the disk was not full at {share}"
        last = small.last_line()
        assert "result=failed" in last
        steps.add(last.split("step=")[1].split()[0])
        assert not (small.root / "disk" / "state" / "staging").exists()
        assert {item["id"] for item in listed(small)} == there
        assert small.server.sql("create table after_full (x int); drop table after_full; select 1", "auth_db") == "1"
        checked = small.restic("local", "check", address=str(small.root / "disk" / "local"))
        assert checked.returncode == 0, checked.stderr
    assert {"dump", "store"} <= steps, "the disk was not full at different points"
    done = small.run("backup", "databases")
    assert done.returncode == 0, done.stderr
    assert len(small.snapshots("aws")) == len(listed(small)) == 2
    assert used(small) < 12_000_000, "what failed runs left was not pruned"


def listed(host):
    return host.snapshots(address=str(host.root / "disk" / "local"))
