"""The installer: twice into a scratch root, bad input, schedule, repositories and keys."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "host"
SHELL = [path for path in sorted(SCRIPTS.iterdir()) if path.is_file() and path.read_bytes().startswith(b"#!")]
JOBS = {found[1] for path in SHELL if (found := re.search(r"^# Usage: (tts-\S+)", path.read_text(), re.MULTILINE))}


@pytest.fixture
def request_(tmp_path):
    return {
        "env": {
            "TTS_HOST": "web-1",
            "TTS_STACK": "prod",
            "TTS_COMPOSE_PROJECT": "shop",
            "TTS_PG_MODE": "container",
            "TTS_LOCAL_REPOSITORY": "/var/backups/tts/restic",
            "TTS_PASSWORD_FILE": "/etc/tts/secrets/backup-passphrase",
        },
        "secrets": {"backup-passphrase": secrets.token_hex(20), "recovery-key": secrets.token_hex(20)},
    }


def install(root, request, source=SCRIPTS):
    env = {**os.environ, "DESTDIR": str(root)}
    return subprocess.run(
        ["bash", str(source / "install")],
        input=json.dumps(request),
        env=env,
        text=True,
        capture_output=True,
        check=False,
    )


def listing(root):
    """Every path with its kind, mode, content and inode: equal means that nothing was even rewritten."""
    found = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (
            stat.S_IFMT(info.st_mode),
            oct(info.st_mode & 0o777),
            content,
            info.st_ino,
        )
    return found


def test_a_second_run_changes_nothing_and_modes_are_as_they_must_be(tmp_path, request_):
    root = tmp_path / "root"
    root.mkdir()
    first = install(root, request_)
    assert first.returncode == 0, first.stderr
    before = listing(root)
    second = install(root, request_)
    assert second.returncode == 0, second.stderr
    assert "changed_files=0" in second.stderr
    assert listing(root) == before
    mode = {path: entry[1] for path, entry in before.items()}
    assert mode["etc/tts/backup.env"] == mode["etc/tts/secrets/backup-passphrase"] == "0o600"
    assert mode["etc/tts/secrets"] == mode["var/lib/tts"] == mode["var/backups/tts"] == mode["var/log/tts"] == "0o700"
    assert mode["etc/cron.d/tts"] == mode["etc/logrotate.d/tts"] == "0o644"
    assert {path.name for path in (root / "usr/local/bin").iterdir()} == JOBS
    for name in JOBS:
        assert os.access(root / "usr/local/lib/tts/current" / (root / "usr/local/bin" / name).readlink().name, os.X_OK)


def test_a_host_that_backs_nothing_up_gets_the_commands_and_the_watch_but_no_schedule(tmp_path, request_):
    root = tmp_path / "root"
    assert install(root, request_).returncode == 0
    plain = {key: request_["env"][key] for key in ("TTS_HOST", "TTS_STACK", "TTS_COMPOSE_PROJECT")}
    done = install(root, {"env": {**plain, "TTS_PG_MODE": "none"}, "secrets": {}})
    assert done.returncode == 0, done.stderr
    assert not (root / "etc/cron.d/tts").exists(), "a host that owned the data once must not go on with its jobs"
    assert (root / "etc/cron.d/tts-watch").is_file()
    assert (root / "usr/local/bin/tts-host-status").is_symlink()
    assert list((root / "etc/tts/secrets").iterdir()) == []


def test_a_host_that_backs_nothing_up_says_how_it_is_and_refuses_to_back_up(bare_host):
    kept = ("TTS_HOST", "TTS_STACK", "TTS_COMPOSE_PROJECT", "TTS_STATE_DIR", "TTS_LOG_DIR")
    bare_host.env = {key: bare_host.env[key] for key in kept}
    bare_host.write(TTS_PG_MODE="none")
    (bare_host.root / "state").mkdir(exist_ok=True)
    shown = json.loads(bare_host.run("status").stdout)
    assert (shown["backups"], shown["next_runs"], shown["errors"]) == ([], [], [])
    assert shown["disk"]["free_bytes"] > 0
    done = bare_host.run("backup", "databases")
    assert done.returncode != 0
    assert "nothing to back up" in bare_host.last_line()


def test_the_recovery_key_and_withdrawn_secrets_are_not_on_the_host(tmp_path, request_):
    root = tmp_path / "root"
    root.mkdir()
    request_["secrets"]["offsite-old"] = "AWS_SECRET_ACCESS_KEY=x\n"
    assert install(root, request_).returncode == 0
    assert (root / "etc/tts/secrets/offsite-old").exists()
    del request_["secrets"]["offsite-old"]
    assert install(root, request_).returncode == 0
    assert [path.name for path in (root / "etc/tts/secrets").iterdir()] == ["backup-passphrase"]
    key = request_["secrets"]["recovery-key"].encode()
    assert not [path for path in root.rglob("*") if path.is_file() and key in path.read_bytes()]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"TTS_STACK": "a b"}, "TTS_STACK"),
        ({"TTS_STACK": "$(id)"}, "TTS_STACK"),
        ({"TTS_HOTS": "typo"}, "TTS_HOTS"),
        ({"TTS_HOST": ""}, "TTS_HOST"),
        ({"TTS_OFFSITE": "aws"}, "TTS_OFFSITE_AWS_REPOSITORY"),
        ({"TTS_KEEP_DAILY": "-1"}, "TTS_KEEP_DAILY"),
        ({"TTS_ALERTS_FILE": "/etc/tts/secrets/alerts.json"}, "alerts.json"),
    ],
)
def test_fault_77_bad_settings_are_refused_by_key_and_the_host_is_unchanged(tmp_path, request_, change, named):
    root = tmp_path / "root"
    root.mkdir()
    assert install(root, request_).returncode == 0
    before = listing(root)
    request_["env"] |= change
    request_["secrets"]["backup-passphrase"] = "changed"
    done = install(root, request_)
    assert done.returncode == 78
    assert named in done.stderr
    assert "$(id)" not in done.stderr
    assert listing(root) == before


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"env": {"TTS_HOST": 5}}', "not json"])
def test_input_that_is_not_the_expected_json_is_refused(tmp_path, text):
    done = subprocess.run(
        ["bash", str(SCRIPTS / "install")],
        input=text,
        env={**os.environ, "DESTDIR": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 78
    assert list(tmp_path.iterdir()) == []


def test_fault_78_a_new_version_does_not_touch_the_files_of_a_running_job_and_old_ones_go_later(tmp_path, request_):
    root, source = tmp_path / "root", tmp_path / "source"
    root.mkdir()
    shutil.copytree(SCRIPTS, source)
    assert install(root, request_, source).returncode == 0
    old = (root / "usr/local/lib/tts/current").resolve()
    before = listing(old)
    (source / "backup").write_text((source / "backup").read_text() + "# newer\n")
    with (root / "var/lib/tts/lock").open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # as a running job does
        assert install(root, request_, source).returncode == 0
        assert listing(old) == before
        assert (root / "usr/local/lib/tts/current").resolve() != old
    assert install(root, request_, source).returncode == 0
    assert not old.exists()


def test_what_is_no_longer_shipped_is_removed(tmp_path, request_):
    root = tmp_path / "root"
    root.mkdir()
    assert install(root, request_).returncode == 0
    (root / "usr/local/bin/tts-gone").symlink_to("/usr/local/lib/tts/current/gone")
    (root / "usr/local/bin/tts-foreign").write_text("not ours")
    assert install(root, request_).returncode == 0
    assert {path.name for path in (root / "usr/local/bin").iterdir()} == {*JOBS, "tts-foreign"}


def test_bug_59_the_schedule_has_path_and_shell_no_percent_sign_and_starts_what_is_installed():
    lines = [line for line in (SCRIPTS / "cron").read_text().splitlines() if line and not line.startswith("#")]
    assert (SCRIPTS / "cron").read_text().endswith("\n")
    settings = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]+=", line))
    assert {"SHELL", "PATH"} <= set(settings)
    jobs = [
        found
        for line in lines
        if (found := re.fullmatch(r"(\d+) (\d+) (?:\*|\d+) \* (\*|\d) root /usr/local/bin/(\S+)(.*)", line))
    ]
    assert len(jobs) + len(settings) == len(lines), "a line is neither a setting nor a job"
    assert {(job[2], job[1], job[3], job[4] + job[5].split(" --wait")[0]) for job in jobs} >= {
        ("2", "0", "*", "tts-backup databases"),
        ("3", "0", "*", "tts-backup media"),
        ("4", "0", "0", "tts-backup config"),
        ("5", "0", "*", "tts-verify"),
    }
    assert "%" not in "".join(lines)
    assert {job[4] for job in jobs} <= JOBS


def test_the_status_page_names_the_times_of_the_schedule(tts_host):
    lines = (SCRIPTS / "cron").read_text().splitlines()
    cron = {
        (int(hour), int(minute), None if day == "*" else (int(day) - 1) % 7)
        for minute, hour, date, _, day in (line.split()[:5] for line in lines if line[:1].isdigit())
        if date == "*"  # a monthly job has no next run on the page
    }
    assert {(hour, minute, day) for _, hour, minute, day in tts_host.status.SCHEDULE} == cron


def test_fault_33_missing_repositories_are_made_once_with_two_keys_each(bare_host, tts_host, monkeypatch):
    for name in ("local", "aws", "spaces"):
        shutil.rmtree(bare_host.repository(name))
    monkeypatch.setenv("PATH", bare_host.environment()["PATH"])
    recovery = bare_host.root / "recovery"
    recovery.write_text(secrets.token_hex(20) + "\n")
    config = tts_host.config.load(bare_host.env)
    for _ in range(2):
        tts_host.install.make_repositories(config, recovery)
    for name in ("local", "aws", "spaces"):
        assert bare_host.snapshots(name) == []
        assert bare_host.restic(name, "snapshots", password=recovery).returncode == 0
        assert len(json.loads(bare_host.restic(name, "key", "list", "--json").stdout)) == 2
    parameters = {
        json.loads(bare_host.restic(name, "cat", "config").stdout)["chunker_polynomial"]
        for name in ("local", "aws", "spaces")
    }
    assert len(parameters) == 1


def test_a_repository_that_cannot_be_opened_is_never_made_anew(bare_host, tts_host, monkeypatch):
    monkeypatch.setenv("PATH", bare_host.environment()["PATH"])
    bare_host.fake("restic", f'echo "$1" >>{bare_host.root}/restic.calls; [[ $1 == cat ]] && exit 1; exec "$REAL" "$@"')
    monkeypatch.setenv("PATH", bare_host.environment()["PATH"])
    with pytest.raises(Exception, match="ended with 1"):
        tts_host.install.make_repositories(tts_host.config.load(bare_host.env), None)
    assert "init" not in (bare_host.root / "restic.calls").read_text()


def test_bug_65_the_rotation_rule_rotates(tmp_path):
    logrotate = shutil.which("logrotate", path="/usr/sbin:/sbin:/usr/bin")
    if not logrotate:
        pytest.skip("logrotate is not installed on this machine")
    log = tmp_path / "log"
    log.mkdir(mode=0o700)
    (log / "backup-databases.log").write_text("line\n")
    rule = tmp_path / "rule"
    rule.write_text((SCRIPTS / "logrotate").read_text().replace("/var/log/tts", str(log)))
    rule.chmod(0o644)
    done = subprocess.run(
        [logrotate, "--force", "--state", str(tmp_path / "state"), str(rule)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (log / "backup-databases.log.1").read_text() == "line\n"
    assert oct((log / "backup-databases.log").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("path", [*SHELL, SCRIPTS / "lib" / "common.sh"], ids=lambda path: path.name)
def test_every_shell_script_is_short_and_clean(path):
    for tool, argv in (
        ("shellcheck", ["-x", "-P", str(SCRIPTS), str(path)]),
        ("shfmt", ["-i", "2", "-ci", "-d", str(path)]),
    ):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: apt-get install {tool}")
        done = subprocess.run([tool, *argv], capture_output=True, text=True, check=False, cwd=SCRIPTS)
        assert done.returncode == 0, done.stdout
    text = path.read_text()
    assert len(text.splitlines()) <= 100
