"""Another stack's data on this host: read with what was given, measured, and nothing left of it afterwards."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.scripts.hosts import HOST

pytestmark = pytest.mark.docker  # seconds each, for real programs


def handover(host, verb, given=None):
    return subprocess.run(
        [str(HOST / "handover"), verb],
        input=given if isinstance(given, str) else json.dumps(given or {}),
        env=host.environment(),
        text=True,
        capture_output=True,
        check=False,
        timeout=180,
    )


def given(host):
    password = (host.root / "secrets" / "backup-passphrase").read_text().strip()
    return {"repository": str(host.repository("aws")), "password": password, "environment": {"AWS_ACCESS_KEY_ID": "k"}}


def measure(host):
    done = handover(host, "measure")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def other(backed_up):
    """A host of another stack, whose own repositories have no backup of the one that is to move."""
    backed_up.write(TTS_STACK="scaled", TTS_OFFSITE="")
    return backed_up


def test_data_of_another_stack_come_over_and_the_measure_says_that_they_are_equal(other):
    before = measure(other)
    other.server.sql("delete from person where id < 50", "ticket_db")
    assert measure(other)["databases"]["ticket_db"] != before["databases"]["ticket_db"]
    done = handover(other, "take", given(other))
    assert done.returncode == 0, done.stderr
    wanted = ("databases", "--repository", "handed", "--host", "web-1", "--yes")
    refused = other.run("restore", *wanted)
    assert refused.returncode == 1, "snapshots of another stack are used only when it is named"
    done = other.run("restore", *wanted, "--stack", "test")
    assert done.returncode == 0, done.stderr
    assert measure(other) == before
    assert handover(other, "drop").returncode == 0
    assert not (other.root / "state" / "handed").exists()
    assert other.run("restore", *wanted, "--stack", "test").returncode == 78, "the name is known for that time only"


def test_what_opens_the_repository_is_readable_by_root_alone(other):
    handover(other, "take", given(other))
    files = sorted((other.root / "state" / "handed").iterdir())
    assert [path.name for path in files] == ["environment", "location", "password"]
    assert {oct(path.stat().st_mode & 0o777) for path in [*files, files[0].parent]} == {"0o600", "0o700"}


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"password": "another"}, 1, "wrong password"),
        ({"repository": "/nowhere"}, 1, "there is no repository"),
        ({"password": ""}, 78, "stdin must be JSON"),
        ({"environment": {"A b": "c"}}, 78, "stdin must be JSON"),
        ({"environment": {"A": "c\nB=d"}}, 78, "stdin must be JSON"),
    ],
)
def test_what_does_not_open_is_refused_and_nothing_stays(other, change, code, word):
    done = handover(other, "take", given(other) | change)
    assert (done.returncode, word in done.stderr) == (code, True), done.stderr
    assert "another" not in done.stderr.replace("another process", "")
    assert not (other.root / "state" / "handed").exists()


def test_a_measure_is_of_contents_and_not_of_sizes(tts_host):
    summary = tts_host.handover.summary
    assert summary({"a": "1", "b": "2"}) == summary({"b": "2", "a": "1"})
    assert summary({"a": "1"}) != summary({"a": "2"})
    assert summary({"a": "1"}) != summary({"b": "1"})
    assert summary({})["files"] == 0
