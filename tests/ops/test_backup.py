"""`tts backup`, `verify` and `snapshots`: what runs on the host, what is shown, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ops.hostlog import reason, words

if TYPE_CHECKING:
    from conftest import Fakes, Tts

_LOG = (
    "2026-11-23T02:00:00Z level=info job=backup-databases step=dump\n"
    "2026-11-23T02:00:09Z level=info job=backup-databases result=ok seconds=9\n"
)


def _result(**changes: Any) -> dict[str, Any]:
    sent = [{"name": name, "result": "ok", "error": None} for name in ("aws", "spaces")]
    return {
        "job": "backup-databases",
        "kind": "databases",
        "result": "ok",
        "step": None,
        "error": None,
        "snapshot": "deadbeefcafe",
        "started": "2026-11-23T02:00:00Z",
        "finished": "2026-11-23T02:00:09Z",
        "seconds": 9,
        "files": 7,
        "bytes": 1_500_000,
        "warnings": [],
        "offsite": sent,
    } | changes


_VERIFIED = {"result": "ok", "checked_at": "2026-11-23T02:05:00Z", "findings": [], "kinds": {}, "repositories": {}}


@pytest.fixture
def host(deployed: Fakes) -> Fakes:
    deployed.answer("ssh", "tts-backup", json.dumps(_result()) + "\n", stderr=_LOG)
    deployed.answer("ssh", "tts-verify", _VERIFIED)
    return deployed


def test_a_backup_runs_on_the_owner_and_is_verified_afterwards(host: Fakes, tts: Tts) -> None:
    done = tts("backup", "databases")

    assert done.code == 0, done.stderr
    assert host.remote_commands() == ["tts-backup databases --json", "tts-verify --json"]
    assert "deadbeef" in done.stdout
    assert "copy at aws" in done.stdout
    assert "verified" in done.stdout
    assert "databases: dump" in done.stderr, "its course is shown"


def test_all_is_the_default_and_the_switches_reach_the_host(host: Fakes, tts: Tts) -> None:
    tts("backup", "--no-offsite", "--no-verify")

    assert host.remote_commands() == ["tts-backup all --json --no-offsite"]


def test_the_json_of_a_backup_is_one_document(host: Fakes, tts: Tts) -> None:
    document = tts("backup", "databases", "--json").json

    assert document["backups"][0]["snapshot"] == "deadbeefcafe"
    assert document["verification"]["result"] == "ok"


def test_a_failed_backup_is_not_verified_and_fails_with_its_reason(host: Fakes, tts: Tts) -> None:
    failed = _result(
        result="failed", step="dump", error="database auth_db: connection refused", snapshot=None, offsite=[]
    )
    host.answer("ssh", "tts-backup", json.dumps(failed), code=1)

    done = tts("backup", "databases")

    assert done.code == 1
    assert "databases failed at dump: database auth_db: connection refused" in done.stdout
    assert host.remote_commands() == ["tts-backup databases --json"]


def test_one_kind_of_all_that_failed_does_not_hide_the_others(host: Fakes, tts: Tts) -> None:
    lines = [_result(kind="databases"), _result(job="backup-media", kind="media", result="failed", error="no space")]
    host.answer("ssh", "tts-backup", "\n".join(map(json.dumps, lines)), code=1)

    done = tts("backup", "all")

    assert done.code == 1
    assert "databases" in done.stdout
    assert "no space" in done.stdout


def test_a_destination_that_failed_is_named(host: Fakes, tts: Tts) -> None:
    offsite = [
        {"name": "aws", "result": "ok", "error": None},
        {"name": "spaces", "result": "failed", "error": "timeout"},
    ]
    host.answer(
        "ssh",
        "tts-backup",
        json.dumps(_result(result="failed", step="offsite", error="spaces", offsite=offsite)),
        code=1,
    )

    assert "databases to spaces: timeout" in tts("backup", "databases").stdout


_LOCKED = _result(
    job="backup-media", kind=None, result="failed", error="another job holds the lock", snapshot=None, offsite=[]
)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (
            {"stdout": json.dumps(_LOCKED), "stderr": 'x level=error error="job=offsite pid=7"', "code": 75},
            75,
            "another job is at work",
        ),
        ({"stderr": 'x level=error error="bad value"', "code": 78}, 78, "bad value"),
        ({"stderr": "bash: tts-backup: command not found", "code": 127}, 1, "lacks the command"),
        ({"stdout": "{half", "code": 0}, 1, "failed"),
        ({"stderr": "Connection closed by remote host", "code": 255}, 69, "does not answer"),
    ],
)
def test_a_backup_that_did_not_run_says_why(
    host: Fakes, tts: Tts, answer: dict[str, Any], code: int, says: str
) -> None:
    host.answer("ssh", "tts-backup", **answer)

    done = tts("backup", "media")

    assert done.code == code
    assert says in done.stderr
    assert "Fix:" in done.stderr


@pytest.mark.parametrize("finding", ["media: snapshot 3f is damaged", {"kind": "media", "finding": "3f is damaged"}])
def test_a_verification_with_findings_fails_and_shows_them(host: Fakes, tts: Tts, finding: Any) -> None:
    host.answer("ssh", "tts-verify", {**_VERIFIED, "result": "failed", "findings": [finding]}, code=1)

    done = tts("verify")

    assert done.code == 1
    assert "3f is damaged" in done.stdout
    assert "Next: tts backup" in done.stdout


def test_a_verification_that_calls_itself_ok_with_findings_is_not_believed(host: Fakes, tts: Tts) -> None:
    host.answer("ssh", "tts-verify", {**_VERIFIED, "findings": ["odd"]})

    assert tts("verify").code == 1


_SNAPSHOTS = {
    "repository": "aws",
    "snapshots": [
        {
            "id": "deadbeef" * 8,
            "short_id": "deadbeef",
            "time": "2026-11-23T02:00:41.123456789Z",
            "kind": "databases",
            "run": "20261123020000",
            "stack": "prod",
            "host": "web-1",
            "original": None,
            "files": 7,
            "bytes": 1_500_000,
        }
    ],
}


def test_snapshots_are_listed_from_the_repository_that_was_asked_for(host: Fakes, tts: Tts) -> None:
    host.answer("ssh", "tts-snapshots", _SNAPSHOTS)

    done = tts("snapshots", "--from", "aws", "--kind", "databases")

    assert done.code == 0, done.stderr
    assert host.remote_commands() == ["tts-snapshots --json --repository aws --kind databases"]
    assert "deadbeef  databases  2026-11-23 02:00" in done.stdout
    assert tts("snapshots", "--from", "aws", "--json").json["snapshots"][0]["short_id"] == "deadbeef"


def test_an_empty_repository_points_to_the_first_backup(host: Fakes, tts: Tts) -> None:
    host.answer("ssh", "tts-snapshots", {"repository": "local", "snapshots": []})

    assert "Next: tts backup" in tts("snapshots").stdout


def test_an_unknown_repository_is_refused_before_the_host_is_touched(host: Fakes, tts: Tts) -> None:
    done = tts("snapshots", "--from", "tape")

    assert done.code == 2
    assert "local, aws, spaces" in done.stderr
    assert host.calls("ssh") == []


def test_log_lines_are_read_as_words() -> None:
    assert words("2026-11-23T02:00:00Z level=info job=backup-media step=store") == "media: store"
    assert words("anything else") == "anything else"
    assert words('t level=info job=- x="un closed') != ""
    assert reason('a level=error error="first"\nb level=error job=x error="disk full" step=y\n') == "disk full"
    assert reason("plain words\n") == "plain words"
    assert reason("") == "it gave no reason"
