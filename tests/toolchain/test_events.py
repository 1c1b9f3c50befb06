"""What the screen and the log say of a run of the engine."""

from __future__ import annotations

from typing import Any

from toolchain.engine_events import Progress, parse

WEB = "urn:pulumi:local::tts::tts:web_host:WebHost$digitalocean:index/droplet:Droplet::web-1"


def resource(kind: str, op: str, urn: str = WEB, type_: str = "digitalocean:index/droplet:Droplet") -> dict[str, Any]:
    provider = "" if type_.startswith(("tts:", "pulumi:")) else "urn:of:a:provider::id"
    return {kind: {"metadata": {"op": op, "urn": urn, "type": type_, "provider": provider}}}


def test_what_is_under_way_is_named_until_it_is_done() -> None:
    progress = Progress()
    assert progress.take(resource("resourcePreEvent", "create")) is None
    progress.take(resource("resourcePreEvent", "create", "urn:of:a:component", "tts:web_host:WebHost"))
    assert progress.note == "0 resources, Droplet web-1"
    assert progress.take(resource("resOutputsEvent", "create")) == "created        Droplet web-1"
    assert progress.note == "1 resources"


def test_the_summary_counts_what_changed_and_says_when_nothing_did() -> None:
    progress = Progress()
    progress.take({"summaryEvent": {"resourceChanges": {"create": 3, "update": 1, "same": 20}}})
    assert progress.summary == "3 created, 1 updated"
    progress.take({"summaryEvent": {"resourceChanges": {"same": 24, "read": 1}}})
    assert progress.summary == "nothing changed, 24 resources"


def test_an_error_is_kept_with_the_resource_it_belongs_to() -> None:
    progress = Progress()
    progress.take({"diagnosticEvent": {"severity": "error", "urn": WEB, "prefix": "error: ", "message": "no room\n"}})
    progress.take({"diagnosticEvent": {"severity": "warning", "message": "old"}})
    assert progress.take({"diagnosticEvent": {"severity": "info#err", "message": "12 %", "ephemeral": True}}) is None
    assert progress.errors == ["web-1: no room"]


def test_the_errors_of_the_program_itself_stand_alone() -> None:
    progress = Progress()
    stack = "urn:pulumi:local::tts::pulumi:pulumi:Stack::tts-local"
    progress.take({"diagnosticEvent": {"severity": "error", "urn": stack, "message": "tts:rung: 'x' is no rung"}})
    assert progress.errors == ["tts:rung: 'x' is no rung"]


def test_what_the_program_wrote_about_its_configuration_keeps_its_shape() -> None:
    progress = Progress()
    for line in ("error: 1 mistake in the configuration\n\n", "  rung = x\n\n", "    fix:  set it to 'single'\n\n"):
        progress.take({"diagnosticEvent": {"severity": "info#err", "message": line}})
    assert progress.stderr == ["1 mistake in the configuration", "  rung = x", "    fix:  set it to 'single'"]
    assert progress.errors == []


def test_a_line_that_is_no_event_is_passed_on() -> None:
    assert list(parse(['{"cancelEvent": {}}\n', "error: the stack is locked\n", "3\n"])) == [
        {"cancelEvent": {}},
        "error: the stack is locked",
        "3",
    ]
