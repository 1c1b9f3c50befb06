"""Faults of media: volumes, files that change while they are read, files outside volumes."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.docker  # seconds each, for real programs


def media(host):
    return host.root / "volumes" / "shop_media_files" / "_data"


def only_local(host):
    host.write(TTS_OFFSITE="")
    return host


def failed(host, done, step):
    return host.failed(done, step, job="backup-media")


@pytest.mark.parametrize("volumes", [0, 2])
def test_fault_35_a_volume_that_is_missing_or_found_twice_fails_and_none_is_created(bare_host, volumes):
    host = bare_host
    there = host.docker["volumes"][0]
    host.docker["volumes"] = [{**there, "name": f"v{number}"} for number in range(volumes)] + [
        {**there, "name": "foreign", "labels": {}}
    ]
    host.write_docker()
    last = failed(host, host.run("backup", "media"), "preflight")
    assert f"found {volumes}" in last
    assert "foreign" in last
    assert not any(call.startswith(("run", "volume create")) for call in host.docker_calls())
    assert host.snapshots() == []


def vanishing(host, times):
    """restic that reports status 3 and one vanished file for the first `times` backups."""
    error = '{"message_type":"error","error":{"message":"lstat: no such file"},"during":"archival","item":"/gone.bin"}'
    script = f'''if [[ $1 == backup ]]; then
  n=$(cat {host.root}/n 2>/dev/null || echo 0); echo $((n + 1)) >{host.root}/n
  if ((n < {times})); then "$REAL" "$@"; echo '{error}' >&2; exit 3; fi
fi
exec "$REAL" "$@"'''
    host.fake("restic", script)


def test_fault_36_a_file_that_vanishes_once_is_answered_by_one_more_try(bare_host):
    host = only_local(bare_host)
    vanishing(host, 1)
    done = host.run("backup", "media", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["warnings"] == []
    assert len(host.snapshots()) == 1


def test_fault_36_files_that_keep_vanishing_are_a_warning_with_names_or_above_the_threshold_a_failure(bare_host):
    host = only_local(bare_host)
    vanishing(host, 99)
    done = host.run("backup", "media", "--json")
    assert done.returncode == 0, done.stderr
    assert "/gone.bin" in json.loads(done.stdout)["warnings"][0]
    assert len(host.snapshots()) == 1
    host.write(TTS_MEDIA_ERRORS="0")
    failed(host, host.run("backup", "media"), "store")
    assert len(host.snapshots()) == 1


def test_fault_31_times_of_files_neither_change_retention_nor_store_content_again(bare_host):
    host = only_local(bare_host)
    (media(host) / "large.bin").write_bytes(os.urandom(2_000_000))
    assert host.run("backup", "media").returncode == 0
    for path in media(host).rglob("*"):
        os.utime(path, (0, 0))
    assert host.run("backup", "media").returncode == 0
    first, second = host.snapshots()
    assert second["summary"]["data_added"] < 50_000
    assert first["summary"]["data_added"] > 2_000_000


def test_fault_73_media_outside_every_volume_fail_the_run_with_container_and_path(bare_host):
    host = only_local(bare_host)
    folder = host.root / "layer" / "app" / "media"
    folder.mkdir(parents=True)
    (folder / "x.png").write_bytes(b"x")
    host.docker["containers"][1] |= {
        "diff": ["C /app", "A /app/media", "A /app/media/x.png"],
        "root": str(host.root / "layer"),
    }
    host.write_docker()
    last = failed(host, host.run("backup", "media"), "guard")
    assert "shop-ticket-service-1:/app/media/x.png" in last
    assert len(host.snapshots()) == 1


def test_bug_24_files_and_bytes_of_the_source_are_in_the_result(bare_host):
    host = only_local(bare_host)
    result = json.loads(host.run("backup", "media", "--json").stdout)
    assert (result["files"], result["bytes"]) == (12, 24000)


def test_fault_85_and_44_a_media_restore_that_fails_leaves_the_live_files_and_the_next_attempt_cleans_up(bare_host):
    host = only_local(bare_host)
    assert host.run("backup", "media").returncode == 0
    before = {path: path.read_bytes() for path in media(host).rglob("*") if path.is_file()}
    host.fake(
        "restic",
        '[[ $1 == restore ]] && { "$REAL" "$@"; rm -f "$4"/tickets/attachment\\ 1.bin; exit 0; }; exec "$REAL" "$@"',
    )
    done = host.run("restore", "media", "--yes")
    assert done.returncode == 1
    assert "1 of 12 files were not restored" in done.stderr
    assert {path: path.read_bytes() for path in media(host).rglob("*") if path.is_file()} == before
    assert not any(call.startswith("stop") for call in host.docker_calls())
    assert sorted(path.name for path in media(host).parent.iterdir()) == ["_data"]
