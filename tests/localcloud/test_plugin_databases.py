"""The codecs of managed databases against the local cloud's own API."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.kinds import database_care
from localcloud.plugins import digitalocean
from tests.localcloud.api_support import TOKEN, listening
from tests.localcloud.database_support import Managed, manage
from tests.localcloud.plugin_support import SIGNATURE, Plugin, reveal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLUSTER, DB, USER = (
    "index/databaseCluster:DatabaseCluster",
    "index/databaseDb:DatabaseDb",
    "index/databaseUser:DatabaseUser",
)
POOL, WALL = "index/databaseConnectionPool:DatabaseConnectionPool", "index/databaseFirewall:DatabaseFirewall"
SETTINGS = "index/databasePostgresqlConfig:DatabasePostgresqlConfig"
VALKEY = "index/databaseValkeyConfig:DatabaseValkeyConfig"
PG: dict[str, Any] = {"engine": "pg", "version": "15", "region": "fra1", "size": "db-s-1vcpu-2gb", "nodeCount": 2}


@pytest.fixture
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Managed]:
    monkeypatch.setattr(database_care, "SECONDS", 0.05)
    yield from manage(tmp_path / "cloud", by_hand=False)


@pytest.fixture
def plugin(managed: Managed) -> Iterator[Plugin]:
    with (
        listening(managed.service) as url,
        contextlib.closing(Plugin(digitalocean.provider(""), "digitalocean")) as plugin,
    ):
        plugin.configure(apiEndpoint=url, token=TOKEN)
        yield plugin


def make(plugin: Plugin, token: str, **news: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Check and create; gives id, state and the checked inputs. A refresh must find what the program says."""
    inputs = plugin.inputs(token, news)
    identity, state = plugin.create(token, inputs)
    found, _, refreshed = plugin.read(token, identity, state, inputs)
    assert found == identity
    assert not plugin.diff(token, refreshed, inputs).diffs
    return identity, state, inputs


def test_a_cluster_is_awaited_resized_in_place_and_replaced_for_a_name(plugin: Plugin, managed: Managed) -> None:
    windows = [{"day": "monday", "hour": "03:00"}]
    identity, state, inputs = make(plugin, CLUSTER, **PG, tags=["db"], maintenanceWindows=windows)
    shown = managed.service.call("GET", f"/v2/databases/{identity}")["database"]
    assert (shown["status"], shown["maintenance_window"]["hour"]) == ("online", "03:00:00")
    assert state["clusterUrn"] == f"do:dbaas:{identity}"
    assert (state["port"], state["privateHost"]) == (25060, f"private-{state['host']}")
    for word in ("password", "uri", "privateUri"):
        assert state[word][SIGNATURE], f"{word} is a secret"
    assert reveal(state["uri"]) == shown["connection"]["uri"]
    bigger = plugin.inputs(CLUSTER, {**PG, "size": "db-s-2vcpu-4gb", "nodeCount": 3, "tags": ["x"]}, inputs)
    assert plugin.diff(CLUSTER, inputs, bigger).replaces == []
    changed = plugin.update(CLUSTER, identity, state, inputs, bigger)
    assert (changed["size"], changed["nodeCount"], changed["tags"]) == ("db-s-2vcpu-4gb", 3, ["x"])
    other = plugin.inputs(CLUSTER, {**PG, "name": "other", "privateNetworkUuid": "v", "region": "nyc3"}, inputs)
    found = plugin.diff(CLUSTER, inputs, other)
    assert (sorted(found.replaces), found.deleteBeforeReplace) == (["name", "privateNetworkUuid"], True)
    plugin.delete(CLUSTER, identity, changed)
    assert plugin.read(CLUSTER, identity, changed, inputs)[0] == ""


def test_a_cluster_without_a_version_and_a_policy_for_another_engine_fail_in_preview(plugin: Plugin) -> None:
    _, failures = plugin.check(CLUSTER, {name: value for name, value in PG.items() if name != "version"})
    assert list(failures) == ["version"]
    _, failures = plugin.check(CLUSTER, {**PG, "evictionPolicy": "noeviction"})
    assert list(failures) == ["evictionPolicy"]


def test_what_is_in_a_cluster_lives_with_it(plugin: Plugin, managed: Managed) -> None:
    cluster, _, _ = make(plugin, CLUSTER, **PG)
    path = f"/v2/databases/{cluster}"
    db, db_state, _ = make(plugin, DB, clusterId=cluster, name="app")
    user, user_state, _ = make(plugin, USER, clusterId=cluster, name="app")
    assert (db, user, user_state["role"]) == (f"{cluster}/database/app", f"{cluster}/user/app", "normal")
    assert user_state["password"][SIGNATURE]
    fields = {"clusterId": cluster, "name": "app", "dbName": "app", "user": "app", "mode": "transaction", "size": 5}
    pool, pool_state, pool_inputs = make(plugin, POOL, **fields)
    assert (pool, pool_state["port"]) == (f"{cluster}/app", 25061)
    assert reveal(pool_state["privateUri"]).endswith(":25061/app?sslmode=require")
    wider = plugin.inputs(POOL, {**fields, "size": 6}, pool_inputs)
    found = plugin.diff(POOL, pool_inputs, wider)
    assert (found.replaces, found.deleteBeforeReplace) == (["size"], True)
    plugin.delete(POOL, pool, pool_state)
    assert plugin.create(POOL, wider)[1]["size"] == 6
    managed.service.call("DELETE", f"{path}/pools/app")
    assert plugin.read(POOL, pool, pool_state, pool_inputs)[0] == ""
    plugin.delete(USER, user, user_state)
    plugin.delete(DB, db, db_state)
    assert managed.service.call("GET", f"{path}/dbs")["dbs"] == [{"name": "defaultdb"}]


def test_a_firewall_keeps_its_rules_ids_and_opens_the_cluster_when_it_goes(plugin: Plugin, managed: Managed) -> None:
    cluster, _, _ = make(plugin, CLUSTER, **PG)
    rules = [{"type": "tag", "value": "web"}, {"type": "ip_addr", "value": "192.0.2.5"}]
    wall, state, inputs = make(plugin, WALL, clusterId=cluster, rules=rules)
    assert wall.startswith(f"{cluster}-")
    turned = plugin.inputs(WALL, {"clusterId": cluster, "rules": rules[::-1]}, inputs)
    assert not plugin.diff(WALL, inputs, turned).diffs, "rules are a set"
    before = {one["value"]: one["uuid"] for one in state["rules"]}
    news = plugin.inputs(WALL, {"clusterId": cluster, "rules": [rules[0], {"type": "tag", "value": "b"}]}, inputs)
    changed = plugin.update(WALL, wall, state, inputs, news)
    assert {one["value"]: one["uuid"] for one in changed["rules"]}["web"] == before["web"]
    plugin.delete(WALL, wall, changed)
    assert managed.service.call("GET", f"/v2/databases/{cluster}/firewall")["rules"] == []


def test_settings_are_patched_and_outlive_their_resource(plugin: Plugin, managed: Managed) -> None:
    cluster, _, _ = make(plugin, CLUSTER, **PG)
    managed.servers.answers["pg_settings"] = "jit|bool|||"
    fields = {"clusterId": cluster, "jit": False, "backupHour": 3, "pgbouncers": [{"minPoolSize": 2}]}
    identity, state, _ = make(plugin, SETTINGS, **fields)
    path = f"/v2/databases/{cluster}/config"
    expected = {"jit": False, "backup_hour": 3, "pgbouncer": {"min_pool_size": 2}}
    assert managed.service.call("GET", path)["config"] == expected
    plugin.delete(SETTINGS, identity, state)
    assert managed.service.call("GET", path)["config"] == expected


def test_valkey_has_its_policy_and_settings(plugin: Plugin, managed: Managed) -> None:
    given = {**PG, "engine": "valkey", "version": "8", "nodeCount": 1, "evictionPolicy": "allkeys_lru"}
    cluster, state, _ = make(plugin, CLUSTER, **given)
    assert (state["user"], state["evictionPolicy"]) == ("default", "allkeys_lru")
    make(plugin, VALKEY, clusterId=cluster, persistence="rdb", timeout=60)
    config = managed.service.call("GET", f"/v2/databases/{cluster}/config")["config"]
    assert config == {"valkey_persistence": "rdb", "valkey_timeout": 60}


def test_the_authority_and_a_cluster_are_found(plugin: Plugin) -> None:
    cluster, state, inputs = make(plugin, CLUSTER, **PG)
    authority = plugin.invoke("index/getDatabaseCa:getDatabaseCa", clusterId=cluster)
    assert authority["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    found = plugin.invoke("index/getDatabaseCluster:getDatabaseCluster", name=inputs["name"])
    assert (found["id"], found["urn"], found["host"]) == (cluster, state["clusterUrn"], state["host"])
