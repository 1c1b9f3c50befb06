"""The rung `balanced` as an engine sees it: further hosts, the balancer, and who may reach what, in which order."""

import asyncio
import contextvars
import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pulumi
import pytest

from guards.errors import RefusedError
from ops.errors import OpsError
from settings import SettingsError
from tests.graph import guards
from tests.graph.climbs import ZONE, before, changes, on, one, replacements
from tests.graph.engine import Graph
from tests.unit.config import StackConfig

GOLDEN = Path(__file__).with_name("balanced.urns")


@pytest.fixture
def lower(climb: dict[str, Graph]) -> Graph:
    return climb["externalised"]


def test_the_urns_are_those_of_the_golden_list(balanced: Graph) -> None:
    found = "\n".join(balanced.urns()) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_no_guard_finds_anything(balanced: Graph) -> None:
    assert [finding for guard in guards.GUARDS for finding in guard(balanced)] == []


def test_nothing_of_the_lower_rung_is_lost_or_replaced(lower: Graph, balanced: Graph) -> None:
    assert set(lower.urns()) < set(balanced.urns())
    assert replacements(lower, balanced) == []


def test_the_first_host_is_left_alone_while_the_world_still_comes_to_it(lower: Graph, balanced: Graph) -> None:
    """No variable changes, so no service starts anew: only the order to be drained in later changes is new."""
    assert changes(lower, balanced) == {
        "web-1-app-install": {"stdin"},
        "web-ports": {"inboundRules"},
        "entry": {"value"},
        "media": {"corsRules"},
        "project": {"resources"},
    }
    old, new = (json.loads(one(graph, "web-1-app-install").inputs["stdin"]) for graph in (lower, balanced))
    assert {key for key in new if new[key] != old.get(key)} == {"drain"}


def test_further_hosts_are_alike_but_hold_nothing(balanced: Graph) -> None:
    first, second = one(balanced, "web-1", "Droplet"), one(balanced, "web-2", "Droplet")
    same = set(first.inputs) - {"backups", "backupPolicy"}
    assert {key: second.inputs.get(key) for key in same} == {key: first.inputs[key] for key in same}
    assert (first.options["protect"], second.options["protect"]) == (True, False)
    assert second.inputs["backups"] is False
    env = json.loads(one(balanced, "web-2-app-install").inputs["stdin"])["env"]
    assert env["RUN_MIGRATIONS"] == "0"
    mine = json.loads(one(balanced, "web-1-app-install").inputs["stdin"])["env"]
    assert {key for key in mine if mine[key] != env[key]} == {"RUN_MIGRATIONS"}


def test_hosts_change_one_after_the_other_each_out_of_the_balancer(config: StackConfig) -> None:
    graph = on(config, "balanced", before("balanced"), webHosts=3)
    installs = [one(graph, f"web-{number}-app-install") for number in (1, 2, 3)]
    assert installs[0].urn in installs[1].dependencies
    assert installs[1].urn in installs[2].dependencies
    assert all(json.loads(each.inputs["stdin"])["drain"] == 20 for each in installs)


def test_the_balancer_knows_its_hosts_by_tag_and_by_health(balanced: Graph) -> None:
    inputs = one(balanced, "balancer", "LoadBalancer").inputs
    assert inputs["dropletTag"] == "tts-prod-web"
    assert inputs["vpcUuid"] == "vpc-id"
    assert inputs["redirectHttpToHttps"] is True
    assert inputs["healthcheck"] == {
        "protocol": "http",
        "port": 80,
        "path": "/health/",
        "checkIntervalSeconds": 5,
        "responseTimeoutSeconds": 5,
        "unhealthyThreshold": 3,
        "healthyThreshold": 2,
    }
    assert [(rule["entryPort"], rule.get("certificateName")) for rule in inputs["forwardingRules"]] == [
        (80, None),
        (443, "cert-0a1b2c3"),
    ]
    certificate = one(balanced, "balancer", "Certificate").inputs
    assert certificate == {"type": "lets_encrypt", "domains": ["tickets.example.org"]}, "a name would be in the way"


def test_without_a_zone_there_is_neither_certificate_nor_record(config: StackConfig) -> None:
    graph = on(config, "balanced", before("externalised"), domain="tickets.example.org")
    assert graph.of("Certificate", "DnsRecord") == []
    assert graph.outputs["url"] == "http://tickets.example.org/"
    assert [rule["entryPort"] for rule in one(graph, "balancer", "LoadBalancer").inputs["forwardingRules"]] == [80]


def test_the_world_reaches_the_balancer_and_nothing_else(lower: Graph, balanced: Graph) -> None:
    assert guards.open_to_the_world(lower) == {("tts-prod-web", "80"), ("tts-prod-web", "443")}
    assert guards.open_to_the_world(balanced) == set()
    wall = one(balanced, "web-ports")
    assert wall.inputs["inboundRules"] == [{"protocol": "tcp", "portRange": "80", "sourceLoadBalancerUids": ["lb1"]}]


def test_a_stack_that_does_not_own_the_entry_makes_no_record_and_is_whole_otherwise(
    config: StackConfig, balanced: Graph
) -> None:
    other = on(config, "balanced", before("balanced"), ownsEntry=False, **ZONE)
    record = one(balanced, "entry", "DnsRecord")
    missing = {each.urn for each in balanced.resources} - {each.urn for each in other.resources}
    assert missing == {record.urn, record.parent}
    assert other.outputs["url"] == balanced.outputs["url"], "it is reached under the same name once it is led there"
    assert one(other, "balancer", "Certificate"), "and has its certificate before that"


def test_a_record_stays_when_it_is_let_go_and_is_taken_over_by_its_number(config: StackConfig) -> None:
    first = one(on(config, "single", **ZONE), "entry", "DnsRecord")
    assert (first.options["retain_on_delete"], first.options["import"]) == (True, "")
    taken = one(on(config, "balanced", entryRecord="77", **ZONE), "entry", "DnsRecord")
    assert taken.options["import"] == "example.org,77"
    with pytest.raises(SettingsError, match="entryRecord"):
        on(config, "balanced", entryRecord="example.org,77", **ZONE)


def test_a_new_stack_has_its_wall_before_anything_is_led_in(config: StackConfig) -> None:
    graph = on(config, "balanced", **ZONE)
    ssh = one(graph, "web", "Firewall")
    assert [rule["portRange"] for rule in ssh.inputs["inboundRules"]] == ["22"]
    assert not {each.urn for each in graph.of("Droplet", "LoadBalancer")} & ssh.dependencies


def test_up_the_record_moves_after_everything_is_ready_and_the_ports_close_last(balanced: Graph) -> None:
    record, ports = one(balanced, "entry", "DnsRecord"), one(balanced, "web-ports")
    ready = ["web-1-app-install", "web-2-app-install", "backup-jobs-install"]
    assert {one(balanced, name).urn for name in ready} <= record.dependencies
    assert one(balanced, "balancer", "LoadBalancer").urn in record.dependencies
    assert {record.urn, one(balanced, "balancer", "LoadBalancer").urn} <= ports.dependencies
    assert record.inputs["value"] == "203.0.113.250"


def test_down_the_ports_open_first_and_the_record_goes_back_before_the_balancer_goes(
    lower: Graph, balanced: Graph
) -> None:
    record, ports = one(lower, "entry", "DnsRecord"), one(lower, "web-ports")
    assert ports.urn in record.dependencies
    assert record.inputs["value"] == "203.0.113.200"
    # The engine deletes what the program no longer declares after all updates, and a balancer before its hosts.
    balancer = one(balanced, "balancer", "LoadBalancer")
    assert one(balanced, "web-2-prepare").urn in balancer.dependencies
    (hook,) = balancer.options["before_delete"]
    assert hook in lower.hooks, "the engine looks for it by name on the rung that has no balancer"


def test_the_public_address_of_a_stack_without_a_domain_is_the_balancers(config: StackConfig) -> None:
    graph = on(config, "balanced", before("externalised"))
    assert graph.outputs["url"] == "http://203.0.113.250/"
    assert graph.outputs["entry"] == {
        "kind": "balancer",
        "address": "203.0.113.250",
        "reservedIp": "203.0.113.200",
        "balancer": "lb1",
    }
    env = json.loads(one(graph, "web-2-app-install").inputs["stdin"])["env"]
    assert env["PUBLIC_HOST"] == "203.0.113.250"


def test_the_outputs_of_a_balanced_stack(balanced: Graph) -> None:
    assert balanced.outputs["url"] == "https://tickets.example.org/"
    assert [host["name"] for host in balanced.outputs["hosts"]] == ["web-1", "web-2", "broker"]
    assert balanced.outputs["costPerMonth"]["total"] == 225.95


def _call(graph: Graph, hook: str, **inputs: Any) -> None:
    """Call a hook as the engine does."""
    args = pulumi.ResourceHookArgs(
        "urn", "102", "web-2", "type", inputs.get("new"), inputs.get("old"), None, inputs.get("outputs")
    )

    async def call() -> None:
        result = graph.hooks[hook](args)
        if result is not None:
            await result

    contextvars.copy_context().run(asyncio.run, call())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the guards of the entry were asked, in order."""
    found: list[Any] = []
    monkeypatch.setattr("guards.entry.Passage.await_healthy", lambda _, probe: found.append(probe.address))
    monkeypatch.setattr("guards.entry.Passage.await_old_answers", lambda _, leaving, __: found.append(f"-{leaving}"))
    return found


WORLD = {"inboundRules": [{"portRange": "80", "sourceAddresses": ["0.0.0.0/0"]}]}
BALANCER = {"inboundRules": [{"portRange": "80", "sourceLoadBalancerUids": ["lb1"]}]}


def test_a_record_leads_only_to_what_answers(balanced: Graph, asked: list[Any]) -> None:
    _call(balanced, "entry-record", new={"value": "203.0.113.250"}, old={"value": "203.0.113.200"})
    _call(balanced, "entry-record", new={"value": "203.0.113.250"})
    _call(balanced, "entry-record", new={"value": "203.0.113.250"}, old={"value": "203.0.113.250", "ttl": 30})
    assert asked == ["203.0.113.250", "203.0.113.250"]


def test_ports_close_when_the_balancer_answers_and_old_answers_are_over(balanced: Graph, asked: list[Any]) -> None:
    _call(balanced, "web-ports", old=WORLD, new=BALANCER)
    assert asked == ["203.0.113.250", "-203.0.113.200"]


def test_ports_that_open_or_stay_ask_nobody(lower: Graph, balanced: Graph, asked: list[Any]) -> None:
    _call(lower, "web-ports", old=BALANCER, new=WORLD)
    _call(balanced, "web-ports", old=BALANCER, new=BALANCER)
    assert asked == []


def test_a_balancer_goes_once_nobody_is_led_to_it(lower: Graph, asked: list[Any]) -> None:
    _call(lower, "balancer-goes", outputs={"ip": "203.0.113.250"})
    assert asked == ["-203.0.113.250"]


def test_a_record_that_somebody_else_keeps_is_not_left_behind(
    config: StackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = on(config, "externalised", before("balanced"), domain="tickets.example.org")
    monkeypatch.setattr("guards.hooks.addresses", lambda _: {"203.0.113.250"})
    with pytest.raises(RefusedError, match=r"tickets\.example\.org still leads to 203\.0\.113\.250"):
        _call(graph, "balancer-goes", outputs={"ip": "203.0.113.250"})


def test_a_host_that_is_taken_away_leaves_the_balancer_first(
    balanced: Graph, lower: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Shell:
        def run(self, argv: list[str], _timeout: float) -> Any:
            asked.append(argv)
            raise OpsError("it is dead", fix="none")

    monkeypatch.setattr(
        "guards.hooks.shell", lambda *_: lambda host: nullcontext(asked.append(host.address) or Shell())
    )
    assert one(balanced, "web-2", "Droplet").options["before_delete"] == ["host-leaves"]
    assert one(balanced, "web-1", "Droplet").options["before_delete"] == []
    gone = {"ipv4Address": "203.0.113.2", "size": "s-4vcpu-8gb"}
    _call(balanced, "host-leaves", outputs=gone)
    assert asked == ["203.0.113.2", ["tts-drain", "on", "20"]]
    _call(lower, "host-leaves", outputs=gone)
    assert len(asked) == 2, "without a balancer there is nothing to leave"
