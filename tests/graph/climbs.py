"""The program's graphs on the upper rungs, each as it is after a step from the rung before."""

import copy
from typing import Any

from localcloud.plugins.digitalocean import CODECS
from tests.graph.engine import Graph, Registered, run
from tests.unit.config import StackConfig

CLUSTER = {"id": "c1u5t3r", "name": "db-0a1b2c3", "size": "db-s-1vcpu-2gb", "nodes": 3, "state": "in use"}
ZONE = {"domain": "tickets.example.org", "dnsZone": "example.org"}
CHAIN = ("single", "resized", "externalised", "balanced")


def before(rung: str, **database: Any) -> dict[str, Any]:
    """The outputs of a stack on `rung`; `database` differs from the cluster that is in use above `resized`."""
    has_cluster = database or CHAIN.index(rung) > 1
    return {"rung": rung, **({"database": {**CLUSTER, **database}} if has_cluster else {})}


def on(config: StackConfig, rung: str, deployed: str | dict[str, Any] | None = None, **keys: Any) -> Graph:
    """The graph of `rung`, with some keys set otherwise."""
    changed = copy.deepcopy(config)
    changed.values |= {"rung": rung, **keys}
    return run(changed, deployed=deployed)


def one(graph: Graph, name: str, kind: str = "") -> Registered:
    """The one resource of that name; of that kind, where several have it."""
    found = [each for each in graph.resources if each.name == name and each.custom and each.type.endswith(kind)]
    assert len(found) == 1, [each.urn for each in found]
    return found[0]


def changes(first: Graph, second: Graph) -> dict[str, set[str]]:
    """Inputs that differ, by the name of a resource that is in both."""
    earlier = {each.urn: each.inputs for each in first.resources}
    found: dict[str, set[str]] = {}
    for each in second.resources:
        old = earlier.get(each.urn, each.inputs)
        if differing := {key for key in {*each.inputs, *old} if each.inputs.get(key) != old.get(key)}:
            found.setdefault(each.name, set()).update(differing)
    return found


def replacements(first: Graph, second: Graph) -> list[str]:
    """Resources with a changed input for which the provider would replace them, unless the program ignores it."""
    earlier = {each.urn: each for each in first.resources}
    replaces = {codec.kind: codec.replaces for codec in CODECS}
    found: list[str] = []
    for each in second.resources:
        old = earlier.get(each.urn)
        if old is None:
            continue
        differing = {key for key in {*each.inputs, *old.inputs} if each.inputs.get(key) != old.inputs.get(key)}
        bad = differing & replaces.get(each.type, frozenset()) - set(each.options["ignore_changes"])
        found += [f"{each.urn}: {key}" for key in sorted(bad)]
    return found
