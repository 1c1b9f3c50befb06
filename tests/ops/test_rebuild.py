"""`tts rebuild`: the order of its steps, going on after a failure at any of them, and what it refuses."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Fakes, Tts

    from tests.ops.provider import Provider

_OLD = "2026-11-22T02:00:41Z"
_DEAD = 2**22 + 1  # above the kernel's largest process id


def _snapshot(kind: str, number: int, time: str = _OLD, **changes: Any) -> dict[str, Any]:
    digest = f"{number:08x}" * 8
    return {
        "id": digest,
        "short_id": digest[:8],
        "time": time,
        "kind": kind,
        "host": "web-1",
        "stack": "prod",
        "files": 90,
        "bytes": 5,
    } | changes


def _listed(repository: str, *snapshots: dict[str, Any]) -> dict[str, Any]:
    return {"repository": repository, "snapshots": list(snapshots)}


_ALL = [_snapshot(kind, number) for number, kind in enumerate(("databases", "media", "config"), 1)]
_PLAN = {
    "event": "plan",
    "snapshot": "00000001" * 8,
    "time": _OLD,
    "repository": "aws",
    "databases": [{"name": "auth_db", "rows": 200, "bytes": 10}],
    "files": 90,
    "bytes": 5,
}
_DONE = {"event": "result", "result": "ok", "error": None, "kept": [], "seconds": 3}
_BACKUP = "".join(
    json.dumps({"job": f"backup-{kind}", "kind": kind, "result": "ok", "snapshot": "feed"}) + "\n"
    for kind in ("databases", "media", "config")
)
_VERIFIED = {"result": "ok", "findings": []}


@pytest.fixture
def lost(deployed: Fakes, provider: Provider, outputs: dict[str, Any]) -> Fakes:
    """A stack whose droplet is gone, and a new host on which everything works."""
    deployed.answer("pulumi", "stack output", {**outputs, "url": f"{provider.address}/app/"})
    for verb in ("refresh", "up --yes"):
        deployed.answer("pulumi", verb, "     +  digitalocean:index:Droplet web-1 creating (0s)\n")
    deployed.answer("ssh", "tts-hold")
    deployed.answer("ssh", "bash -c")
    deployed.answer("ssh", "--repository aws", _listed("aws", *_ALL))
    deployed.answer("ssh", "--repository spaces", _listed("spaces", *_ALL))
    deployed.answer("ssh", "tts-restore", _DONE)
    deployed.answer("ssh", "--dry-run", _PLAN)
    deployed.answer("ssh", "tts-backup", _BACKUP)
    deployed.answer("ssh", "tts-verify", _VERIFIED)
    return deployed


def _course(fakes: Fakes) -> list[str]:
    """What changed something, in its order."""
    verbs = {"refresh", "up"}
    words: list[str] = []
    for call in fakes.calls():
        if call["tool"] == "ssh":
            command = call["argv"][-1]
            if "--dry-run" not in command and "tts-snapshots" not in command:
                words.append(" ".join(command.split()[:2]))
        else:
            words += [word for word in call["argv"] if word in verbs]
    return words


_COURSE = [
    "refresh",
    "up",
    "tts-hold on",
    "tts-restore databases",
    "tts-restore drop-old",
    "tts-restore media",
    "tts-restore drop-old",
    "bash -c",
    "tts-hold off",
    "tts-backup all",
    "tts-verify --json",
]


def test_a_lost_host_is_made_anew_and_filled_before_anybody_is_let_in(lost: Fakes, tts: Tts) -> None:
    done = tts("rebuild", "--yes")

    assert done.code == 0, done.stderr
    assert _course(lost) == _COURSE
    assert "RTO" in done.stdout
    assert "RPO" in done.stdout
    assert "1 databases, 200 rows, 90 media files from aws" in done.stdout


def test_the_report_is_kept_and_the_journal_is_closed(lost: Fakes, tts: Tts, tmp_path: Path) -> None:
    report = tts("rebuild", "--yes", "--json").json

    (kept,) = (tmp_path / "local" / "journal").iterdir()
    assert kept.name.startswith("rebuild-prod-2")
    assert json.loads(kept.read_text())["choices"]["report"] == report
    assert report["rows"] == {"auth_db": 200}
    assert set(report["steps"]) >= {"deploy", "databases", "entry", "verify"}
    assert report["rpo"] > 0


_FAULTS = {
    "refresh": ("pulumi", "refresh"),
    "deploy": ("pulumi", "up --yes"),
    "hold": ("ssh", "tts-hold on"),
    "choose": ("ssh", "tts-snapshots"),
    "databases": ("ssh", "tts-restore databases --snapshot"),
    "media": ("ssh", "tts-restore media --snapshot"),
    "config": ("ssh", "bash -c"),
    "start": ("ssh", "tts-hold off"),
    "backup": ("ssh", "tts-backup"),
    "verify": ("ssh", "tts-verify"),
}


@pytest.mark.parametrize("step", list(_FAULTS))
def test_a_rebuild_that_ended_at_any_step_goes_on_there(lost: Fakes, tts: Tts, step: str) -> None:
    tool, sign = _FAULTS[step]
    table = lost.home / f"{tool}.json"
    well = table.read_text()
    lost.answer(tool, sign, stderr="x level=error error=broken\nerror: broken\n", code=1)
    first = tts("rebuild", "--yes")
    assert first.code != 0
    assert "broken" in first.stderr
    table.write_text(well)
    before = len(_course(lost))

    again = tts("rebuild")  # no question: it was answered when the work began

    assert again.code == 0, again.stderr
    assert "Going on with the rebuild" in again.stderr
    second = _course(lost)[before:]
    assert second == _COURSE[-len(second) :], "what was done is not done again"
    if step != "refresh":
        assert "refresh" not in second


def test_a_journal_may_be_forgotten_on_purpose(lost: Fakes, tts: Tts) -> None:
    well = (lost.home / "ssh.json").read_text()
    lost.answer("ssh", "tts-verify", stderr="x error=broken", code=1)
    tts("rebuild", "--yes")
    (lost.home / "ssh.json").write_text(well)

    tts("rebuild", "--yes", "--anew")

    assert _course(lost).count("refresh") == 2


def test_a_host_that_is_there_is_not_rebuilt(lost: Fakes, tts: Tts, provider: Provider) -> None:
    provider.droplets[1] = {"id": 1, "name": "web-1-a1", "status": "off"}

    done = tts("rebuild", "--yes")

    assert done.code == 2
    assert "the provider says it is off" in done.stderr
    assert _course(lost) == []
    assert provider.changes() == []


def test_a_host_is_replaced_only_after_an_image_of_its_disk_is_complete(
    lost: Fakes, tts: Tts, provider: Provider
) -> None:
    provider.droplets[1] = {"id": 1, "name": "web-1-a1", "status": "active"}

    done = tts("rebuild", "--replace", "--yes")

    assert done.code == 0, done.stderr
    assert provider.changes() == ["POST /v2/droplets/1/actions", "DELETE /v2/droplets/1"]
    assert "tts-prod-web-1-replaced-" in done.stdout


def test_a_host_whose_image_fails_is_not_deleted(lost: Fakes, tts: Tts, provider: Provider) -> None:
    provider.droplets[1] = {"id": 1, "name": "web-1-a1", "status": "active"}
    provider.failing = True

    done = tts("rebuild", "--replace", "--yes")

    assert done.code == 1
    assert "did not complete the snapshot" in done.stderr
    assert 1 in provider.droplets
    assert _course(lost) == []


def test_without_a_person_or_a_yes_nothing_happens(lost: Fakes, tts: Tts) -> None:
    done = tts("rebuild")

    assert done.code == 2
    assert "Nobody is here to agree" in done.stderr
    assert _course(lost) == []


def test_fault_66_a_repository_that_does_not_answer_does_not_stop_it(lost: Fakes, tts: Tts) -> None:
    lost.answer("ssh", "tts-snapshots --json --repository aws", stderr='x error="no such host"', code=1)

    report = tts("rebuild", "--yes", "--json").json

    assert report["repository"] == "spaces"
    assert any("aws" in note and "no such host" in note for note in report["notes"])


def test_the_repository_with_the_newest_databases_is_chosen(lost: Fakes, tts: Tts) -> None:
    newer = _snapshot("databases", 9, "2026-11-22T09:00:00Z")
    lost.answer("ssh", "tts-snapshots --json --repository spaces", _listed("spaces", *_ALL, newer))

    report = tts("rebuild", "--yes", "--json").json

    assert (report["repository"], report["snapshots"]["databases"]["id"]) == ("spaces", newer["id"])


def test_the_one_that_was_asked_for_is_used(lost: Fakes, tts: Tts) -> None:
    assert tts("rebuild", "--yes", "--json", "--from", "spaces").json["repository"] == "spaces"
    assert not any("--repository aws" in command for command in lost.remote_commands())


@pytest.mark.parametrize(
    "foreign",
    [
        _snapshot("databases", 9, "2999-01-01T00:00:00Z"),
        _snapshot("databases", 9, "2026-11-22T09:00:00Z", host="web-2"),
        _snapshot("databases", 9, "2026-11-22T09:00:00Z", stack="local"),
    ],
    ids=["made after the loss, by an empty host", "of another host", "of another stack"],
)
def test_a_snapshot_that_is_not_what_was_lost_is_not_taken(lost: Fakes, tts: Tts, foreign: dict[str, Any]) -> None:
    for name in ("aws", "spaces"):
        lost.answer("ssh", f"tts-snapshots --json --repository {name}", _listed(name, foreign, *_ALL))

    assert tts("rebuild", "--yes", "--json").json["snapshots"]["databases"]["id"] == _ALL[0]["id"]


def test_without_any_database_snapshot_the_host_stays_held(lost: Fakes, tts: Tts) -> None:
    for name in ("aws", "spaces"):
        lost.answer("ssh", f"tts-snapshots --json --repository {name}", _listed(name))

    done = tts("rebuild", "--yes")

    assert done.code == 1
    assert "No repository has a database snapshot" in done.stderr
    assert _course(lost)[-1] == "tts-hold on"


def test_an_unknown_repository_is_refused_before_anything_happens(lost: Fakes, tts: Tts) -> None:
    done = tts("rebuild", "--yes", "--from", "tape")

    assert done.code == 2
    assert "aws, spaces" in done.stderr
    assert _course(lost) == []


def test_a_droplet_that_a_killed_run_left_behind_is_named(lost: Fakes, tts: Tts, provider: Provider) -> None:
    provider.droplets[5] = {"id": 5, "name": "web-1-stray", "status": "active"}

    assert "web-1-stray (5)" in tts("rebuild", "--yes").stdout


def test_rows_that_have_changed_since_are_named_and_a_lost_database_is_an_error(lost: Fakes, tts: Tts) -> None:
    more = {**_PLAN, "databases": [{"name": "auth_db", "rows": 201, "bytes": 10}]}
    lost.answer("ssh", "--repository local --dry-run", more)
    assert "auth_db: 200 rows restored, 201" in tts("rebuild", "--yes").stdout

    lost.answer("ssh", "--repository local --dry-run", {**_PLAN, "databases": []})
    done = tts("rebuild", "--yes")
    assert done.code == 1
    assert "lacks restored databases: auth_db" in done.stderr


def _lock(pid: int, host: str) -> str:
    return f"error: the stack is currently locked by 1 lock(s).\n  created by me@{host} (pid {pid}) at 2026-11-23\n"


def test_the_lock_of_a_run_that_was_killed_is_taken_away(lost: Fakes, tts: Tts) -> None:
    table = lost.home / "pulumi.json"
    lost.answer("pulumi", "up --yes", stderr=_lock(_DEAD, socket.gethostname()), code=255)
    rows = [row for row in json.loads(table.read_text()) if row[0] == "up --yes"]
    flag = lost.home / "cancelled"
    # The stack is locked until `pulumi cancel` has run.
    script = lost.home / "pulumi"
    script.write_text(
        script.read_text().replace(
            "for sign, answer in",
            f'if "cancel" in argv: pathlib.Path({str(flag)!r}).touch(); sys.exit(0)\n'
            f'if "up" in argv and pathlib.Path({str(flag)!r}).exists(): sys.exit(0)\n'
            "for sign, answer in",
            1,
        )
    )

    done = tts("rebuild", "--yes")

    assert rows
    assert done.code == 0, done.stderr
    assert flag.exists()


@pytest.mark.parametrize(("pid", "host"), [(1, "another-machine"), (_DEAD, "another-machine")])
def test_the_lock_of_another_machine_is_left_alone(lost: Fakes, tts: Tts, pid: int, host: str) -> None:
    lost.answer("pulumi", "up --yes", stderr=_lock(pid, host), code=255)

    done = tts("rebuild", "--yes")

    assert done.code == 75
    assert "on another machine" in done.stderr
    assert not any("cancel" in call["argv"] for call in lost.calls("pulumi"))


def test_the_journal_holds_no_secret(lost: Fakes, tts: Tts, tmp_path: Path, operator_key: Any) -> None:
    tts("rebuild", "--yes")
    text = "".join(path.read_text() for path in (tmp_path / "local" / "journal").iterdir())
    assert os.environ["DIGITALOCEAN_TOKEN"] not in text
    assert operator_key.private.splitlines()[1] not in text
