"""The way in to the hosts: the key leaves the disk however a command ends; `tts ssh` is plain SSH with pinned keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Fakes, Tts


def _start(*arguments: str) -> subprocess.Popen[str]:
    program = "from ops.main import app; app()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _until_ssh_runs(fakes: Fakes, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while not fakes.calls("ssh"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "ssh was never started"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=str,
)
def test_a_signal_ends_the_command_cleanly_and_takes_the_key_off_the_disk(
    deployed: Fakes, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    deployed.answer("ssh", "tts-backup", hangs=True)
    process = _start("backup", "databases")
    _until_ssh_runs(deployed, process)
    assert list((tmp_path / "runtime").iterdir()), "the key stands there while the command runs"

    # Ctrl-C reaches the whole foreground group, the others only the process.
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, stderr = process.communicate(timeout=30)

    assert process.returncode == code
    assert "Traceback" not in stderr
    assert list((tmp_path / "runtime").iterdir()) == []
    if number == signal.SIGINT:
        assert "may still be at work on web-1" in stderr


def test_what_a_killed_run_left_is_swept_by_the_next_and_nothing_else(
    deployed: Fakes, tts: Tts, tmp_path: Path
) -> None:
    deployed.answer("ssh", "tts-verify", hangs=True)
    process = _start("verify")
    _until_ssh_runs(deployed, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    runtime = tmp_path / "runtime"
    left = next(runtime.iterdir())
    alive = runtime / f"tts-ssh-{os.getpid()}-x"
    alive.mkdir()
    (runtime / "tts-ssh-odd").mkdir()

    tts("status")

    assert not left.exists()
    assert alive.exists()
    assert (runtime / "tts-ssh-odd").exists()


def test_ssh_runs_a_command_on_the_named_host_and_gives_its_exit_code(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "root@203.0.113.2", code=7)

    done = tts("ssh", "web-1", "--", "ls", "-l", "/a b")

    assert done.code == 7
    assert deployed.remote_commands() == ["ls -l '/a b'"]
    assert deployed.calls("ssh")[0]["IdentityFile"]["mode"] == "0o600"


def test_ssh_without_a_host_opens_a_shell_on_the_one_that_backs_up(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "root@203.0.113.2")

    assert tts("ssh").code == 0
    assert deployed.remote_commands() == ["root@203.0.113.2"]


def test_ssh_without_a_host_runs_a_command_too(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "root@203.0.113.2", code=0)

    assert tts("ssh", "--stack", "prod", "--", "docker", "ps", "--", "-a").code == 0
    assert deployed.remote_commands() == ["docker ps -- -a"]


def test_an_unknown_host_names_those_there_are(deployed: Fakes, tts: Tts) -> None:
    done = tts("ssh", "web-9")

    assert done.code == 2
    assert "Hosts of this stack: web-1" in done.stderr
    assert deployed.calls("ssh") == []


def test_no_ssh_on_path_is_said(
    deployed: Fakes, tts: Tts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outputs: dict[str, Any]
) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "pulumi").symlink_to(deployed.home / "pulumi")
    (deployed.home / "ssh").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "only"))

    done = tts("backup")

    assert done.code == 78
    assert "no `ssh` on PATH" in done.stderr


def test_wrong_arguments_end_with_2(tts: Tts) -> None:
    assert tts("backup", "everything").code == 2
    assert tts("nonsense").code == 2


@pytest.mark.parametrize("command", ["init", "status", "backup", "verify", "snapshots", "ssh", "restore"])
def test_every_command_explains_itself(tts: Tts, command: str) -> None:
    done = tts(command, "--help")

    assert done.code == 0
    assert "Usage" in done.stdout
