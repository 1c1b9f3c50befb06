"""What is asked of the machine, and what is said where it does not offer it."""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING

import pytest

from toolchain import cloud, machine
from toolchain.console import FailureError, Log
from toolchain.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

Usage = namedtuple("Usage", "total used free")


def free_everywhere(monkeypatch: pytest.MonkeyPatch, gigabytes: float) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage(0, 0, int(gigabytes * machine.GB)))


def test_a_disk_with_under_10_gb_free_is_refused_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_everywhere(monkeypatch, 9.9)
    with pytest.raises(FailureError, match=r"9\.9 GB is free under .*, 10 GB is needed") as caught:
        machine.free_space(Layout(tmp_path / "not" / "there"))
    assert "free some space" in caught.value.fix
    free_everywhere(monkeypatch, 10.1)
    assert machine.free_space(Layout(tmp_path)) == "10.1 GB free"


def test_the_fullest_of_the_disks_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.mkdir()
    monkeypatch.setenv("TTS_DOCKER_DIRECTORY", str(docker))
    usage = lambda path: Usage(0, 0, (3 if path == docker else 50) * machine.GB)  # noqa: E731
    monkeypatch.setattr(machine.shutil, "disk_usage", usage)
    with pytest.raises(FailureError, match=f"3.0 GB is free under {docker}"):
        machine.free_space(Layout(tmp_path))


def test_the_limit_can_be_lowered_by_who_knows_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_everywhere(monkeypatch, 5)
    monkeypatch.setenv("TTS_MIN_FREE_GB", "4")
    assert machine.free_space(Layout(tmp_path)) == "5.0 GB free"


def test_the_bundle_that_the_environment_names_goes_before_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert machine.certificates() == bundle
    bundle.unlink()
    assert machine.certificates() != bundle


def test_who_is_not_root_is_told_what_root_must_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "is_root", lambda: False)
    with pytest.raises(FailureError, match=r"Missing on this machine: debootstrap") as caught:
        machine.install_packages(["debootstrap"], Log.start(tmp_path, "packages"))
    assert "apt-get install --yes --no-install-recommends debootstrap debian-archive-keyring" in caught.value.fix


@pytest.mark.parametrize(
    ("client", "problem", "fix"),
    [
        (None, "Docker is not installed", "apt-get install docker.io"),
        (
            "permission denied while trying to connect to the Docker daemon socket",
            "may not use it",
            "adduser me docker",
        ),
        ("Cannot connect to the Docker daemon", "is not running", "systemctl start docker"),
    ],
)
def test_a_silent_docker_is_explained_to_a_plain_user(
    client: str | None, problem: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if client:
        (tmp_path / "docker").write_text(f"#!/bin/sh\necho '{client}' >&2\nexit 1\n")
        (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("USER", "me")
    monkeypatch.setattr(machine, "is_root", lambda: False)
    with pytest.raises(FailureError, match=problem) as caught:
        machine.start_docker(Log.start(tmp_path, "docker"))
    assert fix in caught.value.fix


def test_a_port_that_is_taken_is_named_with_a_way_out() -> None:
    with cloud.socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(FailureError, match=f"Port {port} of 127.0.0.1 is taken") as caught:
            cloud.check_port(port, "TTS_API_PORT")
    assert f"make up TTS_API_PORT={port + 100}" in caught.value.fix
    cloud.check_port(port, "TTS_API_PORT")


def test_as_root_an_engine_that_does_not_run_is_started_and_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = tmp_path / "running"
    programs = {
        "docker": f'test -f {running} && echo "20.10.24"',
        "dockerd": f"touch {running}",
        "systemctl": f'test "$*" = "start docker" && touch {running}',
    }
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "is_root", lambda: True)
    assert machine.docker_answers() is None
    assert machine.start_docker(Log.start(tmp_path, "docker")) == "20.10.24"


def test_an_engine_that_does_not_come_up_is_said_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docker", "dockerd", "systemctl"):
        (tmp_path / name).write_text("#!/bin/sh\necho no overlay here\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "is_root", lambda: True)
    monkeypatch.setattr(machine, "DOCKER_START_SECONDS", 0.2)
    with pytest.raises(FailureError) as caught:
        machine.start_docker(Log.start(tmp_path, "docker"))
    assert str(tmp_path / "docker.log") in str(caught.value)
