"""Managed databases: the API's answers and refusals, what servers are told, and who takes a dead primary's place."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.pipeline.policies import HeadersPolicy
from pydo import Client

from localcloud.kinds import database_care, database_files
from tests.localcloud.api_support import TOKEN, listening
from tests.localcloud.database_support import CLUSTER, Managed, manage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    yield from manage(tmp_path / "cloud")


def test_a_cluster_is_creating_then_online_and_is_gone_at_once(managed: Managed) -> None:
    made = managed.make()
    assert made["status"] == "creating"
    for word in ("name", "engine", "version", "size", "region", "num_nodes", "tags"):
        assert made[word] == CLUSTER[word], f"{word} must come back as it was asked"
    assert made["maintenance_window"] == {"day": "sunday", "hour": "02:00:00", "pending": False, "description": []}
    managed.tend()
    online = {**made, "status": "online"}
    assert managed.shown == online, "the read after the creation decides about drift"
    assert managed.service.call("GET", "/v2/databases")["databases"] == [online]
    assert managed.servers.numbers() == [1, 2, 3]
    assert managed.service.answer("DELETE", managed.path).status_code == 204
    assert managed.service.answer("GET", managed.path).status_code == 404
    assert managed.service.answer("DELETE", managed.path).status_code == 404
    managed.tend(1)
    assert not [name for _, name in managed.servers.there if "-database-" in name]
    assert not (managed.service.config.directory / "databases" / managed.id).exists()


def test_a_connection_says_where_as_whom_and_with_what(managed: Managed) -> None:
    made = managed.make()
    outer, inner = made["connection"], made["private_connection"]
    assert outer["host"] == "pgc-do-user-1-0.x.db.ondigitalocean.com"
    assert inner["host"] == f"private-{outer['host']}"
    assert (outer["port"], outer["user"], outer["database"], outer["ssl"]) == (25060, "doadmin", "defaultdb", True)
    password = made["users"][0]["password"]
    assert outer["uri"] == f"postgresql://doadmin:{password}@{outer['host']}:25060/defaultdb?sslmode=require"
    with managed.service.cloud.store.transaction():
        record, names = managed.record, database_files.names(managed.service.cloud)
    assert names == {outer["host"]: record["public"], inner["host"]: record["private"]}


def test_a_cluster_belongs_to_its_vpc_its_project_and_its_tags(managed: Managed) -> None:
    vpc = managed.service.call("POST", "/v2/vpcs", {"name": "n", "region": "fra1", "ip_range": "10.10.0.0/24"})["vpc"]
    managed.online(private_network_uuid=vpc["id"])
    assert managed.service.refused("DELETE", f"/v2/vpcs/{vpc['id']}")[0] == 409
    project = {"name": "p", "purpose": "Web Application"}
    identity = managed.service.call("POST", "/v2/projects", project)["project"]["id"]
    managed.service.call("POST", f"/v2/projects/{identity}/resources", {"resources": [f"do:dbaas:{managed.id}"]})
    assert managed.shown["project_id"] == identity
    resources = {"resources": [{"resource_id": managed.id, "resource_type": "database"}]}
    managed.service.call("POST", "/v2/tags", {"name": "blue"})
    managed.service.call("POST", "/v2/tags/blue/resources", resources)
    assert managed.shown["tags"] == ["db", "blue"]
    assert managed.service.call("GET", "/v2/tags/blue")["tag"]["resources"]["databases"]["count"] == 1
    managed.service.call("DELETE", "/v2/tags/db/resources", resources)
    assert managed.shown["tags"] == ["blue"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"name": "Capital"}, "name"),
        ({"engine": "mysql"}, "engine"),
        ({"version": "16"}, "version"),
        ({"version": ""}, "version"),
        ({"size": "db-s-9vcpu"}, "size"),
        ({"region": "moon1"}, "moon1"),
        ({"num_nodes": 4}, "num_nodes"),
        ({"num_nodes": 2, "size": "db-s-1vcpu-1gb"}, "num_nodes"),
        ({"engine": "valkey", "version": "8", "num_nodes": 2}, "num_nodes"),
        ({"private_network_uuid": "none"}, "VPC"),
        ({"backup_restore": {"database_name": "x"}}, "backup_restore"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(fields: dict[str, Any], word: str, managed: Managed) -> None:
    status, message = managed.service.refused("POST", "/v2/databases", {**CLUSTER, **fields})
    assert (status, word in message) == (422, True), message
    assert managed.service.call("GET", "/v2/databases")["databases"] == []


def test_a_name_is_given_once(managed: Managed) -> None:
    managed.make()
    assert managed.service.refused("POST", "/v2/databases", CLUSTER) == (422, "cluster name is not available")
    managed.service.call("DELETE", managed.path)
    managed.make()


def test_a_cluster_grows_and_shrinks_in_nodes_but_not_in_size(managed: Managed) -> None:
    managed.online(num_nodes=1)
    resize = f"{managed.path}/resize"
    managed.service.call("PUT", resize, {"size": "db-s-2vcpu-4gb", "num_nodes": 2})
    shown = managed.shown
    assert (shown["status"], shown["size"], shown["num_nodes"]) == ("resizing", "db-s-2vcpu-4gb", 2)
    managed.tend()
    assert managed.shown["status"] == "online"
    assert "max_connections = '100'" in managed.file(1, "server/postgresql.conf")
    assert [one[0] for one in managed.servers.asked].count("stop") == 1, "the primary was restarted for its new size"
    assert managed.record["safe"] == [2]
    status, message = managed.service.refused("PUT", resize, {"size": "db-s-1vcpu-2gb", "num_nodes": 2})
    assert (status, "smaller" in message) == (422, True)
    managed.service.call("PUT", resize, {"size": "db-s-2vcpu-4gb", "num_nodes": 1})
    managed.tend()
    assert (managed.servers.numbers(), managed.record["safe"], managed.record["sync"]) == ([1], [], [])
    assert len(managed.record["addresses"]) == 2


def test_databases_users_and_pools_are_made_in_the_server_before_the_answer(managed: Managed) -> None:
    managed.online()
    call = managed.service.call
    assert call("POST", f"{managed.path}/dbs", {"name": "app"}) == {"db": {"name": "app"}}
    assert managed.servers.told[-1] == (1, 'CREATE DATABASE "app" OWNER doadmin')
    user = call("POST", f"{managed.path}/users", {"name": "app"})["user"]
    assert (user["role"], user in call("GET", f"{managed.path}/users")["users"]) == ("normal", True)
    body = {"user": "app", "name": "app", "size": 10, "db": "app", "mode": "transaction"}
    pool = call("POST", f"{managed.path}/pools", body)["pool"]
    assert {word: pool[word] for word in body} == body
    assert (pool["connection"]["port"], pool["connection"]["password"]) == (25061, user["password"])
    assert pool["private_connection"]["uri"].endswith(":25061/app?sslmode=require")
    assert call("GET", f"{managed.path}/pools/app")["pool"] == pool
    assert "app = host=/run/postgresql port=25060 dbname=app pool_size=10" in managed.file(2, "server/pgbouncer.ini")
    assert "hostssl app app 0.0.0.0/0 scram-sha-256" in managed.file(1, "server/pools_hba.conf")
    again = call("POST", f"{managed.path}/users/app/reset_auth", {})["user"]
    assert again["password"] != user["password"]
    for part in ("pools", "users", "dbs"):
        assert managed.service.answer("DELETE", f"{managed.path}/{part}/app").status_code == 204
        assert managed.service.answer("GET", f"{managed.path}/{part}/app").status_code == 404
        assert managed.service.answer("DELETE", f"{managed.path}/{part}/app").status_code == 404
    assert "app =" not in managed.file(1, "server/pgbouncer.ini")


def test_no_name_reaches_the_server_that_could_be_more_than_a_name(managed: Managed) -> None:
    managed.online(num_nodes=1)
    for name in ('a"; DROP ROLE doadmin; --', "postgres", "pg_monitor", "", "x" * 64, "a\nb"):
        for part in ("dbs", "users"):
            assert managed.service.refused("POST", f"{managed.path}/{part}", {"name": name})[0] == 422
    assert managed.service.refused("POST", f"{managed.path}/dbs", {"name": "defaultdb"})[0] == 409
    assert managed.service.refused("DELETE", f"{managed.path}/users/doadmin")[0] == 422


def test_pools_take_what_the_size_has_connections_for(managed: Managed) -> None:
    managed.online(num_nodes=1)
    pool = {"user": "doadmin", "name": "p", "db": "defaultdb", "mode": "session"}
    status, message = managed.service.refused("POST", f"{managed.path}/pools", {**pool, "size": 48})
    assert (status, "47 of 47 are left" in message) == (422, True)
    managed.service.call("POST", f"{managed.path}/pools", {**pool, "size": 40})
    assert managed.service.refused("POST", f"{managed.path}/pools", {**pool, "name": "q", "size": 8})[0] == 422
    for wrong in ({"db": "none"}, {"user": "none"}, {"mode": "odd"}):
        assert (
            managed.service.refused("POST", f"{managed.path}/pools", {**pool, "name": "q", "size": 1, **wrong})[0]
            == 422
        )


def test_a_part_of_a_cluster_that_is_being_made_is_refused_for_now(managed: Managed) -> None:
    managed.make()
    assert managed.service.refused("POST", f"{managed.path}/dbs", {"name": "app"})[0] == 409


def sources(managed: Managed, number: int = 1) -> set[str]:
    lines = managed.file(number, "rules").splitlines()
    public = managed.record["public"]
    return {line.split()[3] for line in lines if line.startswith("-A INPUT -s") and f"-d {public} " in line}


def test_trusted_sources_are_the_filter_of_the_primary(managed: Managed) -> None:
    managed.online()
    assert sources(managed) == {"0.0.0.0/0"}
    assert sources(managed, 2) == set(), "a standby has none of the cluster's addresses"
    path = f"{managed.path}/firewall"
    blank = {"uuid": "", "cluster_uuid": "", "created_at": "0001-01-01T00:00:00Z"}
    rules = [{**blank, "type": "ip_addr", "value": "192.0.2.5"}, {**blank, "type": "tag", "value": "web"}]
    managed.service.call("PUT", path, {"rules": rules})
    assert sources(managed) == {"192.0.2.5/32"}, "nobody bears the tag"
    number = managed.service.droplet(tags=["web"])
    droplet = [one["ip_address"] for one in managed.service.shown(number)["networks"]["v4"]]
    assert sources(managed) == {"192.0.2.5/32", *(f"{address}/32" for address in droplet)}
    kept = managed.service.call("GET", path)["rules"]
    assert all(one["uuid"] and one["created_at"] > "2020" for one in kept)
    managed.service.call("PUT", path, {"rules": [*kept[1:], {**blank, "type": "droplet", "value": str(number)}]})
    assert managed.service.call("GET", path)["rules"][0] == kept[1]
    managed.service.call("DELETE", f"/v2/droplets/{number}")
    managed.service.settle()
    assert sources(managed) == set(), "rules that nobody meets keep everybody out"
    managed.service.call("PUT", path, {"rules": []})
    assert sources(managed) == {"0.0.0.0/0"}, "no rule opens the cluster"


@pytest.mark.parametrize(
    "rule", [("ip_addr", "here"), ("droplet", "77"), ("k8s", "none"), ("app", "none"), ("odd", "x"), ("tag", "")]
)
def test_a_source_that_cannot_be_is_refused(rule: tuple[str, str], managed: Managed) -> None:
    managed.make()
    body = {"rules": [{"type": rule[0], "value": rule[1]}]}
    assert managed.service.refused("PUT", f"{managed.path}/firewall", body)[0] == 422


def test_the_primary_dies_and_the_furthest_of_the_safe_standbys_takes_over(managed: Managed) -> None:
    managed.online()
    assert "ANY 1 (node2, node3)" in managed.file(1, "server/postgresql.conf")
    managed.servers.positions.update({2: "0/FFFFFFFF", 3: "1/2"})
    managed.kill(1)
    managed.tend(1)
    record = managed.record
    assert (record["primary"], record["safe"], record["promoting"]) == (3, [], False)
    assert (3, database_care.PROMOTE) in managed.servers.told
    assert f"HELD='{record['public']} {record['private']}'" in managed.file(3, "node.env")
    assert "HELD=''" in managed.file(1, "node.env")
    managed.tend()
    assert "ROLE='standby'" in managed.file(1, "node.env")
    assert (managed.record["safe"], managed.servers.numbers()) == ([1, 2], [1, 2, 3])


def test_no_standby_takes_over_while_one_that_may_have_more_cannot_be_asked(managed: Managed) -> None:
    managed.online()
    managed.kill(1)
    managed.kill(2)
    managed.tend()
    assert managed.record["primary"] == 1, "its disk has all: it is started again"
    assert managed.servers.numbers() == [1, 2, 3]


def test_a_standby_that_fell_behind_is_never_put_in_the_primarys_place(managed: Managed) -> None:
    managed.online(num_nodes=2)
    managed.servers.cut.add(2)
    managed.tend(database_care.QUIET + 1)
    assert (managed.record["safe"], managed.record["sync"]) == ([], []), "commits are acknowledged without it now"
    assert "synchronous_standby_names = ''" in managed.file(1, "server/postgresql.conf")
    managed.kill(1)
    managed.tend(2)
    assert managed.record["primary"] == 1
    managed.tend(database_care.BEHIND + 2)
    assert ("volume", "rm") not in managed.servers.asked
    managed.servers.cut.clear()
    managed.tend()
    assert managed.record["safe"] == [2]


def test_a_primary_that_hangs_is_ended_before_another_takes_over(managed: Managed) -> None:
    managed.online(num_nodes=2)
    managed.servers.hung.add(1)
    managed.tend(database_care.HANGING)
    assert managed.record["primary"] == 1, "a moment of silence is no death"
    managed.tend(2)
    assert managed.record["primary"] == 2
    kills = [one for one in managed.servers.asked if one[0] == "kill"]
    assert kills
    assert kills[0][-1].endswith(f"{managed.id}-1")


def test_settings_are_checked_kept_and_written(managed: Managed) -> None:
    managed.online(num_nodes=1)
    path = f"{managed.path}/config"
    told = "work_mem|integer|64|2147483647|\njit|bool|||\ndeadlock_timeout|integer|1|2147483647|"
    managed.servers.answers["pg_settings"] = told
    managed.service.call("PATCH", path, {"config": {"work_mem": 8, "jit": False, "backup_hour": 3}})
    assert managed.service.call("GET", path)["config"] == {"work_mem": 8, "jit": False, "backup_hour": 3}
    written = managed.file(1, "server/postgresql.conf")
    assert "work_mem = '8MB'" in written
    assert "jit = 'off'" in written
    assert "backup_hour" not in written
    for wrong in ({"deadlock_timeout": 0}, {"deadlock_timeout": "x"}, {"fsync": False}, {"jit": "maybe"}, {"A'": 1}):
        assert managed.service.refused("PATCH", path, {"config": wrong})[0] == 422


def test_the_small_answers(managed: Managed) -> None:
    managed.make()
    call = managed.service.call
    certificate = base64.b64decode(call("GET", f"{managed.path}/ca")["ca"]["certificate"])
    assert certificate.startswith(b"-----BEGIN CERTIFICATE-----")
    call("PUT", f"{managed.path}/maintenance", {"day": "monday", "hour": "03:00"})
    assert managed.shown["maintenance_window"]["hour"] == "03:00:00"
    assert managed.service.refused("PUT", f"{managed.path}/maintenance", {"day": "Monday", "hour": "03:00"})[0] == 422
    assert managed.service.refused("PUT", f"{managed.path}/upgrade", {"version": "14"})[0] == 422
    assert managed.service.refused("PUT", f"{managed.path}/migrate", {"region": "nyc3"})[0] == 422
    assert managed.service.refused("GET", f"{managed.path}/eviction_policy")[0] == 412
    assert call("GET", f"{managed.path}/backups") == {"backups": []}
    assert call("GET", f"{managed.path}/replicas") == {"replicas": []}
    assert call("GET", f"{managed.path}/autoscale") == {"storage": {"enabled": False}}
    assert call("GET", "/v2/databases/options")["options"]["pg"]["versions"] == ["15"]


def test_valkey_has_a_policy_and_a_default_user(managed: Managed) -> None:
    managed.online(name="cache", engine="valkey", version="8", num_nodes=1, size="db-s-1vcpu-1gb")
    call, shown = managed.service.call, managed.shown
    assert shown["connection"]["uri"].startswith(f"rediss://default:{shown['users'][0]['password']}@cache-do-user")
    call("PUT", f"{managed.path}/eviction_policy", {"eviction_policy": "allkeys_lru"})
    assert call("GET", f"{managed.path}/eviction_policy") == {"eviction_policy": "allkeys_lru"}
    assert "maxmemory-policy allkeys-lru" in managed.file(1, "server/soft.conf")
    assert managed.service.refused("PUT", f"{managed.path}/eviction_policy", {"eviction_policy": "x"})[0] == 422
    call("PATCH", f"{managed.path}/config", {"config": {"valkey_persistence": "off"}})
    assert 'save ""' in managed.file(1, "server/soft.conf")
    assert managed.service.refused("POST", f"{managed.path}/dbs", {"name": "x"})[0] == 412


def test_the_providers_own_client_library_reads_it(managed: Managed) -> None:
    managed.online(num_nodes=1)
    policy = HeadersPolicy({"Authorization": f"Bearer {TOKEN}"})
    with listening(managed.service) as url, Client(token=TOKEN, endpoint=url, authentication_policy=policy) as client:
        [found] = client.databases.list_clusters()["databases"]
        assert client.databases.get_cluster(found["id"])["database"]["status"] == "online"
        assert client.databases.list_users(found["id"])["users"][0]["name"] == "doadmin"
        client.databases.update_firewall_rules(found["id"], {"rules": [{"type": "tag", "value": "web"}]})
        assert client.databases.list_firewall_rules(found["id"])["rules"][0]["value"] == "web"
