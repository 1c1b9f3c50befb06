"""`tts restore`: plan, typed consent, the agreed snapshot, and the way back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Fakes, Tts

_PLAN = {
    "event": "plan",
    "snapshot": "deadbeef" * 8,
    "time": "2026-11-23T02:00:41Z",
    "repository": "aws",
    "databases": [{"name": "auth_db", "rows": 1234, "bytes": 56789}],
}
_STEPS = [{"event": "step", "step": "restore", "database": "auth_db", "done": 1, "of": 2}]
_DONE = {"event": "result", "result": "ok", "error": None, "kept": ["auth_db__before_20261123085515"], "seconds": 7}
_FAILED = {
    "event": "result",
    "result": "failed",
    "error": "row counts differ in auth_db.users",
    "kept": [],
    "seconds": 7,
}


def _lines(*events: dict[str, Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


@pytest.fixture
def host(deployed: Fakes) -> Fakes:
    deployed.answer("ssh", "tts-restore", _lines(_PLAN, *_STEPS, _DONE))
    deployed.answer("ssh", "--dry-run", _lines(_PLAN))
    return deployed


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.commands.restore.is_interactive", lambda: True)


def test_a_dry_run_shows_the_plan_and_changes_nothing(host: Fakes, tts: Tts) -> None:
    done = tts("restore", "database", "auth_db", "--from", "aws", "--dry-run")

    assert done.code == 0, done.stderr
    assert host.remote_commands() == [
        "tts-restore databases --database auth_db --snapshot latest --repository aws --dry-run --json"
    ]
    assert "1,234" in done.stdout
    assert "Nothing was changed" in done.stdout


def test_the_plan_as_json(host: Fakes, tts: Tts) -> None:
    assert tts("restore", "databases", "--dry-run", "--json").json["databases"][0]["name"] == "auth_db"


def test_what_was_planned_is_restored_even_if_a_newer_snapshot_appears(host: Fakes, tts: Tts) -> None:
    done = tts("restore", "database", "auth_db", "--yes")

    assert done.code == 0, done.stderr
    assert f"--snapshot {_PLAN['snapshot']}" in host.remote_commands()[1]
    assert "--yes" in host.remote_commands()[1]
    assert "restore auth_db 1 of 2" in done.stderr
    assert "auth_db__before_20261123085515" in done.stdout


@pytest.mark.usefixtures("person")
def test_typing_the_name_agrees(host: Fakes, tts: Tts) -> None:
    done = tts("restore", "database", "auth_db", typed="auth_db\n")

    assert done.code == 0, done.stderr
    assert len(host.remote_commands()) == 2
    assert "deadbeef" in done.stderr, "the plan is seen before the question"


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("typed", ["y\n", "yes\n", "\n", "ticket_db\n"])
def test_anything_else_changes_nothing(host: Fakes, tts: Tts, typed: str) -> None:
    done = tts("restore", "database", "auth_db", typed=typed)

    assert done.code == 1
    assert "nothing was changed" in done.stderr
    assert len(host.remote_commands()) == 1


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("what", [["databases"], ["media"], ["undo"], ["drop-old"]])
def test_all_of_something_is_agreed_to_by_the_name_of_the_stack(host: Fakes, tts: Tts, what: list[str]) -> None:
    assert tts("restore", *what, typed="auth_db\n").code == 1
    assert tts("restore", *what, typed="prod\n").code == 0


def test_nobody_there_and_no_yes_changes_nothing(host: Fakes, tts: Tts) -> None:
    done = tts("restore", "databases")

    assert done.code == 2
    assert "--yes" in done.stderr
    assert len(host.remote_commands()) == 1


@pytest.mark.parametrize("kind", ["media", "config"])
def test_paths_are_restored_in_place_or_laid_beside(host: Fakes, tts: Tts, kind: str) -> None:
    assert tts("restore", kind, "2026/a b.pdf", "c", "--yes").code == 0
    assert tts("restore", kind, "x", "--target", "/srv/x", "--yes", "--drop-old").code == 0

    commands = host.remote_commands()
    assert f"tts-restore {kind} '2026/a b.pdf' c --snapshot" in commands[0]
    assert commands[1].split("--snapshot")[0] == commands[0].split("--snapshot")[0]
    assert f"path x --target /srv/x --kind {kind}" in commands[-1], "nothing was replaced, so nothing is dropped"


def test_a_folder_beside_needs_paths(host: Fakes, tts: Tts) -> None:
    assert tts("restore", "media", "--target", "/srv/x", "--yes").code == 2
    assert host.remote_commands() == []


def test_tables_are_planned_agreed_to_by_the_name_of_their_database_and_counted(host: Fakes, tts: Tts) -> None:
    plan = {**_PLAN, "databases": [], "database": "auth_db", "tables": [{"name": "public.user", "rows": 4321}]}
    step = {"event": "step", "step": "merged", "database": "auth_db", "table": "public.user", "added": 3}
    host.answer("ssh", "tts-restore", _lines(plan, step, _DONE))
    host.answer("ssh", "--dry-run", _lines(plan))

    dry = tts("restore", "table", "auth_db", "user", "Odd One.x", "--missing-only", "--dry-run")
    done = tts("restore", "table", "auth_db", "user", "--yes", "--drop-old")

    commands = host.remote_commands()
    assert "tables --database auth_db --table user --table 'Odd One.x' --missing-only --snapshot latest" in commands[0]
    assert "4,321" in dry.stdout
    assert "merged public.user: 3 added" in done.stderr
    assert commands[-1] == "tts-restore drop-old --database auth_db --tables --yes --json"


def test_names_of_databases_cannot_become_commands_on_the_host(host: Fakes, tts: Tts) -> None:
    tts("restore", "database", "x; rm -rf /", "--dry-run")

    assert "--database 'x; rm -rf /' --snapshot" in host.remote_commands()[0]


def test_drop_old_follows_only_a_good_restore(host: Fakes, tts: Tts) -> None:
    tts("restore", "database", "auth_db", "--yes", "--drop-old")
    assert host.remote_commands()[-1] == "tts-restore drop-old --database auth_db --yes --json"

    host.answer("ssh", "tts-restore", _lines(_PLAN, _FAILED), code=1)
    host.answer("ssh", "--dry-run", _lines(_PLAN))
    tts("restore", "database", "auth_db", "--yes", "--drop-old")
    assert "drop-old" not in host.remote_commands()[-1]


def test_undo_takes_names(host: Fakes, tts: Tts) -> None:
    assert tts("restore", "undo", "auth_db", "--yes").code == 0
    assert tts("restore", "undo", "--media", "--yes").code == 0
    assert host.remote_commands() == [
        "tts-restore undo --database auth_db --yes --json",
        "tts-restore undo --media --yes --json",
    ]


@pytest.mark.parametrize(
    "words", [["--media", "--config"], ["auth_db", "--media"], ["--tables"], ["a", "b", "--tables"]]
)
def test_an_undo_of_two_things_at_once_is_refused(host: Fakes, tts: Tts, words: list[str]) -> None:
    assert tts("restore", "undo", *words, "--yes").code == 2
    assert host.remote_commands() == []


def test_an_undo_of_tables_and_of_the_configuration(host: Fakes, tts: Tts) -> None:
    assert tts("restore", "undo", "auth_db", "--tables", "--yes").code == 0
    assert tts("restore", "drop-old", "--config", "--yes").code == 0
    assert host.remote_commands() == [
        "tts-restore undo --database auth_db --tables --yes --json",
        "tts-restore drop-old --config --yes --json",
    ]


def test_a_plan_for_media_says_how_much(host: Fakes, tts: Tts) -> None:
    host.answer("ssh", "--dry-run", _lines({**_PLAN, "databases": [], "files": 1200, "bytes": 3_000_000}))

    assert "1,200 files, 3.0 MB" in tts("restore", "media", "--dry-run").stdout


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ({"stdout": _lines(_PLAN, _FAILED), "code": 1}, 1, "row counts differ in auth_db.users"),
        ({"stdout": _lines(_PLAN), "stderr": 'x level=error error="killed"', "code": 1}, 1, "killed"),
        ({"stdout": _lines(_PLAN, _DONE), "stderr": "odd", "code": 1}, 1, "odd"),
        ({"stderr": 'x level=error error="job=backup-media"', "code": 75}, 75, "another job"),
        ({"stderr": "Connection reset", "code": 255}, 69, "does not answer"),
    ],
)
def test_a_restore_that_failed_is_never_called_done(
    host: Fakes, tts: Tts, answer: dict[str, Any], code: int, says: str
) -> None:
    host.answer("ssh", "tts-restore", **answer)
    host.answer("ssh", "--dry-run", _lines(_PLAN))

    done = tts("restore", "database", "auth_db", "--yes")

    assert done.code == code
    assert says in done.stderr
    assert "✓" not in done.stdout


def test_a_plan_that_the_host_refuses_is_explained(host: Fakes, tts: Tts) -> None:
    host.answer("ssh", "--dry-run", _lines({**_FAILED, "error": "snapshot ffff is not in aws"}), code=1)

    done = tts("restore", "database", "auth_db", "--snapshot", "ffff", "--yes")

    assert done.code == 1
    assert "snapshot ffff is not in aws" in done.stderr
    assert len(host.remote_commands()) == 1
