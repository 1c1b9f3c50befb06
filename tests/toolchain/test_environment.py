"""The environment of the local cloud, and the commands that set it."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from toolchain import environment
from toolchain.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

CLOUD = {
    "api": "http://127.0.0.1:1",
    "s3": "http://127.0.0.1:2",
    "token": "t",
    "spaces_access_key": "sa",
    "spaces_secret_key": "ss",
    "aws_access_key": "aa",
    "aws_secret_key": "as",
    "subnet": "198.51.100.0/24",
    "gateway": "198.51.100.1",
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "local")


def write_cloud(layout: Layout, **changes: str) -> None:
    layout.cloud.mkdir(parents=True)
    (layout.cloud / "cloud.json").write_text(json.dumps(CLOUD | changes))


def test_the_addresses_and_keys_are_those_that_the_daemon_wrote(layout: Layout) -> None:
    write_cloud(layout)
    found = environment.local_environment(layout.root)
    assert found["DIGITALOCEAN_API_URL"] == CLOUD["api"]
    assert found["SPACES_ENDPOINT_URL"] == found["AWS_ENDPOINT_URL"] == CLOUD["s3"]
    assert (found["SPACES_ACCESS_KEY_ID"], found["SPACES_SECRET_ACCESS_KEY"]) == ("sa", "ss")
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("aa", "as")
    assert found["PULUMI_BACKEND_URL"] == f"file://{layout.state}"
    assert found["PATH"].startswith(str(layout.bin))


def test_domains_of_the_cloud_are_found_and_their_certificates_believed_beside_all_others(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, usual = tmp_path / "web-ca.crt", tmp_path / "usual.pem"
    authority.write_text("local")
    usual.write_text("all others")
    monkeypatch.setenv("SSL_CERT_FILE", str(usual))
    write_cloud(layout, dns="198.51.100.1:53", web_ca_cert=str(authority))
    for _ in range(2):
        found = environment.local_environment(layout.root)
        assert found["TTS_NAME_SERVER"] == "198.51.100.1:53"
        assert (layout.root / "trust.pem").read_text() == "all others\nlocal"
        monkeypatch.setenv("SSL_CERT_FILE", found["SSL_CERT_FILE"])  # as in a shell within a shell


def test_nothing_of_a_real_account_reaches_a_program_on_the_local_cloud(layout: Layout) -> None:
    write_cloud(layout)
    mine = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "real",
        "DIGITALOCEAN_ACCESS_TOKEN": "real",
        "PULUMI_ACCESS_TOKEN": "real",
        "PULUMI_CONFIG_PASSPHRASE": "real",
        "HOME": "/home/me",
    }
    found = environment.complete_environment(layout, mine)
    assert "real" not in found.values()
    assert "AWS_PROFILE" not in found
    assert found["HOME"] == "/home/me"
    assert found["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"


def test_before_the_first_run_there_are_no_addresses_to_give(layout: Layout) -> None:
    found = environment.local_environment(layout.root)
    assert "DIGITALOCEAN_API_URL" not in found
    assert "PULUMI_HOME" in found


def test_a_proxy_is_not_asked_for_addresses_of_the_local_cloud(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cloud(layout)
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    found = environment.local_environment(layout.root)
    assert found["NO_PROXY"].split(",") == ["127.0.0.1", "localhost", CLOUD["subnet"], "intranet.example"]


def test_a_daemon_that_is_not_running_is_said_with_the_fix(layout: Layout) -> None:
    with pytest.raises(environment.NotRunningError, match=r"no local cloud yet\. Fix: make up"):
        environment.require_running(layout)
    with socket.socket() as taken:  # bound and not listening: nobody answers, and nobody else can take the port
        taken.bind(("127.0.0.1", 0))
        write_cloud(layout, api=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(environment.NotRunningError, match=r"is not running.*Fix: make up"):
            environment.require_running(layout)


def test_the_passphrase_is_made_once_and_for_its_owner_only(layout: Layout) -> None:
    environment.ensure_passphrase(layout)
    first = layout.passphrase.read_text()
    environment.ensure_passphrase(layout)
    assert layout.passphrase.read_text() == first
    assert len(first) >= 32
    assert stat.S_IMODE(layout.passphrase.stat().st_mode) == 0o600
    assert stat.S_IMODE(layout.secrets.stat().st_mode) == 0o700


def test_a_command_runs_the_real_program_in_the_local_environment(layout: Layout, tmp_path: Path) -> None:
    program = tmp_path / "real program"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$DIGITALOCEAN_TOKEN" "$TTS_PROJECT_DIR" "$@"\n')
    program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as daemon:
        write_cloud(layout, api=f"http://127.0.0.1:{daemon.getsockname()[1]}")
        environment.write_commands(layout, pulumi=program, restic=program, compose=program)
        command = [layout.bin / "pulumi", "up", "two words"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["t", str(layout.project), "-C", str(layout.project), "up", "two words"]


def test_a_command_refuses_to_run_without_the_local_cloud(layout: Layout, tmp_path: Path) -> None:
    environment.write_commands(layout, pulumi=tmp_path / "never", restic=tmp_path / "never", compose=tmp_path / "never")
    done = subprocess.run([layout.bin / "pulumi", "up"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "There is no local cloud yet. Fix: make up\n"
