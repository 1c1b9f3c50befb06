"""`tts drill`, `config-diff` and `alert-test`: what runs where, what is shown, and how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ops.hostreport import Drill
from ops.judge import drill_findings

if TYPE_CHECKING:
    from conftest import Fakes, Tts

_DRILL = {
    "result": "PASS",
    "started": "2026-11-01T06:00:00Z",
    "repository": "spaces",
    "seconds": 42.5,
    "server": "container",
    "snapshots": {"databases": {"id": "feed", "time": "2026-11-01T02:00:00Z"}},
    "databases": {"auth_db": {"rows": 1200, "tables": 7}},
    "media": {"files": 90, "sampled": 50, "compared_with_live": 50},
    "steps": {"choose": 1.0, "database auth_db": 9.5, "media": 3.0},
    "findings": [],
    "notes": [],
}
_FAILED = {**_DRILL, "result": "FAIL", "findings": ["auth_db: the dump does not have the checksum of its manifest"]}


def test_a_drill_runs_on_the_owner_and_passes(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-drill", json.dumps(_DRILL) + "\n", stderr="t level=info job=drill step=drill\n")

    done = tts("drill")

    assert done.code == 0, done.stderr
    assert deployed.remote_commands() == ["tts-drill --json"]
    assert "PASS: what is at spaces can be restored" in done.stdout
    assert "1,200 rows in 7 tables" in done.stdout


def test_fault_53_a_drill_that_failed_fails_and_says_why(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-drill", json.dumps(_FAILED) + "\n", code=1)

    done = tts("drill", "--from", "aws")

    assert done.code == 1
    assert deployed.remote_commands() == ["tts-drill --json --repository aws"]
    assert "FAIL" in done.stdout
    assert "checksum of its manifest" in done.stdout


def test_a_drill_that_calls_itself_passed_with_findings_is_not_believed(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-drill", json.dumps({**_FAILED, "result": "PASS"}) + "\n")

    assert tts("drill").code == 1


def test_a_drill_that_did_not_begin_is_an_error(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-drill", stderr='t level=error error="another job holds the lock"', code=75)

    assert tts("drill").code == 75


def test_the_history_is_shown_newest_first(deployed: Fakes, tts: Tts) -> None:
    lines = f"{json.dumps(_DRILL)}\n{json.dumps({**_FAILED, 'started': '2026-12-01T06:00:00Z'})}\n"
    deployed.answer("ssh", "tts-drill --history --json", lines)

    done = tts("drill", "--history")

    assert done.stdout.index("2026-12-01") < done.stdout.index("2026-11-01")
    assert [one["result"] for one in tts("drill", "--history", "--json").json] == ["PASS", "FAIL"]


def test_the_status_shows_the_last_drill(deployed: Fakes, tts: Tts, report: dict[str, Any]) -> None:
    deployed.answer("ssh", "tts-host-status", {**report, "drill": _FAILED})

    done = tts("status", "--json").json

    assert done["drill"]["result"] == "FAIL"
    assert any(item["urgent"] and "drill" in item["text"] for item in done["findings"])
    assert "FAIL" in tts("status").stdout


@pytest.mark.parametrize(("days", "urgent"), [(3, None), (40, True)], ids=["of this month", "missed at least once"])
def test_a_drill_that_is_too_old_is_found(days: int, urgent: bool | None) -> None:
    drill = Drill("PASS", datetime.now(UTC) - timedelta(days=days), "aws")

    assert [finding.urgent for finding in drill_findings(drill)] == ([] if urgent is None else [urgent])


def test_a_stack_without_any_drill_is_advised_to_make_one() -> None:
    assert [(finding.urgent, finding.next_step) for finding in drill_findings(None)] == [(False, "tts drill")]


_KEYS = {"aws": {"accessKeyId": "AKIATEST", "secretAccessKey": "not-a-real-secret"}}


@pytest.fixture
def here(deployed: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """A machine with the programs of a drill; the host's script is a fake that writes down its settings."""
    monkeypatch.setenv("TTS_LOCAL_DIR", str(tmp_path / "local"))
    deployed.answer("pulumi", "config get backupPassphrase", "a-passphrase-of-the-test\n")
    deployed.answer("pulumi", "stack output maintenance", _KEYS)
    restic = deployed.home / "restic"
    listed = [{"id": "ab", "time": "2026-11-22T02:00:00Z", "hostname": "web-1", "tags": ["kind=databases"]}]
    restic.write_text(
        f"#!/bin/sh\ncase $1 in version) echo restic 0.18.1;; snapshots) echo '{json.dumps(listed)}';; esac\n"
    )
    restic.chmod(0o755)
    script = tmp_path / "checkout" / "scripts" / "host" / "drill"
    script.parent.mkdir(parents=True)
    seen = tmp_path / "seen"
    script.write_text(
        f'#!/bin/bash\n. "$TTS_ENV_FILE"\ncp "$TTS_ENV_FILE" {seen}\n'
        f'cat "$TTS_PASSWORD_FILE" "$TTS_OFFSITE_AWS_CREDENTIALS" >>{seen}\n'
        f'stat -c "mode=%a" "$TTS_ENV_FILE" "$TTS_PASSWORD_FILE" >>{seen}\necho "$*" >>{seen}\n'
        f"echo '{json.dumps(_DRILL)}'\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr("ops.drill.repository_directory", lambda: tmp_path / "checkout")
    return deployed


def test_a_drill_here_touches_no_host_and_leaves_no_secret(here: Fakes, tts: Tts, tmp_path: Path) -> None:
    done = tts("drill", "--here", "--from", "aws")

    assert done.code == 0, done.stderr
    assert here.calls("ssh") == []
    seen = (tmp_path / "seen").read_text()
    assert "TTS_OFFSITE_AWS_REPOSITORY=s3:https://aws.test/b-aws" in seen
    assert "AWS_SECRET_ACCESS_KEY=not-a-real-secret" in seen
    assert "mode=600\nmode=600" in seen
    assert "--json --repository aws" in seen
    env_file = next(line for line in seen.splitlines() if line.startswith("TTS_PASSWORD_FILE="))
    assert not Path(env_file.partition("=")[2]).exists(), "the private files go with the drill"
    kept = "".join(path.read_text() for path in (tmp_path / "local").rglob("*") if path.is_file())
    assert "not-a-real-secret" not in kept


def test_a_drill_here_names_the_programs_that_are_missing(
    here: Fakes, tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.drill.shutil.which", lambda name: None if name == "setpriv" else name)

    done = tts("drill", "--here")

    assert done.code == 78
    assert "setpriv" in done.stderr


_DIFFERENCE = {
    "from": "previous",
    "to": "latest",
    "files": [{"path": "/srv/app/nginx.conf", "change": "changed", "diff": ["@@ -1 +1 @@", "-one", "+two"]}],
}


def test_two_configurations_are_compared_on_the_host(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-config-diff", _DIFFERENCE)

    done = tts("config-diff", "abc12345", "live", "--from", "aws")

    assert done.code == 0, done.stderr
    assert deployed.remote_commands() == ["tts-config-diff abc12345 live --repository aws --json"]
    assert "changed /srv/app/nginx.conf\n@@ -1 +1 @@\n-one\n+two\n" in done.stdout
    assert tts("config-diff", "--json").json["from"] == "previous"


def test_equal_configurations_are_said_to_be_equal(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-config-diff", {**_DIFFERENCE, "files": []})

    assert "No difference" in tts("config-diff").stdout


def test_a_comparison_that_failed_says_why(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-config-diff", stderr='t level=error error="there is no previous one"', code=1)

    done = tts("config-diff")

    assert done.code == 1
    assert "there is no previous one" in done.stderr


def _channels(*results: tuple[str, str, str | None]) -> dict[str, Any]:
    worst = "ok" if all(result == "ok" for _, result, _ in results) and results else "failed"
    rows = [{"name": name, "result": result, "error": error} for name, result, error in results]
    return {"result": worst, "channels": rows}


def test_every_channel_is_tried_and_shown(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-alert-test", _channels(("ping", "ok", None), ("mail", "ok", None)))

    done = tts("alert-test")

    assert done.code == 0, done.stderr
    assert "ping" in done.stdout
    assert "Only you can see" in done.stdout


def test_fault_50_a_channel_that_fails_is_named(deployed: Fakes, tts: Tts) -> None:
    answer = _channels(("ping", "ok", None), ("webhook", "failed", "refused: 404"))
    deployed.answer("ssh", "tts-alert-test", answer, code=1)

    done = tts("alert-test")

    assert done.code == 1
    assert "refused: 404" in done.stdout


def test_without_a_channel_it_says_how_to_make_one(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("ssh", "tts-alert-test", _channels(), code=78)

    done = tts("alert-test")

    assert done.code == 78
    assert "nobody would hear" in done.stderr
