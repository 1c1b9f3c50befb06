"""The codecs of load balancers, certificates and records against the local cloud's own API."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.plugins import digitalocean
from tests.localcloud.api_support import TOKEN, Service, listening, serving
from tests.localcloud.pairs import bring
from tests.localcloud.plugin_support import SIGNATURE, InitFailureError, Plugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BALANCER, CERTIFICATE = "index/loadBalancer:LoadBalancer", "index/certificate:Certificate"
RECORD, DOMAIN = "index/dnsRecord:DnsRecord", "index/domain:Domain"
HTTP = {"entryProtocol": "http", "entryPort": 80, "targetProtocol": "http", "targetPort": 80}
HTTPS = {**HTTP, "entryProtocol": "https", "entryPort": 443}
CHECK = {"protocol": "http", "port": 80, "path": "/health", "unhealthyThreshold": 2}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[tuple[Service, Plugin]]:
    with (
        serving(tmp_path / "cloud") as service,
        listening(service) as url,
        contextlib.closing(Plugin(digitalocean.provider(""), "digitalocean")) as plugin,
    ):
        plugin.configure(apiEndpoint=url, token=TOKEN)
        service.call("POST", "/v2/domains", {"name": "shop.test"})
        yield service, plugin


@pytest.fixture
def plugin(cloud: tuple[Service, Plugin]) -> Plugin:
    return cloud[1]


@pytest.fixture
def service(cloud: tuple[Service, Plugin]) -> Service:
    return cloud[0]


def make(plugin: Plugin, token: str, **news: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Check and create; gives id, state and the checked inputs."""
    inputs = plugin.inputs(token, news)
    identity, state = plugin.create(token, inputs)
    return identity, state, inputs


def lets_encrypt(plugin: Plugin, *names: str, **more: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return make(plugin, CERTIFICATE, type="lets_encrypt", domains=list(names), **more)


def unchanged(plugin: Plugin, token: str, identity: str, state: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Fail unless a refresh finds what the program says."""
    found, _, refreshed = plugin.read(token, identity, state, inputs)
    assert found == identity
    assert not plugin.diff(token, refreshed, inputs).diffs


def test_a_certificates_id_is_its_name_and_its_key_is_a_secret_that_is_never_read(plugin: Plugin) -> None:
    pair = bring("a.test")
    identity, state, inputs = make(plugin, CERTIFICATE, name="c1", leafCertificate=pair.leaf, privateKey=pair.key)
    assert identity == "c1"
    assert state["type"] == "custom"
    assert state["privateKey"][SIGNATURE]
    assert (state["state"], state["domains"]) == ("verified", ["a.test"])
    unchanged(plugin, CERTIFICATE, identity, state, inputs)
    plugin.delete(CERTIFICATE, identity, state)
    assert plugin.read(CERTIFICATE, identity, state, inputs)[0] == "", "gone is an empty list, not an error"


def test_a_certificate_for_a_foreign_name_stays_in_the_state_as_not_ready(plugin: Plugin) -> None:
    with pytest.raises(InitFailureError, match="unexpected state 'error', wanted target 'verified'") as caught:
        lets_encrypt(plugin, "shop.test", "foreign.example", name="c")
    assert caught.value.resource_id == "c"


def test_a_new_certificate_is_made_before_the_balancer_lets_go_of_the_old_one(plugin: Plugin, service: Service) -> None:
    old_id, old, old_inputs = lets_encrypt(plugin, "shop.test")
    rule = {**HTTPS, "certificateName": old_id}
    balancer, state, inputs = make(plugin, BALANCER, region="fra1", dropletTag="web", forwardingRules=[rule])
    assert state["forwardingRules"][0]["certificateId"] == old["uuid"]
    changed = plugin.inputs(CERTIFICATE, {"type": "lets_encrypt", "domains": ["shop.test", "www.shop.test"]})
    assert not plugin.diff(CERTIFICATE, old_inputs, changed).deleteBeforeReplace, (
        "a generated name leaves room for both"
    )
    new_id, new, _ = lets_encrypt(plugin, "shop.test", "www.shop.test", name="second")
    removal = threading.Thread(target=plugin.delete, args=(CERTIFICATE, old_id, old))
    removal.start()
    news = {**inputs, "forwardingRules": [{**HTTPS, "certificateName": new_id}]}
    changed_state = plugin.update(BALANCER, balancer, state, inputs, news)
    removal.join(10)
    assert not removal.is_alive(), "a certificate in use is tried again until it is free"
    assert changed_state["forwardingRules"][0]["certificateId"] == new["uuid"]
    assert [one["name"] for one in service.call("GET", "/v2/certificates")["certificates"]] == ["second"]


def test_a_balancer_is_awaited_and_shows_no_change_after_a_refresh(plugin: Plugin, service: Service) -> None:
    certificate, _, _ = lets_encrypt(plugin, "shop.test")
    number = service.droplet(tags=["web"])
    news = {
        "region": "fra1", "dropletTag": "web", "forwardingRules": [HTTP, {**HTTPS, "certificateName": certificate}],
        "healthcheck": CHECK, "redirectHttpToHttps": True, "sizeUnit": 1,
        "firewall": {"allows": ["ip:198.18.0.9"], "denies": ["cidr:10.0.0.0/8"]},
        "stickySessions": {"type": "cookies", "cookieName": "DO", "cookieTtlSeconds": 300},
    }  # fmt: skip
    identity, state, inputs = make(plugin, BALANCER, **news)
    assert (state["status"], state["ip"]) == ("active", "198.18.0.3")
    assert state["loadBalancerUrn"] == f"do:loadbalancer:{identity}"
    assert state["dropletIds"] == [number]
    assert state["healthcheck"]["checkIntervalSeconds"] == 10
    unchanged(plugin, BALANCER, identity, state, inputs)
    turned = {**inputs, "forwardingRules": inputs["forwardingRules"][::-1]}
    assert not plugin.diff(BALANCER, inputs, turned).diffs, "rules are a set"
    plugin.delete(BALANCER, identity, state)
    plugin.delete(BALANCER, identity, state)
    assert plugin.read(BALANCER, identity, state, inputs)[0] == ""


def test_a_balancer_follows_its_program_in_place(plugin: Plugin, service: Service) -> None:
    identity, state, inputs = make(plugin, BALANCER, region="fra1", dropletTag="web", forwardingRules=[HTTP])
    number = service.droplet()
    news = {key: value for key, value in inputs.items() if key != "dropletTag"}
    news |= {"dropletIds": [number], "enableProxyProtocol": True}
    answer = plugin.diff(BALANCER, inputs, news)
    assert (sorted(answer.diffs), list(answer.replaces)) == (["dropletIds", "dropletTag", "enableProxyProtocol"], [])
    state = plugin.update(BALANCER, identity, state, inputs, news)
    shown = service.call("GET", f"/v2/load_balancers/{identity}")["load_balancer"]
    assert (shown["tag"], shown["droplet_ids"], shown["enable_proxy_protocol"]) == ("", [number], True)
    unchanged(plugin, BALANCER, identity, state, news)
    service.call("DELETE", f"/v2/load_balancers/{identity}")
    assert plugin.diff(BALANCER, news, {**news, "vpcUuid": "other"}).replaces == ["vpcUuid"]


@pytest.mark.parametrize(
    ("news", "path"),
    [
        ({"dropletIds": [1], "dropletTag": "web"}, "dropletIds"),
        ({"size": "lb-small", "sizeUnit": 1}, "size"),
        ({"healthcheck": {"protocol": "http", "port": 80}}, "healthcheck.path"),
        ({"healthcheck": {"protocol": "tcp", "port": 80, "path": "/"}}, "healthcheck.path"),
        ({"stickySessions": {"type": "cookies", "cookieName": "DO"}}, "stickySessions.cookieTtlSeconds"),
    ],
)
def test_a_balancer_that_cannot_be_is_refused_in_preview(news: dict[str, Any], path: str, plugin: Plugin) -> None:
    _, failures = plugin.check(BALANCER, {"region": "fra1", "forwardingRules": [HTTP], **news})
    assert list(failures) == [path]


@pytest.mark.parametrize(("news", "path"), [({}, "leafCertificate"), ({"type": "lets_encrypt"}, "domains")])
def test_a_certificate_without_its_material_is_refused_in_preview(
    news: dict[str, Any], path: str, plugin: Plugin
) -> None:
    assert path in plugin.check(CERTIFICATE, news)[1]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "A", "name": "www", "value": "198.18.0.5", "ttl": 60},
        {"type": "A", "name": "@", "value": "198.18.0.5"},
        {"type": "CNAME", "name": "alias", "value": "shop.test.", "ttl": 60},
        {"type": "MX", "name": "@", "value": "mail.shop.test.", "priority": 10},
        {"type": "TXT", "name": "@", "value": "v=spf1 -all"},
        {"type": "CAA", "name": "@", "value": "letsencrypt.org.", "flags": 0, "tag": "issue"},
        {"type": "SRV", "name": "_sip._tcp", "value": "sip.shop.test.", "priority": 1, "weight": 2, "port": 5060},
    ],
    ids=lambda fields: f"{fields['type']} {fields['name']}",
)
def test_a_record_shows_no_change_after_a_refresh_and_can_be_imported(fields: dict[str, Any], plugin: Plugin) -> None:
    identity, state, inputs = make(plugin, RECORD, domain="shop.test", **fields)
    assert state["fqdn"] == ("shop.test" if fields["name"] == "@" else f"{fields['name']}.shop.test")
    unchanged(plugin, RECORD, identity, state, inputs)
    imported, found, asked = plugin.read(RECORD, f"shop.test,{identity}", {}, {})
    assert imported == identity, "from then on the record is known by its own id"
    assert {key: found[key] for key in ("domain", "type", "name", "value")} == {
        "domain": "shop.test", **{key: fields[key] for key in ("type", "name", "value")},
    }  # fmt: skip
    assert not plugin.diff(RECORD, asked, {**inputs, "ttl": found["ttl"]}).diffs
    assert plugin.read(RECORD, f"other.test,{identity}", {}, {})[0] == "", "a record is of one domain"


def test_a_record_is_changed_in_place_and_a_second_delete_is_no_error(plugin: Plugin, service: Service) -> None:
    identity, state, inputs = make(plugin, RECORD, domain="shop.test", type="A", name="www", value="198.18.0.5")
    news = {**inputs, "value": "198.18.0.6", "ttl": 30}
    assert not plugin.diff(RECORD, inputs, news).replaces
    state = plugin.update(RECORD, identity, state, inputs, news)
    assert (state["value"], state["ttl"]) == ("198.18.0.6", 30)
    path = f"/v2/domains/shop.test/records/{identity}"
    assert service.call("GET", path)["domain_record"]["data"] == "198.18.0.6"
    for _ in range(2):
        plugin.delete(RECORD, identity, state)
    assert service.refused("GET", path)[0] == 404
    assert list(plugin.diff(RECORD, news, {**news, "type": "AAAA"}).replaces) == ["type"]
    domain, _, _ = make(plugin, DOMAIN, name="other.test")
    assert domain == "other.test"
