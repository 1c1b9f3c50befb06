"""`tts status` where the state is outside and several hosts stand behind a balancer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.ops.conftest import Fakes, Tts

DATABASE = {"id": "c1", "name": "db-1", "size": "db-s-1vcpu-2gb", "nodes": 3, "host": "h", "state": "in use"}


@pytest.fixture
def balanced(outputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a balanced stack."""
    first = {**outputs["hosts"][0], "role": "web"}
    second = {**first, "name": "web-2", "address": "203.0.113.3", "dropletId": "2", "backupOwner": False}
    broker = {**second, "name": "broker", "role": "broker", "address": "203.0.113.4", "dropletId": "3"}
    return {
        **outputs,
        "rung": "balanced",
        "entry": {"kind": "balancer", "address": "203.0.113.250", "reservedIp": "203.0.113.129", "balancer": "lb1"},
        "hosts": [first, second, broker],
        "database": DATABASE,
        "media": {"bucket": "tts-prod-media-x", "region": "fra1"},
    }


def test_hosts_services_database_media_and_balancer_are_on_the_screen(
    deployed: Fakes, balanced: dict[str, Any], tts: Tts
) -> None:
    deployed.answer("pulumi", "stack output", balanced)
    text = tts("status", "--stack", "prod").stdout
    for word in ("web-1", "web-2", "broker", "web-2/tts-nginx", "203.0.113.250", "db-1", "3 x db-s-1vcpu-2gb"):
        assert word in text
    assert "tts-prod-media-x in fra1" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_the_document_names_them_too(deployed: Fakes, balanced: dict[str, Any], tts: Tts) -> None:
    deployed.answer("pulumi", "stack output", balanced)
    found = tts("status", "--stack", "prod", "--json").json
    assert [host["role"] for host in found["hosts"]] == ["web", "web", "broker"]
    assert {service["host"] for service in found["services"]} == {"web-1", "web-2", "broker"}
    assert found["database"]["name"] == "db-1"
    assert found["entry"]["balancer"] == "lb1"


def test_what_is_held_is_advice_with_the_command_that_shows_it(
    deployed: Fakes, balanced: dict[str, Any], tts: Tts
) -> None:
    deployed.answer("pulumi", "stack output", {**balanced, "database": {**DATABASE, "state": "held"}})
    findings = tts("status", "--stack", "prod", "--json").json["findings"]
    (held,) = [each for each in findings if "held" in each["text"]]
    assert held["urgent"] is False
    assert held["next_step"] == "tts release-old --stack prod --dry-run"


def test_a_brokers_load_says_nothing_about_the_rung(
    deployed: Fakes, balanced: dict[str, Any], report: dict[str, Any], tts: Tts
) -> None:
    busy = {"hours": 168, "cpu_percent": 95, "memory_percent": 95, "disk_free_percent": 70}
    deployed.answer("pulumi", "stack output", balanced)
    deployed.answer("ssh", "tts-host-status", {**report, "week": busy})
    signs = tts("status", "--stack", "prod", "--json").json["climb"]["signs"]
    assert {sign["host"] for sign in signs} == {"web-1", "web-2"}


def test_every_host_has_a_shell(deployed: Fakes, balanced: dict[str, Any], tts: Tts) -> None:
    deployed.answer("pulumi", "stack output", balanced)
    deployed.answer("ssh", "hostname", "it")
    for name in ("web-1", "web-2", "broker"):
        assert tts("ssh", name, "--stack", "prod", "--", "hostname").code == 0
