"""Load balancers and certificates by the API: what is taken, what is refused, and what HAProxy is given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.pipeline.policies import HeadersPolicy
from pydo import Client

from tests.localcloud.api_support import TOKEN, Service, listening, serving, wait_for
from tests.localcloud.pairs import bring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = "/v2/load_balancers"
HTTP = {"entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 8080}
CHECK = {
    "protocol": "http", "port": 8080, "path": "/health", "check_interval_seconds": 3, "response_timeout_seconds": 4,
    "healthy_threshold": 2, "unhealthy_threshold": 3,
}  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "cloud") as running:
        yield running


def balancer(service: Service, **fields: Any) -> str:
    """Make a load balancer, wait until it is active, and give its id."""
    body = {"name": "lb", "region": "fra1", "tag": "web", "forwarding_rules": [HTTP], "health_check": CHECK}
    identity = service.call("POST", PATH, {**body, **fields})["load_balancer"]["id"]
    wait_for(lambda: shown(service, identity)["status"] == "active")
    return identity


def shown(service: Service, identity: str) -> dict[str, Any]:
    return service.call("GET", f"{PATH}/{identity}")["load_balancer"]


def configuration(service: Service, identity: str) -> str:
    return (service.config.directory / "balancers" / identity / "haproxy.cfg").read_text()


def servers(service: Service, identity: str) -> list[str]:
    return re.findall(r"^  server droplet-(\d+)_", configuration(service, identity), re.MULTILINE)


def certificate(service: Service, *names: str) -> dict[str, Any]:
    body = {"name": f"c-{len(names)}-{names[0]}", "type": "lets_encrypt", "dns_names": list(names)}
    made = service.call("POST", "/v2/certificates", body)["certificate"]
    assert (made["state"], made["type"]) == ("pending", "lets_encrypt")
    path = f"/v2/certificates/{made['id']}"
    wait_for(lambda: service.call("GET", path)["certificate"]["state"] != "pending")
    return service.call("GET", path)["certificate"]


def test_a_balancer_is_new_first_and_has_its_address_when_it_is_active(service: Service) -> None:
    service.engine.hold.clear()
    body = {"name": "lb", "region": "fra1", "tag": "web", "forwarding_rules": [HTTP]}
    made = service.call("POST", PATH, body)["load_balancer"]
    assert (made["status"], made["ip"]) == ("new", "")
    service.engine.hold.set()
    wait_for(lambda: shown(service, made["id"])["status"] == "active")
    assert shown(service, made["id"])["ip"] == "198.18.0.2"
    assert service.shown(service.droplet())["networks"]["v4"][0]["ip_address"] == "198.18.0.3", "no address twice"


def test_a_balancer_that_cannot_be_made_says_so_and_can_be_deleted(service: Service) -> None:
    service.engine.broken.add("create")
    body = {"name": "lb", "region": "fra1", "tag": "web", "forwarding_rules": [HTTP]}
    identity = service.call("POST", PATH, body)["load_balancer"]["id"]
    wait_for(lambda: shown(service, identity)["status"] == "errored")
    service.call("DELETE", f"{PATH}/{identity}")
    assert service.refused("GET", f"{PATH}/{identity}")[0] == 404


def test_the_droplets_behind_it_are_those_with_the_tag_in_its_network_at_any_moment(service: Service) -> None:
    identity = balancer(service)
    assert servers(service, identity) == []
    first, second = service.droplet(tags=["WEB"]), service.droplet(name="web-2")
    service.droplet(name="far", tags=["web"], region="ams3")
    assert servers(service, identity) == [str(first)], (
        "a new droplet with the tag joins by itself; letters' case is one"
    )
    resources = {"resources": [{"resource_id": str(second), "resource_type": "droplet"}]}
    service.call("POST", "/v2/tags/web/resources", resources)
    assert shown(service, identity)["droplet_ids"] == [first, second]
    assert servers(service, identity) == [str(first), str(second)]
    private = service.shown(first)["networks"]["v4"][1]["ip_address"]
    assert f"server droplet-{first}_{private} {private}:8080 " in configuration(service, identity)
    service.call("DELETE", "/v2/tags/web/resources", resources)
    service.call("DELETE", f"/v2/droplets/{first}")
    assert servers(service, identity) == [], "one that is untagged and one that goes away are left out at once"


def test_droplets_can_be_named_added_and_removed(service: Service) -> None:
    first, second = service.droplet(), service.droplet(name="web-2")
    identity = balancer(service, tag="", droplet_ids=[first])
    service.call("POST", f"{PATH}/{identity}/droplets", {"droplet_ids": [second]})
    assert shown(service, identity)["droplet_ids"] == [first, second]
    service.call("DELETE", f"{PATH}/{identity}/droplets", {"droplet_ids": [first]})
    assert servers(service, identity) == [str(second)]
    status, message = service.refused("POST", f"{PATH}/{identity}/droplets", {"droplet_ids": [7]})
    assert (status, message) == (422, "droplet_ids: there is no droplet 7")
    tagged = balancer(service, name="other")
    assert service.refused("POST", f"{PATH}/{tagged}/droplets", {"droplet_ids": [first]})[0] == 422


def test_rules_are_added_and_removed_and_one_stays(service: Service) -> None:
    identity = balancer(service)
    raw = {"entry_protocol": "tcp", "entry_port": 5432, "target_protocol": "tcp", "target_port": 5432}
    path = f"{PATH}/{identity}/forwarding_rules"
    service.call("POST", path, {"forwarding_rules": [raw]})
    assert "bind :5432\n  mode tcp" in configuration(service, identity)
    service.call("DELETE", path, {"forwarding_rules": [raw]})
    assert "5432" not in configuration(service, identity)
    assert service.refused("DELETE", path, {"forwarding_rules": [HTTP]})[0] == 422


def test_the_health_check_is_exactly_as_asked(service: Service) -> None:
    service.droplet(tags=["web"])
    identity = balancer(service)
    text = configuration(service, identity)
    assert "http-check send meth GET uri /health ver HTTP/1.1 hdr Host" in text
    assert " check port 8080 inter 3s fall 3 rise 2" in text
    assert "timeout check 4s" in text
    tcp = {key: value for key, value in CHECK.items() if key != "path"} | {"protocol": "tcp"}
    body = {"name": "lb", "tag": "web", "forwarding_rules": [HTTP], "health_check": tcp}
    assert service.call("PUT", f"{PATH}/{identity}", body)["load_balancer"]["health_check"] == tcp
    assert "httpchk" not in configuration(service, identity)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"redirect_http_to_https": True}, "http-request redirect scheme https code 307"),
        ({"enable_proxy_protocol": True}, " send-proxy check-send-proxy"),
        ({"enable_backend_keepalive": True}, "option http-keep-alive"),
        ({"http_idle_timeout_seconds": 90}, "timeout client 90s"),
        ({"size_unit": 2}, "maxconn 20000"),
        ({"algorithm": "least_connections"}, "balance leastconn"),
        (
            {"firewall": {"allow": ["cidr:10.0.0.0/8", "ip:198.18.0.9"], "deny": ["ip:10.1.1.1"]}},
            "reject if { src 10.1.1.1 }\n  tcp-request connection reject unless { src 10.0.0.0/8 198.18.0.9 }",
        ),
        (
            {"sticky_sessions": {"type": "cookies", "cookie_name": "DO-LB", "cookie_ttl_seconds": 300}},
            'cookie DO-LB insert indirect nocache httponly maxlife 300s attr "Max-Age=300"',
        ),
    ],
)
def test_each_setting_comes_back_and_reaches_haproxy(fields: dict[str, Any], words: str, service: Service) -> None:
    service.droplet(tags=["web"])
    identity = balancer(service, **fields)
    assert words in configuration(service, identity)
    for name, value in fields.items():
        assert shown(service, identity)[name] == value
    body = {"name": "lb", "tag": "web", "forwarding_rules": [HTTP], "health_check": CHECK}
    service.call("PUT", f"{PATH}/{identity}", body)
    assert words not in configuration(service, identity), "what a whole object leaves out is off again"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"forwarding_rules": [HTTP, HTTP]}, "unique entry ports"),
        ({"forwarding_rules": [{**HTTP, "entry_protocol": "https"}]}, "either certificate_id or tls_passthrough"),
        ({"forwarding_rules": [{**HTTP, "entry_protocol": "udp"}]}, "entry_protocol must be one of"),
        ({"forwarding_rules": [{**HTTP, "target_protocol": "tcp"}]}, "cannot forward http to tcp"),
        ({"forwarding_rules": [{**HTTP, "target_port": 0}]}, "target_port must be a number"),
        ({"health_check": {**CHECK, "unhealthy_threshold": 1}}, "unhealthy_threshold must be a number from 2 to 10"),
        ({"health_check": {**CHECK, "protocol": "tcp"}}, "path is not supported for tcp"),
        ({"health_check": {**CHECK, "path": "/x y"}}, "path must begin with /"),
        ({"sticky_sessions": {"type": "cookies"}}, "cookie_name"),
        ({"firewall": {"allow": ["10.0.0.0/8"]}}, "must be ip:ADDRESS or cidr:RANGE"),
        ({"droplet_ids": [1]}, "cannot be given together"),
        ({"tag": "", "droplet_ids": [1]}, "there is no droplet 1"),
        ({"type": "GLOBAL"}, "regional load balancers only"),
        ({"region": "mars1"}, "Region mars1 is not available"),
        ({"vpc_uuid": "none"}, "no such VPC"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(fields: dict[str, Any], message: str, service: Service) -> None:
    body = {"name": "lb", "region": "fra1", "tag": "web", "forwarding_rules": [HTTP], "health_check": CHECK}
    status, said = service.refused("POST", PATH, {**body, **fields})
    assert status == 422
    assert message in said
    assert service.call("GET", PATH)["load_balancers"] == []


def test_a_firewall_lets_the_balancer_in_by_its_id_and_nobody_else(service: Service) -> None:
    number = service.droplet(tags=["web"])
    identity = balancer(service)
    inbound = [{"protocol": "tcp", "ports": "8080", "sources": {"load_balancer_uids": [identity]}}]
    service.call("POST", "/v2/firewalls", {"name": "fw", "inbound_rules": inbound, "tags": ["web"]})
    rules = [line for line in service.file(number, "rules").splitlines() if "--dport 8080" in line]
    with service.cloud.store.transaction():
        record = service.cloud.one("load_balancers", identity)
    assert [re.findall(r"-s (\S+)/32", line)[0] for line in rules] == record["addresses"]
    assert len(record["addresses"]) == 2, "one on the public network and one in the VPC"


def test_a_network_with_a_balancer_stays_and_a_project_holds_it(service: Service) -> None:
    vpc = service.call("POST", "/v2/vpcs", {"name": "n", "region": "fra1", "ip_range": "10.10.0.0/24"})["vpc"]["id"]
    identity = balancer(service, vpc_uuid=vpc)
    urn = f"do:loadbalancer:{identity}"
    assert [one["urn"] for one in service.call("GET", f"/v2/vpcs/{vpc}/members")["members"]] == [urn]
    assert service.refused("DELETE", f"/v2/vpcs/{vpc}")[0] == 409
    default = shown(service, identity)["project_id"]
    held = service.call("GET", f"/v2/projects/{default}/resources")["resources"]
    assert urn in [one["urn"] for one in held]
    service.call("DELETE", f"{PATH}/{identity}")
    wait_for(lambda: service.call("GET", f"/v2/vpcs/{vpc}/members")["members"] == [])
    service.call("DELETE", f"/v2/vpcs/{vpc}")
    assert not [name for kind, name in service.engine.there if kind == "container"]
    assert not list((service.config.directory / "balancers").iterdir()), "keys of certificates are not left behind"


def test_certificates_are_issued_for_names_of_the_account_and_for_no_others(service: Service) -> None:
    service.call("POST", "/v2/domains", {"name": "shop.test"})
    good = certificate(service, "shop.test", "*.shop.test")
    assert (good["state"], good["dns_names"]) == ("verified", ["shop.test", "*.shop.test"])
    assert re.fullmatch(r"[0-9a-f]{40}", good["sha1_fingerprint"])
    assert certificate(service, "www.shop.test", "notshop.test")["state"] == "error"
    assert [one["id"] for one in service.call("GET", f"/v2/certificates?name={good['name']}")["certificates"]] == [
        good["id"]
    ]
    assert service.call("GET", "/v2/certificates?name=other")["certificates"] == []


def test_a_certificate_that_is_brought_is_checked(service: Service) -> None:
    pair, other = bring("a.test"), bring("b.test")
    body = {"name": "c", "type": "custom", "leaf_certificate": pair.leaf, "private_key": pair.key}
    foreign_key = service.refused("POST", "/v2/certificates", {**body, "private_key": other.key})
    assert foreign_key == (422, "the private key is not that of the certificate")
    _, gap = service.refused("POST", "/v2/certificates", {**body, "certificate_chain": other.issuer})
    assert gap.startswith("the chain has a gap")
    assert service.refused("POST", "/v2/certificates", {**body, "leaf_certificate": "MII"})[0] == 422
    made = service.call("POST", "/v2/certificates", {**body, "certificate_chain": pair.issuer})["certificate"]
    assert (made["state"], made["dns_names"]) == ("verified", ["a.test"])
    assert "KEY" not in str(service.call("GET", "/v2/certificates")), "the key is never told again"
    assert service.refused("POST", "/v2/certificates", {**body, "certificate_chain": pair.issuer})[0] == 422


def test_a_certificate_in_use_stays_until_the_balancer_has_another(service: Service) -> None:
    service.call("POST", "/v2/domains", {"name": "shop.test"})
    first, second = certificate(service, "shop.test"), certificate(service, "shop.test", "www.shop.test")
    rule = {"entry_protocol": "https", "entry_port": 443, "target_protocol": "http", "target_port": 80}
    identity = balancer(service, forwarding_rules=[{**rule, "certificate_id": first["id"]}])
    assert f"bind :443 ssl crt /var/lib/localcloud/certificates/{first['id']}.pem" in configuration(service, identity)
    said = service.refused("DELETE", f"/v2/certificates/{first['id']}")
    assert said == (403, "Make sure the certificate is not in use before deleting it"), "clients retry on these words"
    folder = service.config.directory / "balancers" / identity / "certificates"
    body = {"name": "lb", "tag": "web", "forwarding_rules": [{**rule, "certificate_id": second["id"]}]}
    service.call("PUT", f"{PATH}/{identity}", body)
    assert [path.stem for path in folder.iterdir()] == [second["id"]]
    service.call("DELETE", f"/v2/certificates/{first['id']}")
    failed = certificate(service, "foreign.example")
    body["forwarding_rules"] = [{**rule, "certificate_id": failed["id"]}]
    assert service.refused("PUT", f"{PATH}/{identity}", body)[0] == 422


def test_haproxy_is_told_of_a_change_and_of_nothing_else(service: Service) -> None:
    identity = balancer(service)
    before = len([one for one in service.engine.asked if one[-1] == "reload"])
    service.call("POST", "/v2/tags", {"name": "other"})
    assert len([one for one in service.engine.asked if one[-1] == "reload"]) == before
    service.droplet(tags=["web"])
    service.engine.broken.add("exec")
    service.call("PUT", f"{PATH}/{identity}", {"name": "lb", "tag": "web", "forwarding_rules": [HTTP]})
    service.engine.broken.clear()
    before = len([one for one in service.engine.asked if one[-1] == "reload"])
    service.call("POST", "/v2/tags", {"name": "third"})
    assert len([one for one in service.engine.asked if one[-1] == "reload"]) == before + 1, "what failed is tried again"


def test_pydo_works_unchanged(service: Service) -> None:
    policy = HeadersPolicy({"Authorization": f"Bearer {TOKEN}"})
    pair = bring("a.test")
    with listening(service) as url, Client(token=TOKEN, endpoint=url, authentication_policy=policy) as client:
        fields = {"name": "c", "type": "custom", "leaf_certificate": pair.leaf, "private_key": pair.key}
        certificate = client.certificates.create(body=fields)["certificate"]["id"]
        rule = {"entry_protocol": "https", "entry_port": 443, "target_protocol": "http", "target_port": 80}
        rules = [{**rule, "certificate_id": certificate}]
        body = {"name": "lb", "region": "fra1", "tag": "web", "forwarding_rules": rules}
        identity = client.load_balancers.create(body=body)["load_balancer"]["id"]
        wait_for(lambda: client.load_balancers.get(lb_id=identity)["load_balancer"]["status"] == "active")
        client.load_balancers.add_forwarding_rules(lb_id=identity, body={"forwarding_rules": [HTTP]})
        assert len(client.load_balancers.list()["load_balancers"][0]["forwarding_rules"]) == 2
        client.load_balancers.update(lb_id=identity, body={**body, "size_unit": 2})
        assert client.load_balancers.get(lb_id=identity)["load_balancer"]["size_unit"] == 2
        client.load_balancers.delete(lb_id=identity)
        client.certificates.delete(certificate_id=certificate)
        client.domains.create(body={"name": "shop.test"})
        made = client.domains.create_record(
            domain_name="shop.test", body={"type": "A", "name": "@", "data": "198.18.0.5"}
        )
        number = made["domain_record"]["id"]
        client.domains.update_record(domain_name="shop.test", domain_record_id=number, body={"data": "198.18.0.6"})
        assert (
            client.domains.list_records(domain_name="shop.test", type="A")["domain_records"][0]["data"] == "198.18.0.6"
        )
