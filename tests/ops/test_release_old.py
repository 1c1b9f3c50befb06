"""`tts release-old`: what is shown, what is demanded before, and in which order things go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.ops.conftest import Fakes, Tts

CLUSTER = {"id": "c1", "name": "db-1", "size": "db-s-1vcpu-2gb", "nodes": 3, "host": "h", "state": "held"}
BROKER = {
    "name": "broker",
    "role": "broker",
    "address": "203.0.113.9",
    "privateAddress": "10.20.0.9",
    "size": "s-1vcpu-2gb",
    "dropletId": "9",
    "backupOwner": False,
}
VOLUMES = {
    "placement": "outside",
    "old": [{"name": "tts-docker_postgres_data", "folder": "/x", "files": 1400, "bytes": 73_400_320}],
    "removed": False,
}


def held(outputs: dict[str, Any], state: str = "held") -> dict[str, Any]:
    return {**outputs, "rung": "resized", "database": {**CLUSTER, "state": state}, "hosts": [*outputs["hosts"], BROKER]}


@pytest.fixture
def outside(deployed: Fakes, outputs: dict[str, Any]) -> Fakes:
    """A stack that came down: the managed side is held."""
    deployed.answer("pulumi", "stack output", held(outputs))
    deployed.answer("pulumi", "stack output mediaKey", stderr="does not have output property", code=255)
    deployed.answer("pulumi", "config")
    deployed.answer("pulumi", "config get sshPrivateKey", _key(deployed))
    return deployed


def _key(fakes: Fakes) -> str:
    rows = json.loads((fakes.home / "pulumi.json").read_text())
    return next(row[1]["stdout"] for row in rows if row[0] == "config get sshPrivateKey")


@pytest.fixture
def climbed(deployed: Fakes, outputs: dict[str, Any]) -> Fakes:
    """A stack that went up: the volumes are still on the host."""
    deployed.answer(
        "pulumi", "stack output", {**outputs, "rung": "externalised", "database": {**CLUSTER, "state": "in use"}}
    )
    deployed.answer("ssh", "tts-release-old", VOLUMES)
    return deployed


def test_a_dry_run_shows_volumes_with_their_size_and_removes_nothing(climbed: Fakes, tts: Tts) -> None:
    done = tts("release-old", "--dry-run", "--stack", "prod")
    assert done.code == 0
    assert "tts-docker_postgres_data" in done.stdout
    assert "70 MiB" in done.stdout
    assert not any("--yes" in command for command in climbed.remote_commands())


def test_volumes_go_by_the_hosts_own_command(climbed: Fakes, tts: Tts) -> None:
    done = tts("release-old", "--yes", "--stack", "prod", "--json")
    assert (done.code, done.json["side"], done.json["removed"]) == (0, "host", True)
    assert any("tts-release-old --yes" in command for command in climbed.remote_commands())
    assert not any(call["argv"][2:4] == ["--color", "up"] for call in climbed.calls("pulumi"))


def test_without_a_fresh_backup_one_is_made_and_if_that_does_not_do_nothing_goes(
    climbed: Fakes, report: dict[str, Any], tts: Tts
) -> None:
    stale = [{**kind, "age_seconds": 90_000} for kind in report["backups"]]
    climbed.answer("ssh", "tts-host-status", {**report, "backups": stale})
    climbed.answer("ssh", "tts-backup", json.dumps({"job": "backup-databases", "kind": "databases", "result": "ok"}))
    climbed.answer("ssh", "tts-verify", json.dumps({"result": "ok"}))
    done = tts("release-old", "--yes", "--stack", "prod")
    assert done.code == 1
    assert "Nothing was removed" in done.stderr
    commands = climbed.remote_commands()
    assert any(command.startswith("tts-backup all") for command in commands)
    assert not any("tts-release-old --yes" in command for command in commands)


def test_the_managed_side_goes_in_two_updates_and_the_key_is_taken_back(
    outside: Fakes, outputs: dict[str, Any], tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ups: list[str] = []

    def up(_: object) -> None:
        ups.append("up")
        after = held(outputs, "releasing") if len(ups) == 1 else {**outputs, "rung": "resized"}
        outside.answer("pulumi", "stack output --json", after)

    monkeypatch.setattr("ops.deploy.Deployment.up", up)
    done = tts("release-old", "--yes", "--stack", "prod", "--json")
    assert done.code == 0, done.stderr
    assert [item["name"] for item in done.json["items"]] == ["db-1", "broker"]
    assert ups == ["up", "up"]
    configured = [call["argv"][3:] for call in outside.calls("pulumi") if call["argv"][3:4] == ["config"]]
    written = [words for words in configured if words[1] in {"set-all", "rm"}]
    assert written[0][:4] == ["config", "set-all", "--plaintext", "release=c1"]
    assert written[1][:3] == ["config", "rm", "release"]


def test_an_interrupted_release_goes_on(
    outside: Fakes, outputs: dict[str, Any], tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.answer("pulumi", "stack output --json", held(outputs, "releasing"))
    monkeypatch.setattr("ops.deploy.Deployment.up", lambda _: outside.answer("pulumi", "stack output --json", outputs))
    assert tts("release-old", "--yes", "--stack", "prod").code == 0


def test_nobody_there_to_agree_means_no(climbed: Fakes, tts: Tts) -> None:
    assert tts("release-old", "--stack", "prod").code == 2
    assert not any("--yes" in command for command in climbed.remote_commands())


def test_with_nothing_left_behind_there_is_nothing_to_do(deployed: Fakes, tts: Tts) -> None:
    done = tts("release-old", "--stack", "prod")
    assert (done.code, "nothing to remove" in done.stdout) == (0, True)
    assert deployed.remote_commands() == []
