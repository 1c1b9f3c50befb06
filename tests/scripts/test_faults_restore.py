"""Faults of a restore: whatever goes wrong, the live databases are as they were."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from tests.scripts.hosts import wait_for

pytestmark = pytest.mark.docker  # seconds each, for real programs


@pytest.fixture
def changed(backed_up):
    """A host with one backup in the local repository, whose live data has changed since."""
    backed_up.write(TTS_OFFSITE="")
    backed_up.server.sql("insert into person select n, 'since' from generate_series(900, 999) n", "auth_db")
    return backed_up


def live(host):
    return {name: host.server.counts(name) for name in ("auth_db", "ticket_db")}


def assert_untouched(host, before):
    assert host.server.databases() == {"auth_db", "ticket_db"}
    assert live(host) == before
    assert not any(call.startswith("stop") for call in host.docker_calls())


def copy_of(it, **changes):
    """A snapshot like the newest one, with other tags, host or time."""
    folder = it.root / "state" / "staging" / "databases"
    (snapshot,) = it.snapshots()
    of_dumps = f"{snapshot['id']}:{snapshot['paths'][0]}"
    assert it.restic("local", "restore", of_dumps, "--target", str(folder)).returncode == 0
    change = changes.pop("content", None)
    if change:
        change(folder)
    tags = changes.get("tags", "kind=databases,stack=test,run=x")
    args = [
        "backup",
        "--host",
        changes.get("host", "web-1"),
        "--tag",
        tags,
        *(["--time", changes["time"]] if "time" in changes else []),
        str(folder),
    ]
    done = it.restic("local", *args)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder.parent)
    return next(item["id"] for item in it.snapshots() if item["id"] != snapshot["id"])


def test_fault_58_latest_refuses_a_snapshot_of_the_future_and_a_named_one_is_still_possible(changed):
    before = live(changed)
    (good,) = changed.snapshots()
    copy_of(changed, time="2090-01-01 00:00:00")
    done = changed.run("restore", "databases", "--yes")
    assert done.returncode == 1
    assert "time in the future" in done.stderr
    assert_untouched(changed, before)
    assert changed.run("restore", "databases", "--snapshot", good["id"], "--dry-run").returncode == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"host": "other-host"}, "of host other-host"),
        ({"tags": "kind=databases,stack=prod"}, "of stack prod"),
        ({"tags": "kind=media,stack=test"}, "of kind media"),
    ],
)
def test_fault_43_a_snapshot_of_another_host_stack_or_kind_is_refused(changed, changes, reason):
    before = live(changed)
    foreign = copy_of(changed, **changes)
    done = changed.run("restore", "databases", "--snapshot", foreign, "--yes")
    assert done.returncode == 1
    assert reason in done.stderr
    assert_untouched(changed, before)
    assert changed.run("restore", "databases", "--dry-run").returncode == 0, "latest looked at a foreign snapshot"


def truncate_manifest(folder):
    (folder / "manifest.json").write_text('{"format": 1')


def shorten_dump(folder):
    path = folder / "auth_db.dump"
    path.write_bytes(path.read_bytes()[:-500])


def flip_dump(folder):
    path = folder / "auth_db.dump"
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)


def foreign_file(folder):
    (folder / "extra.dump").write_bytes(b"x")


def fewer_rows(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 200', '"rows": 199'))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (truncate_manifest, "manifest is damaged"),
        (shorten_dump, "bytes instead of"),
        (flip_dump, "does not have the checksum"),
        (foreign_file, "does not belong there"),
    ],
)
def test_fault_17_a_damaged_snapshot_is_refused_and_the_live_databases_stay(changed, content, reason):
    before = live(changed)
    bad = copy_of(changed, content=content)
    done = changed.run("restore", "databases", "--snapshot", bad, "--yes")
    assert done.returncode == 1
    assert reason in done.stderr
    assert_untouched(changed, before)


def test_fault_17_rows_that_differ_leave_the_live_databases_and_the_application_starts_again(changed):
    before = live(changed)
    bad = copy_of(changed, content=fewer_rows)
    done = changed.run("restore", "databases", "--database", "auth_db", "--snapshot", bad, "--yes")
    assert done.returncode == 1
    assert "200 instead of 199" in done.stderr
    assert (changed.server.databases(), live(changed)) == ({"auth_db", "ticket_db"}, before)
    calls = [call for call in changed.docker_calls() if call.startswith(("stop", "start"))]
    assert calls[0] == "stop --time 30 shop-nginx-1 shop-ticket-service-1", "it begins while the rows are counted"
    assert sorted(calls[1:]) == ["start shop-nginx-1", "start shop-ticket-service-1"]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("--snapshot", "feedfeed"), "0 snapshots with id feedfeed"),
        (("--database", "nope"), "no database nope"),
        (("--repository", "moon"), "known are local"),
    ],
)
def test_fault_43_what_does_not_exist_is_named(changed, args, reason):
    before = live(changed)
    done = changed.run("restore", "databases", "--yes", *args)
    assert done.returncode != 0
    assert reason in done.stderr
    assert_untouched(changed, before)


def test_fault_44_a_restore_killed_half_way_leaves_the_live_databases_and_the_next_one_clears_the_rest(changed):
    before = live(changed)
    folder = changed.root / "pgfakes"
    folder.mkdir()
    (folder / "pg_restore").write_text(
        f'#!/bin/bash\n"{changed.server.bin}/pg_restore" "$@"; touch {changed.root}/restored; exec sleep 300\n'
    )
    (folder / "pg_restore").chmod(0o755)
    changed.docker["pgbin"] = f"{folder}:{changed.server.bin}"
    changed.write_docker()
    run = changed.start("restore", "databases", "--yes")
    wait_for((changed.root / "restored").exists, 180)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert live(changed) == before
    wait_for(changed.lock_is_free, 60)
    changed.docker["pgbin"] = str(changed.server.bin)
    changed.write_docker()
    # As if it had been killed once more, between the making of a database and its mark.
    changed.server.sql("create database tts_unfinished__0a1b2c3d4e5f")
    done = changed.run("restore", "databases", "--yes")
    assert done.returncode == 0, done.stderr
    assert not [name for name in changed.server.databases() if "__restore" in name or "unfinished" in name]
    assert changed.server.counts("auth_db")["public.person"] == 200


def test_bug_54_a_swap_that_fails_opens_the_live_databases_again_and_starts_the_application(changed):
    before = live(changed)
    changed.server.sql('create database "auth_db__restore"')  # a person's own: it has no mark of ours
    done = changed.run("restore", "databases", "--yes")
    assert done.returncode == 1
    assert "auth_db__restore" in done.stderr
    assert live(changed) == before
    assert "auth_db__restore" in changed.server.databases()


def test_fault_46_a_backup_of_a_newer_major_version_is_refused_with_both_versions(changed):
    before = live(changed)

    def newer(folder):
        path = folder / "manifest.json"
        number = changed.server.sql("show server_version_num")
        path.write_text(
            path.read_text()
            .replace(f'"version_num": {number}', '"version_num": 990001')
            .replace('"version": "', '"version": "99.')
        )

    bad = copy_of(changed, content=newer)
    done = changed.run("restore", "databases", "--snapshot", bad, "--yes")
    assert done.returncode == 1
    assert "PostgreSQL 99." in done.stderr
    assert_untouched(changed, before)


def test_fault_15_a_restore_does_not_start_while_a_backup_runs(changed):
    before = live(changed)
    with changed.locked():
        done = changed.run("restore", "databases", "--yes")
    assert done.returncode == 75
    assert_untouched(changed, before)
