"""Faults of a database run, by their number in the fault table; each run must say that it failed, and leave nothing
behind.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.scripts.hosts import wait_for

pytestmark = pytest.mark.docker  # seconds each, for real programs

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "host"


def no_copies(host):
    host.write(TTS_OFFSITE="")


def fake_tool(host, name, script):
    """Put a PostgreSQL tool before the server's own; `$REAL` is the real one."""
    folder = host.root / "pgfakes"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\nREAL={host.server.bin}/{name}\n{script}\n")
    (folder / name).chmod(0o755)
    host.docker["pgbin"] = f"{folder}:{host.server.bin}"
    host.write_docker()


def real_tools(host):
    host.docker["pgbin"] = str(host.server.bin)
    host.write_docker()


def restic_was_not_called_for(host, verb):
    return verb not in (host.root / "restic.calls").read_text().split()


def watch_restic(host, script='exec "$REAL" "$@"'):
    host.fake("restic", f'echo "$1" >>{host.root}/restic.calls\n{script}')


def test_fault_01_a_stopped_database_container_fails_the_run_and_nothing_is_stored(host):
    watch_restic(host)
    host.docker["containers"][0]["state"] = "exited"
    host.write_docker()
    last = host.failed(host.run("backup", "databases"), "preflight")
    assert "found 0: none" in last
    assert "shop-nginx-1 (nginx)" in last
    for verb in ("backup", "copy", "forget", "prune"):
        assert restic_was_not_called_for(host, verb)
    assert host.snapshots() == []


def test_fault_02_two_matching_containers_fail_before_any_dump(host):
    host.docker["containers"].append({**host.docker["containers"][0], "name": "other-postgres"})
    host.write_docker()
    last = host.failed(host.run("backup", "databases"), "preflight")
    assert "found 2: other-postgres, shop-postgres-1" in last
    assert not any(call.startswith("exec") for call in host.docker_calls())


def test_fault_03_a_missing_expected_database_fails_and_a_new_one_is_backed_up_with_a_warning(host):
    no_copies(host)
    host.write(TTS_PG_EXPECTED="auth_db,ticket_db,gone_db")
    last = host.failed(host.run("backup", "databases"), "dump")
    assert "gone_db" in last
    assert host.snapshots() == []
    host.write(TTS_PG_EXPECTED="auth_db")
    done = host.run("backup", "databases", "--json")
    assert done.returncode == 0, done.stderr
    assert "ticket_db" in json.loads(done.stdout)["warnings"][0]


@pytest.mark.parametrize(
    ("row", "script", "reason"),
    [
        (4, '"$REAL" "$@" | head -c 3000; exit 1', "pg_dump ended with 1"),
        (16, '"$REAL" "$@" | head -c 3000; exit 0', "pg_restore cannot read the dump to its end"),
        (18, "exit 0", "pg_restore cannot read the dump to its end"),
        (5, "kill -9 $$", "pg_dump ended with"),
    ],
)
def test_fault_04_one_bad_dump_fails_the_run_but_not_the_other_dumps(host, row, script, reason):
    watch_restic(host)
    fake_tool(host, "pg_dump", f'case "$*" in *auth_db*) {script} ;; esac; exec "$REAL" "$@"')
    last = host.failed(host.run("backup", "databases"), "dump")
    assert f"auth_db: {reason}" in last
    assert "ticket_db" not in last
    assert "database=ticket_db bytes=" in host.log()
    assert restic_was_not_called_for(host, "backup")
    assert restic_was_not_called_for(host, "forget")


def test_fault_06_a_run_killed_at_any_point_leaves_no_half_snapshot_and_does_not_stop_the_next(host):
    seed = int(os.environ.get("TTS_TEST_SEED") or secrets.randbelow(10**6))
    print(f"TTS_TEST_SEED={seed} gives these points again")
    points = random.Random(seed)
    host.write(TTS_OFFSITE="aws")
    begun = time.monotonic()
    assert host.run("backup", "databases").returncode == 0
    duration = time.monotonic() - begun
    good = {snapshot["id"] for snapshot in host.snapshots()}
    for _ in range(20):
        run = host.start("backup", "databases")
        try:
            run.wait(duration * points.random())
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        wait_for(host.lock_is_free)  # a lock that outlives the run would stop the next
    done = host.run("backup", "databases", "--json")
    assert done.returncode == 0, done.stderr
    assert not (host.root / "state" / "staging").exists()
    assert host.server.sql("select count(*) from pg_stat_activity where application_name = 'tts-backup'") == "0"
    made = {"local": {snapshot["id"] for snapshot in host.snapshots()}}
    made["aws"] = {snapshot["id"] for snapshot in host.snapshots("aws")}
    sent = {snapshot["original"] for snapshot in host.snapshots("aws")}
    assert good | made["local"] <= sent, "the backlog was not sent, or an earlier snapshot is lost"
    for name, identifiers in made.items():
        for identifier in identifiers:
            listed = host.restic(name, "ls", identifier).stdout
            files = ("auth_db.dump", "ticket_db.dump", "globals.sql", "manifest.json")
            assert [file for file in files if file not in listed] == []
        checked = host.restic(name, "check")
        assert checked.returncode == 0, checked.stderr


def test_fault_07_a_terminated_run_ends_at_once_and_cleans_up(host):
    fake_tool(host, "pg_dump", 'echo started >"$PGHOST.started" 2>/dev/null; sleep 60')
    run = host.start("backup", "databases")
    deadline = time.monotonic() + 60
    while not (host.root / "state" / "staging" / "databases" / "auth_db.dump").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.terminate()
    _, words = run.communicate(timeout=30)
    assert run.returncode == 143
    assert "result=failed" in words.strip().splitlines()[-1]
    assert not (host.root / "state" / "staging").exists()
    assert host.lock_is_free()
    assert host.snapshots() == []


def test_fault_08_a_full_disk_while_dumping_fails_and_gives_the_space_back(host):
    small = host.root / "state"
    small.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        host.server.sql(
            "create table big as select repeat(md5(n::text), 40) x from generate_series(1, 4000) n", "auth_db"
        )
        host.fake(
            "python3",
            f'export PYTHONSTARTUP=; [[ $* == *preflight* ]] && exec {host.root}/preflight "$@"; exec "$REAL" "$@"',
        )
        (host.root / "preflight").write_text('#!/bin/sh\nmkdir -p "$TTS_STATE_DIR/staging"\nexit 0\n')
        (host.root / "preflight").chmod(0o755)
        done = host.run("backup", "databases")
        last = host.failed(done, "dump")
        assert "No space left on device" in last
        assert os.statvfs(small).f_bavail > 400
        assert host.server.sql("create table after_full (x int); select 1", "auth_db") == "1"
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_fault_09_too_little_space_is_refused_before_anything_is_written(host):
    watch_restic(host)
    host.server.sql("select 1")
    host.fake("python3", f'export PYTHONPATH="{host.root}/patch:$PYTHONPATH"; exec "$REAL" "$@"')
    (host.root / "patch").mkdir()
    patch = (
        "import os\nreal = os.statvfs\nos.statvfs = lambda p: os.statvfs_result([*real(p)[:4], 100, *real(p)[5:]])\n"
    )
    (host.root / "patch" / "sitecustomize.py").write_text(patch)
    last = host.failed(host.run("backup", "databases"), "preflight")
    assert "bytes needed" in last
    assert "available" in last
    assert restic_was_not_called_for(host, "backup")


def test_fault_10_too_few_inodes_are_refused_before_anything_is_written(host):
    host.fake("python3", f'export PYTHONPATH="{host.root}/patch:$PYTHONPATH"; exec "$REAL" "$@"')
    (host.root / "patch").mkdir()
    few = "[*real(p)[:5], 1000000, 5, 5, *real(p)[8:]]"
    patch = f"import os\nreal = os.statvfs\nos.statvfs = lambda p: os.statvfs_result({few})\n"
    (host.root / "patch" / "sitecustomize.py").write_text(patch)
    assert "not enough inodes" in host.failed(host.run("backup", "databases"), "preflight")


def test_fault_12_a_held_lock_ends_in_a_named_failure_after_retries_and_is_not_waited_for_for_ever(host):
    with host.server.session("begin; lock table person in access exclusive mode;", "auth_db"):
        begun = time.monotonic()
        last = host.failed(host.run("backup", "databases"), "dump")
        assert time.monotonic() - begun < 60
    assert "auth_db" in last
    assert "lock timeout" in last
    assert "trying again" in host.log()
    assert "database=ticket_db bytes=" in host.log()


def test_fault_13_a_server_that_hangs_is_given_up_within_the_time_limit(host):
    postmaster = int((host.server.data / "postmaster.pid").read_text().splitlines()[0])
    host.write(TTS_JOB_TIMEOUT="8")
    os.kill(postmaster, signal.SIGSTOP)
    try:
        done = host.run("backup", "databases")
    finally:
        os.kill(postmaster, signal.SIGCONT)
    assert done.returncode != 0
    assert "result=failed" in host.last_line()
    assert "step=preflight" in host.last_line()
    assert host.lock_is_free()
    assert host.server.sql("select count(*) from pg_stat_activity where application_name = 'tts-backup'") == "0"


@pytest.mark.parametrize(
    "command",
    [("backup", "databases"), ("backup", "media"), ("restore", "databases", "--yes"), ("verify",), ("offsite",)],
)
def test_fault_14_a_second_job_ends_with_75_and_touches_nothing(host, command):
    watch_restic(host)
    (host.root / "restic.calls").write_text("")
    with host.locked():
        done = host.run(*command)
    assert done.returncode == 75, done.stderr
    assert "another job holds the lock" in done.stderr
    assert (host.root / "restic.calls").read_text() == ""
    assert host.docker_calls() == []


def test_fault_18_a_backup_of_a_tenth_of_the_usual_size_is_not_believed_without_being_told_so(host):
    no_copies(host)
    host.server.sql("create table big as select repeat(md5(n::text), 20) x from generate_series(1, 3000) n", "auth_db")
    assert host.run("backup", "databases").returncode == 0
    host.server.sql("truncate big", "auth_db")
    last = host.failed(host.run("backup", "databases"), "store")
    assert "suspicious" in last
    assert len(host.snapshots()) == 1
    assert host.run("backup", "databases", "--accept-size").returncode == 0
    assert len(host.snapshots()) == 2


def test_fault_18_an_expected_database_without_tables_is_suspicious(host):
    host.server.sql('drop schema "Odd One" cascade; drop table person', "auth_db")
    last = host.failed(host.run("backup", "databases"), "dump")
    assert "no table in auth_db" in last
    assert host.snapshots() == []


def test_fault_62_status_3_of_restic_on_dumps_is_a_failure_and_its_snapshot_is_forgotten(host):
    watch_restic(host, '"$REAL" "$@"; code=$?; [[ $1 == backup ]] && exit 3; exit $code')
    host.failed(host.run("backup", "databases"), "store")
    assert restic_was_not_called_for(host, "copy")
    assert [host.snapshots(name) for name in ("local", "aws", "spaces")] == [[], [], []]


def test_fault_62_a_snapshot_that_lacks_a_file_is_forgotten_although_restic_ended_well(host):
    watch_restic(host, '[[ $1 == backup ]] && set -- "$@" --exclude ticket_db.dump; exec "$REAL" "$@"')
    last = host.failed(host.run("backup", "databases"), "store")
    assert "lists" in last
    assert restic_was_not_called_for(host, "copy")
    assert host.snapshots() == []


def test_fault_70_a_snapshot_session_that_dies_fails_its_dump_and_no_other_instant_is_taken(host):
    holder = "datname = 'auth_db' and application_name = 'tts-backup'"
    kill = f"select pg_terminate_backend(pid) from pg_stat_activity where {holder}"
    psql = f'"{host.server.bin}/psql" -XqAt -U postgres -d postgres -c "{kill}" >/dev/null'
    fake_tool(host, "pg_dump", f'case "$*" in *auth_db*) {psql} ;; esac; exec "$REAL" "$@"')
    last = host.failed(host.run("backup", "databases"), "dump")
    assert "auth_db: pg_dump ended with 1" in last
    assert "snapshot" in last
    assert host.snapshots() == []


def test_fault_71_rows_written_between_count_and_dump_are_in_neither(host):
    no_copies(host)
    insert = "insert into person select n, 'late' from generate_series(5000, 5099) n"
    fake_tool(
        host,
        "pg_dump",
        f'"{host.server.bin}/psql" -XqAt -U postgres -d auth_db -c "{insert}" >/dev/null 2>&1; exec "$REAL" "$@"',
    )
    assert host.run("backup", "databases").returncode == 0
    real_tools(host)
    assert host.server.counts("auth_db")["public.person"] == 300
    done = host.run("restore", "databases", "--database", "auth_db", "--yes")
    assert done.returncode == 0, done.stderr
    assert host.server.counts("auth_db")["public.person"] == 200


def test_fault_73_sqlite_in_a_container_layer_fails_the_run_after_what_can_be_saved_was_saved(host):
    no_copies(host)
    (host.root / "layer" / "app").mkdir(parents=True)
    (host.root / "layer" / "app" / "db.sqlite3").write_bytes(b"SQLite format 3\0" + bytes(100))
    (host.root / "layer" / "app" / "notes.db").write_bytes(b"not one of them, whatever its name is")
    host.docker["containers"][1] |= {
        "diff": ["C /app", "A /app/db.sqlite3", "A /app/notes.db", "A /usr/lib/x.db", "D /app/old.db"],
        "root": str(host.root / "layer"),
    }
    host.write_docker()
    last = host.failed(host.run("backup", "databases"), "guard")
    assert "shop-ticket-service-1:/app/db.sqlite3" in last
    assert "notes.db" not in last
    assert len(host.snapshots()) == 1


def test_bug_12_no_command_asks_for_a_terminal(host):
    no_copies(host)
    assert host.run("backup", "databases").returncode == 0
    executed = [call.split() for call in host.docker_calls() if call.startswith("exec")]
    assert executed
    assert not any(word in {"-t", "-it", "-ti", "--tty"} for call in executed for word in call)


def test_bug_35_a_run_works_with_an_empty_environment_as_under_cron(host):
    no_copies(host)
    env = {"TTS_ENV_FILE": str(host.root / "backup.env"), "FAKE_DOCKER": str(host.root / "docker")}
    tools = host.environment()["PATH"]
    done = subprocess.run(
        ["env", "-i", *[f"{k}={v}" for k, v in env.items()], f"PATH={tools}", str(SCRIPTS / "backup"), "databases"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
