"""Stopping the application for a change of its host, and every way in which it comes back."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "host"
# A Docker client with two containers that one file switches on and off; each waits until the other is started too.
DOCKER = """#!/bin/bash
echo "$*" >>"$WORLD/calls"
case "$1 $4" in
  "compose stop") [[ ! -e $WORLD/stuck ]] || exit 1; echo 'Exited (0) 1 second ago' >"$WORLD/status" ;;
esac
case "$1 $*" in
  start*)
    touch "$WORLD/begun-$2"
    for try in {1..500}; do [[ -e $WORLD/begun-aa && -e $WORLD/begun-bb ]] && break; sleep 0.02; done
    ((try < 500)) || exit 1
    cp "$WORLD/started" "$WORLD/status"
    ;;
  *--quiet*) if grep -q Exited "$WORLD/status"; then printf 'aa\\nbb\\n'; fi; exit ;;
esac
case $1 in
  ps) printf 'shop-web %s\\nshop-job Exited (0) 2 days ago\\n' "$(cat "$WORLD/status")" ;;
  info) if [[ -e $WORLD/booting ]]; then rm "$WORLD/booting"; exit 1; fi ;;
esac
exit 0
"""


@dataclass
class Host:
    """A host whose application runs; `quiesce` runs the script there."""

    home: Path

    @property
    def note(self):
        return self.home / "lib/state/quiesced"

    @property
    def status(self):
        return (self.home / "status").read_text().strip()

    def calls(self):
        lines = (self.home / "calls").read_text().splitlines() if (self.home / "calls").exists() else []
        return [line.removeprefix("compose -p shop ") for line in lines if line.startswith(("compose", "start"))]

    def quiesce(self, *words):
        env = {
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "WORLD": str(self.home),
            "TTS_ENV_FILE": str(self.home / "backup.env"),
        }
        return subprocess.run(
            ["bash", str(SCRIPTS / "quiesce"), *words], env=env, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.fixture
def host(tmp_path):
    it = Host(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker").write_text(DOCKER)
    (tmp_path / "bin/docker").chmod(0o755)
    (tmp_path / "status").write_text("Up 2 hours (healthy)\n")
    (tmp_path / "started").write_text("Up 1 second (healthy)\n")
    (tmp_path / "backup.env").write_text(
        f"TTS_COMPOSE_PROJECT=shop\nTTS_STATE_DIR={tmp_path}/lib\nTTS_LOG_DIR={tmp_path}/log\n"
    )
    (tmp_path / "lib/state").mkdir(parents=True)
    return it


def test_a_stop_is_noted_with_the_moment_at_which_it_ends(host):
    done = host.quiesce("--for", "10")
    assert done.returncode == 0, done.stderr
    assert host.calls() == ["stop"]
    assert host.status.startswith("Exited")
    assert 590 < int(host.note.read_text()) - time.time() <= 600


def test_the_note_is_there_even_if_the_stop_fails_half_way(host):
    (host.home / "stuck").touch()
    assert host.quiesce("--for", "10").returncode == 1
    assert host.note.exists(), "else nobody would start what was stopped already"


def test_an_end_starts_every_service_and_takes_the_note_away(host):
    host.quiesce("--for", "10")
    (host.home / "booting").touch()
    done = host.quiesce("--end")
    assert done.returncode == 0, done.stderr
    assert host.status == "Up 1 second (healthy)"
    assert not host.note.exists()
    assert host.quiesce("--end").returncode == 0, "it may be repeated"


def test_an_end_waits_for_health_and_names_what_is_sick(host, monkeypatch):
    host.quiesce("--for", "10")
    (host.home / "started").write_text("Up 3 seconds (unhealthy)\n")
    script = host.home / "lib.d"
    script.mkdir()
    text = (SCRIPTS / "quiesce").read_text().replace("HEALTHY_WITHIN=300", "HEALTHY_WITHIN=1")
    (script / "quiesce").write_text(text)
    (script / "lib").symlink_to(SCRIPTS / "lib")
    monkeypatch.setattr(f"{__name__}.SCRIPTS", script)
    done = host.quiesce("--end")
    assert done.returncode == 1
    assert "not healthy after 1 s: shop-web Up 3 seconds (unhealthy)" in done.stderr
    assert host.note.exists(), "the host goes on trying"


def test_what_is_due_is_ended_and_nothing_else(host):
    assert host.quiesce("--end", "--if-due").returncode == 0
    assert host.calls() == [], "nothing was stopped"
    host.quiesce("--for", "10")
    assert host.quiesce("--end", "--if-due").returncode == 0
    assert host.calls() == ["stop"], "its time is not over"
    host.note.write_text(f"{int(time.time()) - 1}\n")
    assert host.quiesce("--end", "--if-due").returncode == 0
    assert host.calls()[0] == "stop"
    assert sorted(host.calls()[1:]) == ["start aa", "start bb"]


def test_a_running_backup_is_never_cut(host):
    with (host.home / "lib/lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = subprocess.Popen(
            ["bash", str(SCRIPTS / "quiesce"), "--for", "10"],
            env={
                "PATH": f"{host.home / 'bin'}:{os.environ['PATH']}",
                "WORLD": str(host.home),
                "TTS_ENV_FILE": str(host.home / "backup.env"),
            },
        )
        waiting = Path(f"/proc/{started.pid}/task/{started.pid}/children")
        deadline = time.monotonic() + 20
        while not any("flock" in _command(child) for child in waiting.read_text().split()):
            assert started.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert host.calls() == []
        fcntl.flock(lock, fcntl.LOCK_UN)
    assert started.wait(30) == 0
    assert host.calls() == ["stop"]


def test_a_host_that_is_held_is_not_started_under_a_restore(host):
    (host.home / "lib/state/hold.json").write_text('{\n "since": "2026-11-23T10:00:00Z",\n "names": []\n}\n')
    done = host.quiesce("--end")
    assert done.returncode == 1
    assert "tts-hold" in done.stderr
    assert host.calls() == []


@pytest.mark.parametrize(
    "words", [(), ("--for",), ("--for", "0"), ("--for", "ten"), ("--for", "5", "--end"), ("--now",)]
)
def test_wrong_arguments_change_nothing(host, words):
    assert host.quiesce(*words).returncode == 78
    assert host.calls() == []


def test_cron_ends_a_stop_at_boot_and_when_its_time_is_over():
    lines = [line for line in (SCRIPTS / "watch").read_text().splitlines() if "tts-quiesce" in line]
    assert [re.split(r" root ", line)[0] for line in lines] == ["@reboot", "* * * * *"]
    assert "--if-due" not in lines[0]
    assert "--if-due" in lines[1]


def _command(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""
