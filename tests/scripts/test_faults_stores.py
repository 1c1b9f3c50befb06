"""Faults of repositories, passwords, clocks and lists: what restic says is compared with what is there."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker  # seconds each, for real programs


@pytest.fixture
def small(bare_host):
    """A host on which the run of `config` stands for all kinds: the same steps, without a database."""
    return bare_host


def watch(host, script='exec "$REAL" "$@"'):
    host.fake("restic", f'echo "$1" >>{host.root}/restic.calls\n{script}')


def calls(host):
    path = host.root / "restic.calls"
    return path.read_text().split() if path.exists() else []


def job(host, done, step, code=1):
    return host.failed(done, step, job="backup-config", code=code)


def largest_pack(repository):
    return max(
        (path for path in (repository / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(content)


def test_fault_65_one_store_down_does_not_keep_the_run_from_the_other_and_the_backlog_goes_later(small):
    (small.root / "repositories" / "aws").rename(small.root / "away")
    done = small.run("backup", "config", "--json")
    last = job(small, done, "offsite")
    assert "aws" in last
    assert "spaces" not in last
    results = {item["name"]: item["result"] for item in json.loads(done.stdout)["offsite"]}
    assert results == {"aws": "failed", "spaces": "ok"}
    assert len(small.snapshots("spaces")) == 1
    assert not (small.root / "repositories" / "aws").exists(), "a job made a repository"
    (small.root / "away").rename(small.root / "repositories" / "aws")
    assert small.run("offsite").returncode == 0
    assert [item["original"] for item in small.snapshots("aws")] == [small.snapshots()[0]["id"]]


def test_fault_28_nothing_is_removed_while_a_store_is_down(small):
    watch(small)
    small.write(TTS_OFFSITE_AWS_REPOSITORY=str(small.root / "nowhere"))
    job(small, small.run("backup", "config"), "offsite")
    assert "forget" not in calls(small)
    assert "prune" not in calls(small)


def test_fault_68_a_misspelled_address_fails_and_the_host_never_runs_init(small):
    watch(small)
    small.write(TTS_LOCAL_REPOSITORY=str(small.root / "repositories" / "typo"))
    last = job(small, small.run("backup", "config"), "preflight")
    assert "no repository at this address" in last
    assert not (small.root / "repositories" / "typo").exists()
    assert "init" not in calls(small)
    assert "backup" not in calls(small)


def test_fault_69_a_password_that_differs_is_named_with_its_repository_and_the_others_are_served(small):
    other = small.root / "secrets" / "other"
    other.write_text("something else\n")
    other.chmod(0o600)
    small.write(TTS_OFFSITE_AWS_PASSWORD_FILE=str(other))
    last = job(small, small.run("backup", "config"), "offsite")
    assert "repository aws" in last
    assert "wrong password" in last
    assert len(small.snapshots("spaces")) == 1


@pytest.mark.parametrize(
    ("case", "reason", "code"),
    [
        ("missing", "cannot be read", 78),
        ("empty", "is empty", 78),
        ("readable", "mode 0640", 78),
        ("wrong", "wrong password", 1),
    ],
)
def test_fault_32_a_bad_password_file_fails_before_anything_is_stored(small, case, reason, code):
    watch(small)
    path = small.root / "secrets" / "backup-passphrase"
    right = path.read_text()
    if case == "missing":
        path.unlink()
    elif case == "readable":
        path.chmod(0o640)
    else:
        path.write_text("" if case == "empty" else "not this\n")
    last = job(small, small.run("backup", "config"), "preflight", code)
    assert reason in last
    assert right.strip() not in small.log("backup-config")
    assert "backup" not in calls(small)


def test_fault_34_all_missing_programs_are_named_at_once(small):
    folder = small.root / "only"
    folder.mkdir()
    needed = "bash env readlink dirname setpriv timeout flock date mkdir rm grep cut tr head sed cat renice ionice"
    for name in needed.split():
        (folder / name).symlink_to(shutil.which(name))
    (folder / "python3").symlink_to(Path(sys.executable).resolve())  # the one on the PATH may be a script itself
    common = small.root / "common"
    shutil.copytree(Path(__file__).resolve().parents[2] / "scripts" / "host", common)
    text = (common / "lib" / "common.sh").read_text()
    (common / "lib" / "common.sh").write_text(
        text.replace(':}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"', ':}/nonexistent"')
    )
    done = subprocess.run(
        [str(common / "backup"), "config"],
        env={**small.environment(), "PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = job(small, done, "preflight", 78)
    assert "restic, docker" in last


def test_fault_34_an_old_restic_is_refused(small):
    small.fake(
        "restic", '[[ $1 == version ]] && { echo "restic 0.14.0 compiled with go1.19"; exit; }; exec "$REAL" "$@"'
    )
    assert "restic 0.14.0 is too old" in job(small, small.run("backup", "config"), "preflight", 78)


def test_fault_61_a_copy_that_ends_well_and_copied_nothing_is_caught_by_the_list(small):
    watch(small, '[[ $1 == copy ]] && exit 0; exec "$REAL" "$@"')
    last = job(small, small.run("backup", "config"), "offsite")
    assert "does not list" in last
    assert "forget" not in calls(small)


def test_fault_56_a_forget_that_reports_removals_which_did_not_happen_is_caught_by_the_list(small):
    small.write(TTS_OFFSITE="", TTS_KEEP_DAILY="1", TTS_KEEP_WEEKLY="0", TTS_KEEP_MONTHLY="0")
    for _ in range(3):
        assert small.run("backup", "config").returncode == 0
    small.write(TTS_KEEP_WEEKLY="1", TTS_KEEP_MONTHLY="1")
    watch(small, '[[ $1 == forget ]] && exec "$REAL" "$@" --dry-run; exec "$REAL" "$@"')
    last = job(small, small.run("backup", "config"), "retain")
    assert "still listed although removed" in last
    assert len(small.snapshots()) == 4


def test_fault_29_and_40_every_run_makes_a_snapshot_and_the_newest_three_always_stay(small):
    small.write(TTS_OFFSITE="", TTS_KEEP_DAILY="1", TTS_KEEP_WEEKLY="1", TTS_KEEP_MONTHLY="1")
    made = []
    for _ in range(5):
        done = small.run("backup", "config", "--json")
        assert done.returncode == 0, done.stderr
        made.append(json.loads(done.stdout)["snapshot"])
    assert len(set(made)) == 5
    assert [item["id"] for item in small.snapshots()] == made[-3:]
    assert small.restic("local", "check").returncode == 0


def test_fault_59_changing_tags_do_not_put_each_run_into_a_group_of_its_own(small):
    small.write(TTS_OFFSITE="", TTS_KEEP_DAILY="1", TTS_KEEP_WEEKLY="1", TTS_KEEP_MONTHLY="1")
    for number in range(4):
        small.write(TTS_STACK=f"stack-{number}")
        assert small.run("backup", "config").returncode == 0
    assert len(small.snapshots()) == 3


def test_fault_60_a_stale_lock_of_a_killed_process_does_not_stop_the_next_run_or_its_prune(small):
    small.write(TTS_OFFSITE="", TTS_KEEP_DAILY="1", TTS_KEEP_WEEKLY="1", TTS_KEEP_MONTHLY="1")
    for _ in range(3):
        assert small.run("backup", "config").returncode == 0
    # A whole lock: while restic writes one, it has a name of its own that counts for nothing.
    locked = 'until ls "$RESTIC_REPOSITORY"/locks 2>/dev/null | grep -qxE "[0-9a-f]{64}"; do sleep 0.02; done'
    # Waited for, or a process that ended and was not reaped yet would still hold its lock.
    killed = f'"$REAL" "$@" & {locked}; kill -9 $!; wait $! || exit 137'
    small.fake("restic", f'[[ $1 == backup ]] && {{ {killed}; }}; exec "$REAL" "$@"')
    (small.root / "app" / "large.bin").write_bytes(os.urandom(30_000_000))
    job(small, small.run("backup", "config"), "store")
    small.unfake()
    stale = small.restic("local", "list", "locks", "--no-lock").stdout.split()
    assert stale, "the killed process left no lock: this shows nothing"
    done = small.run("backup", "config")
    assert done.returncode == 0, done.stderr
    assert len(small.snapshots()) == 3


def test_fault_39_a_missing_config_path_fails_although_restic_would_end_well(small):
    watch(small)
    (small.root / "app.env").unlink()
    last = job(small, small.run("backup", "config"), "store")
    assert "app.env" in last
    assert "backup" not in calls(small)


def test_fault_63_a_corrupt_local_repository_sends_nothing_and_the_copies_stay_good(small):
    assert small.run("backup", "config").returncode == 0
    (small.root / "app" / "second.bin").write_bytes(os.urandom(300_000))
    assert small.run("backup", "config", "--no-offsite").returncode == 0
    flip(largest_pack(small.repository("local")))
    done = small.run("offsite")
    assert done.returncode == 1
    for name in ("aws", "spaces"):
        assert len(small.snapshots(name)) == 1
        assert small.restic(name, "check", "--read-data").returncode == 0


def test_fault_17_and_64_other_bytes_in_an_off_site_pack_are_found_by_the_verification(host):
    host.write(TTS_OFFSITE="aws", TTS_MEDIA_VOLUME="", TTS_CONFIG_PATHS="")
    assert host.run("backup", "databases").returncode == 0
    flip(largest_pack(host.repository("aws")))
    done = host.run("verify", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["repositories"]["aws"]["result"] == "failed"
    assert report["repositories"]["local"]["result"] == "ok"
    assert any("aws" in finding for finding in report["findings"])
    last = host.failed(done, "verify", job="verify")
    assert "aws" in last


def test_bug_44_no_snapshot_at_all_is_a_finding(small):
    done = small.run("verify", "--json")
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    assert any("no databases" in finding for finding in findings)
    assert any("no media" in finding for finding in findings)


def test_fault_52_a_newest_snapshot_of_three_days_ago_is_a_finding(small):
    args = [
        "backup",
        "--host",
        "web-1",
        "--tag",
        "kind=config,stack=test",
        "--time",
        "2020-01-01 00:00:00",
        str(small.root / "app"),
    ]
    assert small.restic("local", *[word for tag in [args] for word in tag]).returncode == 0
    findings = json.loads(small.run("verify", "--json").stdout)["findings"]
    assert any("newest config snapshot is" in finding and "h old" in finding for finding in findings)


def test_fault_26_a_snapshot_of_the_future_stops_the_run_before_it_makes_another(small):
    args = [
        "backup",
        "--host",
        "web-1",
        "--tag",
        "kind=config",
        "--time",
        "2090-01-01 00:00:00",
        str(small.root / "app"),
    ]
    assert small.restic("local", *args).returncode == 0
    last = job(small, small.run("backup", "config"), "preflight")
    assert "set the clock" in last
    assert len(small.snapshots()) == 1


class Answer(http.server.BaseHTTPRequestHandler):
    date = "Wed, 01 Jan 2020 00:00:00 GMT"

    def do_HEAD(self):
        self.send_response_only(403)
        self.send_header("Date", self.date)
        self.end_headers()

    def log_message(self, *_args):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_fault_26_a_clock_that_differs_from_the_stores_stops_the_run(small, web):
    small.write(TTS_OFFSITE_AWS_REPOSITORY=f"s3:{web}/bucket/path")
    last = job(small, small.run("backup", "config"), "preflight")
    assert "the clock of aws says 2020-01-01" in last
    assert small.snapshots() == []


def test_fault_54_no_secret_is_in_a_log_a_state_file_or_a_message(small):
    credentials = small.root / "secrets" / "offsite-aws"
    credentials.write_text("AWS_ACCESS_KEY_ID=KEYKEYKEYKEYKEY\nAWS_SECRET_ACCESS_KEY=secretsecretsecret\n")
    credentials.chmod(0o600)
    small.write(TTS_OFFSITE_AWS_CREDENTIALS=str(credentials))
    small.fake(
        "restic",
        'if [[ $1 == copy ]]; then env | grep AWS_ >&2; cat "$RESTIC_PASSWORD_FILE" >&2; exit 1; fi; exec "$REAL" "$@"',
    )
    done = small.run("backup", "config", "--json")
    assert done.returncode == 1
    everything = (
        done.stdout
        + done.stderr
        + "".join(
            path.read_text()
            for folder in ("log", "state")
            for path in (small.root / folder).rglob("*")
            if path.is_file()
        )
    )
    for secret in ("secretsecretsecret", (small.root / "secrets" / "backup-passphrase").read_text().strip()):
        assert secret not in everything
    assert "AWS_SECRET_ACCESS_KEY=***" in everything


@pytest.mark.parametrize(
    "line", ["TTS_STACK=$(touch X)", "TTS_STACK=a;b", "TTS_STACK=`id`", 'TTS_STACK="a b"', "rm -rf X"]
)
def test_fault_77_an_environment_file_that_bash_could_execute_is_refused_by_key(small, line):
    path = small.root / "backup.env"
    path.write_text(path.read_text() + line + "\n")
    done = small.run("backup", "config")
    assert done.returncode == 78
    assert line.split("=")[0] in done.stderr
    assert "touch X" not in done.stderr


def test_all_problems_of_the_configuration_are_named_at_once(small):
    small.write(TTS_HOST="", TTS_PG_MODE="cluster", TTS_KEEP_DAILY="many", TTS_OFFSITE="aws,gone")
    done = small.run("backup", "config")
    assert done.returncode == 78
    for key in ("TTS_HOST", "TTS_PG_MODE", "TTS_KEEP_DAILY", "TTS_OFFSITE_GONE_REPOSITORY"):
        assert key in done.stderr
