"""`tts status`: the JSON document, the exit code, the findings, and every way in which asking can fail."""

from __future__ import annotations

import http.server
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ops.judge import age

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Fakes, Tts


class _Site(http.server.BaseHTTPRequestHandler):
    code = 200
    path_asked = ""

    def do_GET(self) -> None:
        _Site.path_asked = self.path
        self.send_response(self.code)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def site() -> Iterator[type[_Site]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    _Site.code = 200
    _Site.url = f"http://127.0.0.1:{server.server_port}/"  # type: ignore[attr-defined]
    yield _Site
    server.shutdown()
    server.server_close()


@pytest.fixture
def well(deployed: Fakes, outputs: dict[str, Any], site: Any) -> Fakes:
    deployed.answer("pulumi", "stack output", {**outputs, "url": site.url})
    return deployed


def test_a_stack_that_is_well_gives_exit_code_0_and_the_documented_json(well: Fakes, tts: Tts) -> None:
    done = tts("status", "--json")

    assert done.code == 0, done.stderr
    document = done.json
    assert document["rung"] == "single"
    assert document["cost_per_month"] == 26.6
    assert document["url"].startswith("http://")
    assert document["hosts"][0]["name"] == "web-1"
    assert document["hosts"][0]["reachable"] is True
    assert len(document["services"]) == 10
    assert {"name", "host", "healthy"} <= document["services"][0].keys()
    backup = document["backups"][0]
    assert {"kind", "newest", "age_seconds", "verified", "offsite"} <= backup.keys()
    assert [copy["name"] for copy in backup["offsite"]] == ["aws", "spaces"]
    assert document["findings"] == []


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_screen_fits_the_terminal_and_24_lines(
    well: Fakes, tts: Tts, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    lines = tts("status").stdout.splitlines()

    assert len(lines) <= 24
    assert max(len(line) for line in lines) <= int(columns)
    text = "\n".join(lines)
    for word in (
        "prod",
        "single",
        "web-1",
        "10 of 10 healthy",
        "tts-notification-worker",
        "databases",
        "26.60 USD",
        "Next:",
    ):
        assert word in text


def test_the_host_is_asked_once_with_the_pinned_key_from_private_files(well: Fakes, tts: Tts, tmp_path: Any) -> None:
    tts("status")

    calls = well.calls("ssh")
    assert len(calls) == 1
    argv = calls[0]["argv"]
    assert "StrictHostKeyChecking=yes" in argv
    assert "BatchMode=yes" in argv
    assert "root@203.0.113.2" in argv
    assert calls[0]["IdentityFile"]["mode"] == "0o600"
    assert calls[0]["IdentityFile"]["folder_mode"] == "0o700"
    assert re.fullmatch(r"203\.0\.113\.2 ssh-ed25519 \S+\n", calls[0]["UserKnownHostsFile"]["text"])
    assert list((tmp_path / "runtime").iterdir()) == [], "the key must be gone when the command ends"


def test_no_secret_is_an_argument_or_on_the_screen(well: Fakes, tts: Tts, operator_key: Any) -> None:
    done = tts("status")

    body = operator_key.private.splitlines()[2]
    assert body not in done.stdout + done.stderr
    assert all(body not in " ".join(call["argv"]) for call in well.calls())


def _broken(kind: str, **changes: Any) -> Any:
    def change(report: dict[str, Any]) -> None:
        for backup in report["backups"]:
            if backup["kind"] == kind:
                backup.update(changes)

    return change


def _unhealthy(report: dict[str, Any]) -> None:
    report["services"][3].update(healthy=False, state="unhealthy")


def _no_disk(report: dict[str, Any]) -> None:
    report["disk"]["free_percent"] = 7


def _never(report: dict[str, Any]) -> None:
    report["backups"] = []


def _found(report: dict[str, Any]) -> None:
    report["findings"] = ["repository aws: the newest media snapshot is 40 h old"]


def _unreadable(report: dict[str, Any]) -> None:
    report["errors"] = ["repository local: wrong password"]


_COPY = {"name": "aws", "snapshot": "x", "newest": "2026-11-23T02:00:41Z", "lag": 2, "error": "timeout"}


@pytest.mark.parametrize(
    ("change", "says", "next_step"),
    [
        (_unhealthy, "tts-ticket on web-1 is unhealthy", "tts ssh web-1 -- docker logs --tail 50 tts-ticket"),
        (_broken("databases", age_seconds=27 * 3600), "newest backup of databases is 27 h old", "tts backup databases"),
        (_broken("config", age_seconds=9 * 86400), "newest backup of config is 9 days old", "tts backup config"),
        (_broken("media", newest=None, age_seconds=None), "No backup of media yet", "tts backup media"),
        (_never, "No host is set up to back anything up", "pulumi up --stack prod"),
        (_found, "the newest media snapshot is 40 h old", "tts verify"),
        (_unreadable, "repository local: wrong password", "tts verify"),
        (_broken("databases", verified=False), "databases is not verified", "tts verify"),
        (
            _broken("databases", last_result="failed", last_error="no space"),
            "databases failed: no space",
            "tts backup databases",
        ),
        (
            _broken("media", offsite=[_COPY]),
            "aws lacks 2 of the media snapshots: timeout",
            "tts ssh web-1 -- tts-offsite",
        ),
        (
            _broken("media", offsite=[{**_COPY, "newest": None}]),
            "No copy of media at aws",
            "tts ssh web-1 -- tts-offsite",
        ),
        (_no_disk, "web-1 has 7 % of its disk free", "tts ssh web-1 -- df -h /"),
    ],
)
def test_what_needs_a_person_is_said_with_the_next_step_and_exit_code_3(
    well: Fakes, tts: Tts, report: dict[str, Any], change: Any, says: str, next_step: str
) -> None:
    change(report)
    well.answer("ssh", "tts-host-status", report)

    done = tts("status", "--json")

    assert done.code == 3
    assert says in done.json["findings"][0]["text"]
    assert done.json["next_step"] == next_step
    assert says in tts("status").stdout


def test_high_memory_is_advice_and_no_alarm(well: Fakes, tts: Tts, report: dict[str, Any]) -> None:
    well.answer("ssh", "tts-host-status", {**report, "memory_used_percent": 93.0})

    done = tts("status", "--json")

    assert done.code == 0
    assert done.json["findings"][0]["urgent"] is False


def test_next_steps_name_the_stack_when_it_was_named(well: Fakes, tts: Tts, report: dict[str, Any]) -> None:
    _unhealthy(report)
    well.answer("ssh", "tts-host-status", report)

    done = tts("status", "--json", "--stack", "prod")

    assert done.json["next_step"] == "tts ssh --stack prod web-1 -- docker logs --tail 50 tts-ticket"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"stderr": "ssh: connect to host 203.0.113.2 port 22: Connection refused", "code": 255}, "does not answer"),
        ({"stderr": "Host key verification failed.", "code": 255}, "shows another host key"),
        ({"stderr": "root@203.0.113.2: Permission denied (publickey).", "code": 255}, "refuses the stack's SSH key"),
        ({"stderr": "bash: tts-host-status: command not found", "code": 127}, "failed on web-1 with exit code 127"),
        ({"stdout": "{broken"}, "cannot read"),
        ({"stdout": '{"services": [{"name": 1}]}'}, "$.services[0]"),
    ],
)
def test_a_host_that_cannot_be_asked_is_reported_and_no_crash(
    well: Fakes, tts: Tts, answer: dict[str, Any], says: str
) -> None:
    well.answer("ssh", "tts-host-status", **answer)

    done = tts("status", "--json")

    assert done.code == 3
    assert says in done.json["hosts"][0]["error"]
    assert done.json["findings"][0]["text"] == done.json["hosts"][0]["error"]
    assert done.json["services"] == []
    assert "web-1" in tts("status").stdout


def test_a_site_that_answers_an_error_is_a_finding(well: Fakes, tts: Tts, site: Any) -> None:
    site.code = 502

    done = tts("status", "--json")

    assert done.code == 3
    assert done.json["web"]["code"] == 502
    assert "answers 502" in done.json["findings"][0]["text"]


def test_the_page_that_is_asked_for_is_the_one_that_knows_about_health(
    well: Fakes, tts: Tts, site: Any, outputs: dict[str, Any]
) -> None:
    outputs["application"]["healthPath"] = "/health/"
    well.answer("pulumi", "stack output", {**outputs, "url": site.url})

    tts("status")

    assert site.path_asked == "/health/"


def test_a_site_that_does_not_answer_is_a_finding(deployed: Fakes, tts: Tts) -> None:
    done = tts("status", "--json")

    assert done.code == 3
    assert "connection refused" in done.json["web"]["error"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (26 * 3600, "26 h"),
        (172800, "2 days"),
    ],
)
def test_an_age_is_said_in_the_unit_that_tells_most(seconds: float, text: str) -> None:
    assert age(seconds) == text
