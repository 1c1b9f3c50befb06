"""The copy of the Pulumi project: what of it comes from the repository, and what stays the copy's own."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from toolchain import project
from toolchain.console import FailureError
from toolchain.layout import PYTHON, REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SECRET = {"secure": "v1:abc"}


def config(**values: Any) -> dict[str, Any]:
    return {"config": {f"tts:{key}": value for key, value in values.items()}}


def test_tracked_keys_win_and_local_keys_stay() -> None:
    local = {"encryptionsalt": "v1:mine"} | config(rung="resized", hostPrivateKey=SECRET, hostPublicKey="ssh-ed25519 A")
    merged = project.merge_stack(config(rung="single", region="fra1"), local, config(rung="single"))
    assert merged["encryptionsalt"] == "v1:mine"
    assert merged["config"] == {
        "tts:hostPrivateKey": SECRET,
        "tts:hostPublicKey": "ssh-ed25519 A",
        "tts:rung": "single",
        "tts:region": "fra1",
    }


def test_a_key_that_left_the_repository_leaves_the_copy() -> None:
    before = config(rung="single", domain="tickets.example.com")
    merged = project.merge_stack(config(rung="single"), config(domain="tickets.example.com", bucketSuffix="x"), before)
    assert merged["config"] == {"tts:bucketSuffix": "x", "tts:rung": "single"}


def test_secrets_of_the_tracked_file_are_left_out_because_another_passphrase_locks_them() -> None:
    tracked = {"encryptionsalt": "v1:theirs", "secretsprovider": "awskms://x"} | config(
        rung="single", backupPassphrase=SECRET, appSecrets={"SECRET_KEY": SECRET}
    )
    merged = project.merge_stack(tracked, {}, {})
    assert merged == config(rung="single")


def test_a_secret_made_here_survives_that_the_tracked_file_has_one_of_the_same_name() -> None:
    mine = {"secure": "v1:mine"}
    tracked = config(backupPassphrase=SECRET)
    merged = project.merge_stack(tracked, {"encryptionsalt": "v1:mine"} | config(backupPassphrase=mine), tracked)
    assert merged == {"encryptionsalt": "v1:mine"} | config(backupPassphrase=mine)


@pytest.mark.parametrize(
    ("value", "secret"),
    [(SECRET, True), ({"a": [1, SECRET]}, True), ({"secure": "x", "other": 1}, False), ("v1:abc", False), ([], False)],
)
def test_a_secret_is_known_by_its_shape(value: object, secret: bool) -> None:
    assert project.is_secret(value) is secret


def test_the_copy_leads_back_to_the_program_and_its_environment() -> None:
    tracked = {
        "name": "tts",
        "runtime": {"name": "python", "options": {"virtualenv": ".local/venv", "toolchain": "uv"}},
    }
    local = project.local_project(tracked)
    assert local["main"] == str(REPOSITORY)
    assert local["runtime"] == {"name": "python", "options": {"virtualenv": str(PYTHON.parent.parent)}}
    assert "main" not in tracked


def test_a_second_run_on_the_same_files_changes_nothing(tmp_path: Path) -> None:
    project.prepare(tmp_path, {})
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.yaml")}
    project.prepare(tmp_path, {})
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.yaml")} == files
    assert {path.name for path in files} >= {"Pulumi.yaml", "Pulumi.local.yaml"}
    assert stat.S_IMODE((tmp_path / "Pulumi.local.yaml").stat().st_mode) == 0o600


def test_an_override_holds_for_its_own_run_only(tmp_path: Path) -> None:
    project.prepare(tmp_path, {"local": {"vpcRange": "10.90.0.0/20"}})
    assert "10.90.0.0/20" not in (tmp_path / "Pulumi.scaled.yaml").read_text(), "nor for another stack"
    assert yaml.safe_load((tmp_path / "Pulumi.local.yaml").read_text())["config"]["tts:vpcRange"] == "10.90.0.0/20"
    project.prepare(tmp_path, {})
    assert "tts:vpcRange" not in yaml.safe_load((tmp_path / "Pulumi.local.yaml").read_text())["config"]


def test_a_stack_without_a_file_is_refused_with_those_that_exist() -> None:
    with pytest.raises(FailureError, match="no stack 'nowhere'") as caught:
        project.check_stack("nowhere")
    assert "local" in caught.value.fix


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "Pulumi.local.yaml"
    broken.write_text("config: [")
    with pytest.raises(FailureError, match=str(broken)):
        project.read(broken)
