"""The step between `single` and `resized`, as an engine sees it: one droplet changes its size, nothing moves."""

import asyncio
import contextvars
import json
from typing import Any

import pulumi
import pytest

from components import web_host
from components.host import HostArgs
from guards.errors import RefusedError
from settings import SettingsError
from tests.graph import guards
from tests.graph.engine import Graph, Registered, run
from tests.unit.config import StackConfig

CHANGED = {"web-1": {"size"}, "web-1-app-install": {"stdin"}}
"""All that the step changes, by resource and input."""


@pytest.fixture
def resized(config: StackConfig) -> Graph:
    config.values["rung"] = "resized"
    return run(config, deployed="single")


def test_no_guard_finds_anything_on_the_rung_resized(resized: Graph) -> None:
    assert [finding for guard in guards.GUARDS for finding in guard(resized)] == []


def test_every_urn_is_the_same_on_both_rungs(graph: Graph, resized: Graph) -> None:
    assert resized.urns() == graph.urns()


def test_a_role_that_is_named_after_its_rung_is_caught(config: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The design that must not be: what holds the data is called otherwise on each rung."""
    made = web_host.WebHost.__init__

    def named_after_its_size(self: web_host.WebHost, name: str, args: HostArgs) -> None:
        made(self, f"{args.size}-{name}", args)

    monkeypatch.setattr(web_host.WebHost, "__init__", named_after_its_size)
    before = run(config)
    config.values["rung"] = "resized"
    lost = guards.lost_on_the_way(before, run(config, deployed="single"))
    assert [urn.rpartition(":")[2] for urn in lost] == ["s-2vcpu-2gb-web-1"]


def test_the_size_and_the_workers_change_and_nothing_else(graph: Graph, resized: Graph) -> None:
    assert _changes(graph, resized) == CHANGED
    droplet = _one(resized, "web-1")
    assert (droplet.inputs["size"], droplet.inputs["resizeDisk"]) == ("s-4vcpu-8gb", False)
    env = json.loads(_one(resized, "web-1-app-install").inputs["stdin"])["env"]
    assert (env["WORKFLOW_CONCURRENCY"], env["NOTIFICATION_CONCURRENCY"]) == ("8", "4")


def test_the_way_back_changes_the_same_and_ends_where_it_began(config: StackConfig, graph: Graph) -> None:
    back = run(config, deployed="resized")
    assert _changes(graph, back) == {}


def test_the_application_is_installed_after_the_droplet_has_its_size(resized: Graph) -> None:
    assert _one(resized, "web-1").urn in _one(resized, "web-1-app-install").dependencies
    assert resized.outputs["rung"] == "resized"
    assert resized.outputs["hosts"][0]["size"] == "s-4vcpu-8gb"


def test_a_rung_that_is_not_built_is_refused_from_here(config: StackConfig) -> None:
    config.values["rung"] = "cluster"
    with pytest.raises(SettingsError, match="rung 'cluster' is not there yet: this version builds single, resized"):
        run(config, deployed="balanced")


def _args(droplet: str = "101", **new: Any) -> pulumi.ResourceHookArgs:
    old = {"size": "s-2vcpu-2gb", "ipv4Address": "203.0.113.1", "tags": ["web"]}
    return pulumi.ResourceHookArgs("urn", droplet, "web-1", "type", {**old, **new}, old, None, old)


def _call(graph: Graph, args: pulumi.ResourceHookArgs) -> None:
    async def call() -> None:
        result = graph.hooks["resize-web-1"](args)
        if result is not None:
            await result

    contextvars.copy_context().run(asyncio.run, call())


def test_a_change_that_leaves_the_size_alone_asks_nobody(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    _call(graph, _args(tags=["web", "blue"]))


def test_a_resize_without_a_token_is_refused_with_the_command_that_sets_one(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RefusedError, match="pulumi config set --secret digitalocean:token"):
        _call(graph, _args(size="s-4vcpu-8gb"))


def _changes(before: Graph, after: Graph) -> dict[str, set[str]]:
    """Inputs that differ, by the resource's name."""
    earlier = {each.urn: each.inputs for each in before.resources}
    found: dict[str, set[str]] = {}
    for each in after.resources:
        keys = {*each.inputs, *earlier[each.urn]}
        if differing := {key for key in keys if each.inputs.get(key) != earlier[each.urn].get(key)}:
            found[each.name] = differing
    return found


def _one(graph: Graph, name: str) -> Registered:
    (found,) = [each for each in graph.resources if each.name == name and each.custom]
    return found
