"""Which packets a droplet's filter lets through, read out of the text that is given to iptables-restore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.localcloud.api_support import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERYWHERE = {"addresses": ["0.0.0.0/0", "::/0"]}
OUT = [{"protocol": "tcp", "ports": "443", "destinations": EVERYWHERE}]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "cloud") as running:
        yield running


def firewall(service: Service, name: str = "fw", **fields: Any) -> str:
    return service.call("POST", "/v2/firewalls", {"name": name, "outbound_rules": OUT, **fields})["firewall"]["id"]


def web(ports: str = "80", **sources: Any) -> list[dict[str, Any]]:
    return [{"protocol": "tcp", "ports": ports, "sources": sources or EVERYWHERE}]


def inbound(service: Service, number: int) -> list[str]:
    lines = service.file(number, "rules").splitlines()
    return [line.removeprefix("-A LC-IN ") for line in lines if line.startswith("-A LC-IN")]


def test_a_droplet_without_a_firewall_takes_all_in(service: Service) -> None:
    assert inbound(service, service.droplet()) == []


def test_a_droplet_with_a_firewall_takes_in_what_it_allows_and_nothing_else(service: Service) -> None:
    number = service.droplet(tags=["web"])
    firewall(service, tags=["web"], inbound_rules=web("8000-9000", addresses=["198.51.100.7"]))
    assert inbound(service, number) == [
        "! -i eth+ -j RETURN",
        "-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
        "-s 198.51.100.7/32 -p tcp --dport 8000:9000 -j RETURN",
        "-j DROP",
    ]


def test_a_new_member_has_the_rules_before_it_is_started(service: Service) -> None:
    firewall(service, tags=["web"], inbound_rules=web())
    number = service.droplet(tags=["WEB"])
    assert "-s 0.0.0.0/0 -p tcp --dport 80 -j RETURN" in inbound(service, number)
    verbs = [one[0] for one in service.engine.asked]
    assert "exec" not in verbs, "the filter was there at the boot, nothing had to be changed later"


def test_tagging_and_untagging_a_running_droplet_changes_its_filter_at_once(service: Service) -> None:
    number = service.droplet()
    firewall(service, tags=["web"], inbound_rules=web())
    body = {"resources": [{"resource_id": str(number), "resource_type": "droplet"}]}
    service.call("POST", "/v2/tags/web/resources", body)
    assert inbound(service, number)[-1] == "-j DROP"
    service.call("DELETE", "/v2/tags/web/resources", body)
    assert inbound(service, number) == []
    assert [one[0] for one in service.engine.asked].count("exec") == 2


def test_firewalls_add_up(service: Service) -> None:
    number = service.droplet(tags=["web"])
    firewall(service, "one", tags=["web"], inbound_rules=web("80"))
    other = firewall(service, "two", droplet_ids=[number], inbound_rules=web("443"))
    assert len(inbound(service, number)) == 5
    service.call("DELETE", f"/v2/firewalls/{other}")
    assert "443" not in "".join(inbound(service, number))


def test_rules_that_name_tags_follow_the_droplets_that_bear_them(service: Service) -> None:
    database = service.droplet(name="db", tags=["db"])
    firewall(service, tags=["db"], inbound_rules=web("5432", tags=["web"]))
    assert len(inbound(service, database)) == 3, "nobody bears the tag yet"
    number = service.droplet(name="web-1", tags=["web"])
    networks = service.shown(number)["networks"]["v4"]
    for address in (one["ip_address"] for one in networks):
        assert f"-s {address}/32 -p tcp --dport 5432 -j RETURN" in inbound(service, database)
    service.call("DELETE", f"/v2/droplets/{number}")
    service.settle()
    assert len(inbound(service, database)) == 3, "an address may be given out again"


def test_a_droplet_that_cannot_follow_is_pending_until_it_does(service: Service) -> None:
    number = service.droplet()
    service.engine.broken.add("exec")
    identity = firewall(service, droplet_ids=[number], inbound_rules=web())
    shown = service.call("GET", f"/v2/firewalls/{identity}")["firewall"]
    assert (shown["status"], shown["pending_changes"][0]["droplet_id"]) == ("waiting", number)
    service.engine.broken.clear()
    service.call("POST", "/v2/tags", {"name": "anything"})
    shown = service.call("GET", f"/v2/firewalls/{identity}")["firewall"]
    assert (shown["status"], shown["pending_changes"]) == ("succeeded", [])


@pytest.mark.parametrize(
    "rule",
    [
        {"protocol": "gre", "ports": "1", "sources": EVERYWHERE},
        {"protocol": "tcp", "ports": "9-1", "sources": EVERYWHERE},
        {"protocol": "tcp", "ports": "99999", "sources": EVERYWHERE},
        {"protocol": "tcp", "ports": "80; reboot", "sources": EVERYWHERE},
        {"protocol": "tcp", "sources": EVERYWHERE},
        {"protocol": "tcp", "ports": "80", "sources": {}},
        {"protocol": "tcp", "ports": "80", "sources": {"addresses": ["here"]}},
    ],
)
def test_a_rule_that_cannot_be_enforced_is_refused(rule: dict[str, Any], service: Service) -> None:
    body = {"name": "fw", "inbound_rules": [rule], "outbound_rules": OUT}
    assert service.refused("POST", "/v2/firewalls", body)[0] == 422


def test_a_firewall_is_refused_without_rules_and_with_too_many_or_unknown_droplets(service: Service) -> None:
    assert service.refused("POST", "/v2/firewalls", {"name": "fw"})[0] == 422
    body = {"name": "fw", "outbound_rules": OUT}
    assert "77" in service.refused("POST", "/v2/firewalls", {**body, "droplet_ids": [77]})[1]
    assert service.refused("POST", "/v2/firewalls", {**body, "tags": [f"t{at}" for at in range(6)]})[0] == 422
