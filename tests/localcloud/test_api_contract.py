"""What the real DigitalOcean provider calls, and what it must find in the answers.

A key of a `needs` column that is missing kills the provider, replaces or changes the resource on the next run, or hides
an output. `echo` lists what must come back exactly as it was asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.localcloud.api_support import Service, public_key, serving
from tests.localcloud.pairs import bring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTEGERS = {
    "id",
    "memory",
    "vcpus",
    "disk",
    "ttl",
    "priority",
    "port",
    "weight",
    "flags",
    "resource_id",
    "owner_id",
    "total",
}
TIMES = ("created_at", "updated_at", "started_at", "completed_at", "assigned_at")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
RULES = {
    "inbound_rules": [
        {"protocol": "icmp", "sources": {"addresses": ["0.0.0.0/0"]}},
        {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["198.51.100.0/24", "203.0.113.1"]}},
        {"protocol": "tcp", "ports": "8000-9000", "sources": {"tags": ["web"]}},
    ],
    "outbound_rules": [{"protocol": "tcp", "ports": "all", "destinations": {"addresses": ["0.0.0.0/0", "::/0"]}}],
}


FORWARD = {
    "entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 80, "certificate_id": "",
    "tls_passthrough": False,
}  # fmt: skip
CHECK = {
    "protocol": "http", "port": 80, "path": "/", "check_interval_seconds": 10, "response_timeout_seconds": 5,
    "healthy_threshold": 5, "unhealthy_threshold": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Contract:
    """One type of resource: how it is made, read and changed, and what its root object needs."""

    root: str
    path: str
    body: dict[str, Any]
    status: int
    key: str
    needs: tuple[str, ...]
    echo: tuple[str, ...]
    change: tuple[str, dict[str, Any]] | None = None
    secret: tuple[str, ...] = field(default=())


CONTRACTS = {
    "SshKey": Contract(
        "ssh_key", "/v2/account/keys", {"name": "k1", "public_key": public_key()}, 201, "id",
        ("id", "fingerprint", "public_key", "name"), ("name", "public_key"), ("PUT", {"name": "k2"}),
    ),
    "Tag": Contract(
        "tag", "/v2/tags", {"name": "env:prod"}, 201, "name",
        ("name", "resources", *(f"resources.{one}" for one in
         ("count", "droplets", "images", "volumes", "volume_snapshots", "databases"))), ("name",),
    ),
    "Vpc": Contract(
        "vpc", "/v2/vpcs", {"name": "n", "region": "fra1", "description": "d", "ip_range": "10.10.0.0/24"}, 201, "id",
        ("id", "urn", "created_at", "default"), ("name", "region", "description", "ip_range"),
        ("PUT", {"name": "n2", "description": "", "default": False}),
    ),
    "Firewall": Contract(
        "firewall", "/v2/firewalls", {"name": "fw", **RULES, "droplet_ids": None, "tags": ["web"]}, 202, "id",
        ("id", "status", "created_at", "pending_changes", "droplet_ids"), ("name", "tags"),
        ("PUT", {"name": "fw2", **RULES, "droplet_ids": [], "tags": ["web", "db"]}),
    ),
    "ReservedIp": Contract(
        "reserved_ip", "/v2/reserved_ips", {"region": "fra1"}, 202, "ip", ("ip", "region.slug", "droplet"), (),
    ),
    "Project": Contract(
        "project", "/v2/projects", {"name": "p", "description": "", "purpose": "Web Application", "environment": ""},
        201, "id", ("id", "owner_uuid", "owner_id", "created_at", "updated_at", "is_default"),
        ("name", "description", "purpose", "environment"),
        ("PATCH", {"name": "p2", "description": "x", "purpose": "y", "environment": "Staging", "is_default": False}),
    ),
    "Domain": Contract("domain", "/v2/domains", {"name": "shop.test"}, 201, "name", ("name", "ttl"), ("name",)),
    "SpacesKey": Contract(
        "key", "/v2/spaces/keys", {"name": "s", "grants": [{"bucket": "b", "permission": "readwrite"}]}, 201,
        "access_key", ("access_key", "created_at"), ("name", "grants"),
        ("PUT", {"name": "t", "grants": [{"bucket": "", "permission": "fullaccess"}]}), secret=("secret_key",),
    ),
}  # fmt: skip
PAIR = bring("a.test")
CONTRACTS |= {
    "Certificate": Contract(
        "certificate", "/v2/certificates",
        {"name": "c", "type": "custom", "private_key": PAIR.key, "leaf_certificate": PAIR.leaf}, 201, "id",
        ("id", "state", "not_after", "sha1_fingerprint", "dns_names", "created_at"), ("name", "type"),
    ),
    "LoadBalancer": Contract(
        "load_balancer", "/v2/load_balancers",
        {"name": "lb1", "algorithm": "round_robin", "region": "fra1", "forwarding_rules": [FORWARD],
         "health_check": CHECK, "tag": "web", "sticky_sessions": {"type": "none"}, "redirect_http_to_https": False},
        202, "id",
        ("id", "ip", "status", "region.slug", "vpc_uuid", "size_unit", "type", "project_id", "droplet_ids",
         "http_idle_timeout_seconds", "created_at"),
        ("name", "algorithm", "forwarding_rules", "health_check", "tag", "sticky_sessions", "redirect_http_to_https"),
        ("PUT", {"name": "lb2", "algorithm": "round_robin", "region": "fra1", "forwarding_rules": [FORWARD],
                 "size_unit": 1,
                 "type": "REGIONAL", "health_check": {**CHECK, "healthy_threshold": 2}, "tag": "web",
                 "sticky_sessions": {"type": "none"}, "redirect_http_to_https": True}),
    ),
}  # fmt: skip
DROPLET = {
    "name": "web-1", "region": "fra1", "size": "s-2vcpu-2gb", "image": "ubuntu-24-04-x64", "ssh_keys": None,
    "backups": True, "ipv6": False, "private_networking": False, "monitoring": True, "user_data": "#!/bin/sh\n",
    "tags": ["env:prod", "web"], "backup_policy": {"plan": "weekly", "weekday": "SUN", "hour": 4},
}  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "cloud") as running:
        yield running


def at(found: dict[str, Any], path: str) -> Any:
    for word in path.split("."):
        assert isinstance(found, dict), f"{path}: nothing to look into"
        assert word in found, f"{path} is missing"
        found = found[word]
    return found


def check_types(found: Any) -> None:
    """Fail on a fraction where the provider wants none, and on a time that is not RFC 3339 with a zone."""
    if isinstance(found, list):
        for one in found:
            check_types(one)
    if isinstance(found, dict):
        for name, value in found.items():
            assert not (name in INTEGERS and isinstance(value, float)), f"{name} is {value}, not an integer"
            assert not (name in TIMES and value is not None and not RFC3339.fullmatch(value)), f"{name} is {value!r}"
            check_types(value)


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_resource_lives_through_create_read_change_and_delete(name: str, service: Service) -> None:
    contract = CONTRACTS[name]
    created = service.answer("POST", contract.path, contract.body)
    assert created.status_code == contract.status
    made = created.get_json()[contract.root]
    for word in contract.secret:
        assert made.pop(word), f"{word} must be in the answer to the creation"
    path = f"{contract.path}/{made[contract.key]}"
    read = service.call("GET", path)[contract.root]
    moving = {"zone_file": None, "status": None, "ip": None}
    assert {**read, **moving} == {**made, **moving}, "the read after the creation decides about drift"
    for word in contract.needs:
        at(read, word)
    for word in contract.echo:
        assert read[word] == contract.body[word], f"{word} must come back as it was asked"
    check_types(read)
    listed = next(value for value in service.call("GET", contract.path).values() if isinstance(value, list))
    assert {**read, **moving} in [{**one, **moving} for one in listed]
    if contract.change:
        method, body = contract.change
        changed = service.call(method, path, body)[contract.root]
        assert {**changed, **moving} == {**service.call("GET", path)[contract.root], **moving}
        for word in set(contract.echo) & set(body):
            assert changed[word] == body[word]
    assert service.answer("DELETE", path).status_code == 204
    assert service.answer("GET", path).status_code == 404
    assert service.answer("DELETE", path).status_code == 404


def test_a_droplet_answers_with_all_that_the_provider_reads(service: Service) -> None:
    created = service.answer("POST", "/v2/droplets", DROPLET)
    assert created.status_code == 202
    first = created.get_json()["droplet"]
    assert (first["status"], first["locked"], first["networks"]["v4"]) == ("new", True, [])
    service.settle()
    droplet = service.shown(first["id"])
    assert (droplet["status"], droplet["locked"]) == ("active", False)
    for word in ("size.slug", "region.slug", "networks", "image.slug", "vpc_uuid", "size.price_monthly", "volume_ids"):
        at(droplet, word)
    for word in ("name", "tags"):
        assert droplet[word] == DROPLET[word]
    assert {"backups", "monitoring"} <= set(droplet["features"]), "a missing word plans an update or a replacement"
    assert "ipv6" not in droplet["features"], "ipv6 that was not asked for plans a replacement"
    assert [one["type"] for one in droplet["networks"]["v4"]] == ["public", "private"]
    check_types(droplet)
    [action] = service.call("GET", f"/v2/droplets/{first['id']}/actions?per_page=50")["actions"]
    assert (action["type"], action["status"]) == ("create", "completed"), "else a reserved IP waits for it in vain"
    assert service.answer("DELETE", f"/v2/droplets/{first['id']}").status_code == 204
    service.settle()
    assert service.answer("GET", f"/v2/droplets/{first['id']}").status_code == 404


def test_numeric_images_and_mixed_key_identifiers_are_taken(service: Service) -> None:
    key = service.call("POST", "/v2/account/keys", {"name": "k", "public_key": public_key()})["ssh_key"]
    other = service.call("POST", "/v2/account/keys", {"name": "l", "public_key": public_key()})["ssh_key"]
    image = service.call("GET", "/v2/images/debian-12-x64")["image"]
    number = service.droplet(image=image["id"], ssh_keys=[key["fingerprint"], other["id"]])
    assert isinstance(service.shown(number)["image"]["slug"], str)
    assert key["public_key"] in service.file(number, "seed/meta-data")
    assert other["public_key"] in service.file(number, "seed/meta-data")


def test_a_firewalls_rules_come_back_as_the_provider_compares_them(service: Service) -> None:
    made = service.call("POST", "/v2/firewalls", {"name": "fw", **RULES, "droplet_ids": None, "tags": []})["firewall"]
    ports = [rule["ports"] for rule in [*made["inbound_rules"], *made["outbound_rules"]]]
    assert ports == ["0", "22", "8000-9000", "0"], "`all` is shown as 0, for icmp too"
    assert all("sources" in rule for rule in made["inbound_rules"]), "a rule without its far ends kills the provider"
    assert all("destinations" in rule for rule in made["outbound_rules"])
    assert made["droplet_ids"] == []


def test_the_answer_about_a_firewall_that_is_gone_has_the_exact_words(service: Service) -> None:
    answer = service.answer("DELETE", "/v2/firewalls/2b5d4c0e-0000-4000-8000-000000000000")
    assert answer.get_json() == {"id": "not_found", "message": "Not Found"}, "a request id makes a destroy fail"
    assert "X-Request-Id" not in answer.headers


def test_tags_are_put_on_and_taken_off_with_a_body_and_made_twice_without_harm(service: Service) -> None:
    number = service.droplet(tags=["web"])
    body = {"resources": [{"resource_id": str(number), "resource_type": "droplet"}]}
    for _ in range(2):
        assert service.call("POST", "/v2/tags", {"name": "env:stage"})["tag"]["name"] == "env:stage"
    assert service.answer("POST", "/v2/tags/env:stage/resources", body).status_code == 204
    assert service.answer("DELETE", "/v2/tags/web/resources", body).status_code == 204
    assert service.shown(number)["tags"] == ["env:stage"]
    counters = service.call("GET", "/v2/tags/env:stage")["tag"]["resources"]
    assert (counters["count"], counters["droplets"]["count"]) == (1, 1)
    assert service.call("GET", "/v2/droplets?tag_name=ENV:stage")["meta"]["total"] == 1, "letters' case does not count"
    assert service.refused("POST", "/v2/tags/nothing/resources", body)[0] == 404


def test_a_reserved_address_is_assigned_moved_and_unassigned(service: Service) -> None:
    first, second = service.droplet(), service.droplet(name="web-2")
    address = service.call("POST", "/v2/reserved_ips", {"region": "fra1"})["reserved_ip"]["ip"]
    path = f"/v2/reserved_ips/{address}"
    for number in (first, second):
        action = service.call("POST", f"{path}/actions", {"type": "assign", "droplet_id": number})["action"]
        service.settle()
        assert service.call("GET", f"{path}/actions/{action['id']}")["action"]["status"] == "completed"
        holder = service.call("GET", path)["reserved_ip"]["droplet"]
        assert (holder["id"], holder["region"]["slug"]) == (number, "fra1")
        assert f"RESERVED='{address}'" in service.file(number, "network.env")
    assert "RESERVED=''" in service.file(first, "network.env"), "an address is at one droplet only"
    service.call("POST", f"{path}/actions", {"type": "unassign"})
    assert service.call("GET", path)["reserved_ip"]["droplet"] is None
    assert service.refused("POST", f"{path}/actions", {"type": "unassign"})[0] == 422, "the provider ignores a 422 here"


def test_a_droplet_has_one_reserved_address_at_most(service: Service) -> None:
    number = service.droplet()
    first = service.call("POST", "/v2/reserved_ips", {"droplet_id": number})["reserved_ip"]["ip"]
    second = service.call("POST", "/v2/reserved_ips", {"region": "fra1"})["reserved_ip"]["ip"]
    body = {"type": "assign", "droplet_id": number}
    status, message = service.refused("POST", f"/v2/reserved_ips/{second}/actions", body)
    assert (status, "has a reserved IP already" in message) == (422, True)
    assert service.refused("POST", "/v2/reserved_ips", {"droplet_id": number})[0] == 422
    service.call("POST", f"/v2/reserved_ips/{first}/actions", body)  # its own once more is no second one
    service.call("POST", f"/v2/reserved_ips/{first}/actions", {"type": "unassign"})
    service.call("POST", f"/v2/reserved_ips/{second}/actions", body)
    assert service.call("GET", f"/v2/reserved_ips/{second}")["reserved_ip"]["droplet"]["id"] == number


def test_a_droplet_that_goes_lets_go_of_address_firewall_and_network(service: Service) -> None:
    vpc = service.call("POST", "/v2/vpcs", {"name": "n", "region": "fra1", "ip_range": "10.10.0.0/24"})["vpc"]["id"]
    number = service.droplet(vpc_uuid=vpc)
    address = service.call("POST", "/v2/reserved_ips", {"droplet_id": number})["reserved_ip"]["ip"]
    body = {"name": "fw", **RULES, "droplet_ids": [number]}
    firewall = service.call("POST", "/v2/firewalls", body)["firewall"]["id"]
    assert service.refused("DELETE", f"/v2/vpcs/{vpc}") == (409, "Can not delete VPC with members")
    assert service.call("GET", f"/v2/vpcs/{vpc}/members")["members"][0]["urn"] == f"do:droplet:{number}"
    service.call("DELETE", f"/v2/droplets/{number}")
    service.settle()
    assert service.call("GET", f"/v2/reserved_ips/{address}")["reserved_ip"]["droplet"] is None
    assert service.call("GET", f"/v2/firewalls/{firewall}")["firewall"]["droplet_ids"] == []
    service.call("DELETE", f"/v2/vpcs/{vpc}")
    assert not [name for kind, name in service.engine.there if kind == "container" or vpc in name]


def test_a_project_holds_what_it_is_given_and_nothing_else(service: Service) -> None:
    number, other = service.droplet(), service.droplet(name="web-2")
    service.objects.names.append("media")
    body = {"name": "p", "description": "", "purpose": "x", "environment": "Production"}
    project = service.call("POST", "/v2/projects", body)["project"]["id"]
    urns = [f"do:droplet:{number}", "do:space:media"]
    given = service.call("POST", f"/v2/projects/{project}/resources", {"resources": [*urns, "do:droplet:1"]})[
        "resources"
    ]
    assert [one["status"] for one in given] == ["assigned", "assigned", "not_found"]
    listed = service.call("GET", f"/v2/projects/{project}/resources?page=1&per_page=200")["resources"]
    assert [one["urn"] for one in listed] == urns
    default = service.call("GET", "/v2/projects/default")["project"]
    assert default["is_default"]
    held = service.call("GET", f"/v2/projects/{default['id']}/resources")["resources"]
    assert f"do:droplet:{other}" in [one["urn"] for one in held]
    status, message = service.refused("DELETE", f"/v2/projects/{project}")
    assert status == 412
    assert "cannot delete a project with resources" in message, "the provider retries on these words"
    service.call("POST", f"/v2/projects/{default['id']}/resources", {"resources": urns})
    service.call("DELETE", f"/v2/projects/{project}")


@pytest.mark.parametrize(
    ("kind", "data", "shown"),
    [("A", "192.0.2.5", "192.0.2.5"), ("CNAME", "host.test.", "host.test"), ("MX", "mail.test.", "mail.test"),
     ("CNAME", "@", "@"), ("TXT", "v=spf1 -all", "v=spf1 -all")],
)  # fmt: skip
def test_records_lose_the_final_dot_of_host_names_only(kind: str, data: str, shown: str, service: Service) -> None:
    service.call("POST", "/v2/domains", {"name": "shop.test"})
    zeros = {"priority": 0, "port": 0, "weight": 0, "flags": 0}
    body = {"type": kind, "name": "www", "data": data, "ttl": 300, **zeros}
    made = service.call("POST", "/v2/domains/shop.test/records", body)["domain_record"]
    path = f"/v2/domains/shop.test/records/{made['id']}"
    assert (made["data"], made["name"], made["ttl"], made["type"]) == (shown, "www", 300, kind)
    changed = service.call("PUT", path, {"name": "www.shop.test", "data": data, "ttl": 60, **zeros})["domain_record"]
    assert (changed["name"], changed["ttl"], changed["type"]) == ("www", 60, kind)
    check_types(changed)
    assert service.call("GET", path)["domain_record"] == changed
    service.call("DELETE", path)
    assert service.refused("GET", path)[0] == 404


def test_invokes_find_their_catalogues(service: Service) -> None:
    sizes = {one["slug"]: one for one in service.call("GET", "/v2/sizes?page=1&per_page=200")["sizes"]}
    assert sizes["s-2vcpu-2gb"]["price_monthly"] == 18
    assert isinstance(sizes["s-4vcpu-8gb"]["memory"], int)
    assert "fra1" in [one["slug"] for one in service.call("GET", "/v2/regions?page=1&per_page=200")["regions"]]
    assert service.call("GET", "/v2/account")["account"]["status"] == "active"
    assert service.call("GET", "/v2/images?page=1&per_page=200")["meta"]["total"] == 3
    assert service.refused("GET", "/v2/images/plan9")[0] == 404
