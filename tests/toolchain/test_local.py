"""`make up`: what it decides by itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from toolchain import local, project
from toolchain.cloud import Cloud
from toolchain.console import FailureError
from toolchain.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path


def backup(kind: str, **changes: Any) -> dict[str, Any]:
    return {"kind": kind, "newest": "2026-11-23T02:00:00Z", "age_seconds": 60, "verified": True} | changes


def test_no_backup_is_taken_when_each_kind_has_a_verified_one_of_today() -> None:
    assert local.lacks_backup({"backups": [backup(kind) for kind in ("databases", "media", "config")]}) == []


@pytest.mark.parametrize(
    "flaw", [{"verified": False}, {"age_seconds": 24 * 3600}, {"newest": None, "age_seconds": None}]
)
def test_a_backup_that_is_old_unverified_or_absent_is_taken_again(flaw: dict[str, Any]) -> None:
    backups = [backup("databases"), backup("media", **flaw), backup("config")]
    assert local.lacks_backup({"backups": backups}) == ["media"]


def test_a_host_that_reports_no_backups_needs_all_of_them() -> None:
    assert local.lacks_backup({}) == ["config", "databases", "media"]


def test_the_first_cloud_leaves_the_tracked_configuration_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TTS_SUBNET", "TTS_VPC_RANGE"):
        monkeypatch.delenv(name, raising=False)
    assert not any(local.overrides(Layout(tmp_path), "local", None).values())
    found = local.overrides(Layout(tmp_path), "prod", "single")
    assert found == {"local": {}, "prod": {"rung": "single"}, "scaled": {}}, "a rung is asked for one stack alone"


def test_a_second_cloud_lets_ssh_in_from_its_own_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    layout.cloud.mkdir()
    (layout.cloud / "cloud.json").write_text(json.dumps({"gateway": "198.51.100.1", "subnet": "198.51.100.0/24"}))
    monkeypatch.setenv("TTS_VPC_RANGE", "10.90.0.0/20")
    found = local.overrides(layout, "local", None)
    assert found["local"] == {"vpcRange": "10.90.0.0/20", "sshFrom": ["198.51.100.1/32"]}
    assert [each["vpcRange"] for each in found.values()] == ["10.90.0.0/20", "10.90.16.0/20", "10.90.32.0/20"]
    project.prepare(layout.project, found)
    monkeypatch.delenv("TTS_VPC_RANGE")
    assert local.overrides(layout, "prod", None) == found, "a later call keeps the ranges"


def test_a_cloud_comes_back_on_the_ports_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TTS_API_PORT", "TTS_S3_PORT", "TTS_SUBNET"):
        monkeypatch.delenv(name, raising=False)
    layout = Layout(tmp_path)
    assert Cloud.of(layout) == Cloud(layout, 7480, 7481, "198.18.0.0/24")
    layout.cloud.mkdir()
    before = {"api": "http://127.0.0.1:7600", "s3": "http://127.0.0.1:7601", "subnet": "198.51.100.0/24"}
    (layout.cloud / "cloud.json").write_text(json.dumps(before))
    assert Cloud.of(layout) == Cloud(layout, 7600, 7601, "198.51.100.0/24")
    monkeypatch.setenv("TTS_API_PORT", "7700")
    assert Cloud.of(layout).api_port == 7700


def test_only_a_lock_of_a_dead_process_of_this_machine_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    folder = tmp_path / ".pulumi" / "locks" / "organization" / "tts" / "local"
    folder.mkdir(parents=True)
    here = socket.gethostname()
    holders = {"dead": (ended.pid, here), "alive": (os.getpid(), here), "elsewhere": (ended.pid, f"not-{here}")}
    for name, (pid, host) in holders.items():
        (folder / f"{name}.json").write_text(json.dumps({"pid": pid, "hostname": host}))
    local.drop_dead_locks(tmp_path)
    assert {path.stem for path in folder.iterdir()} == {"alive", "elsewhere"}


def test_a_port_that_is_no_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_API_PORT", "http")
    with pytest.raises(FailureError, match="TTS_API_PORT is 'http'"):
        Cloud.of(Layout(tmp_path))
