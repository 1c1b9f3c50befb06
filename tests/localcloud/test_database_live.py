"""A managed database as it is: TLS, rights, pools, trusted sources, and a primary that is killed under a writer."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.localcloud.droplet_support import Droplet, RealCloud, docker, new_cloud, reaches, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker
BASE = "debian:bookworm-slim"
BODY: dict[str, Any] = {"engine": "pg", "version": "15", "size": "db-s-1vcpu-2gb", "region": "fra1", "num_nodes": 2}
# Each number that it prints was acknowledged; a session that breaks is made anew.
WRITER = """
n=1
while [ ! -e /root/stop ]; do
  said=$(psql -XqAtc "insert into t values ($n) returning n" "$1" 2>/dev/null)
  if [ "$said" = "$n" ]; then echo "$n" >>/root/acknowledged; fi
  n=$((n + 1))
done
"""


@dataclass
class Database:
    """A cluster with a database and a user of the application's, a client that may come, and one that may not."""

    cloud: RealCloud
    id: str
    web: Droplet
    stranger: Droplet

    @property
    def path(self) -> str:
        return f"/v2/databases/{self.id}"

    @property
    def shown(self) -> dict[str, Any]:
        return self.cloud.call("GET", self.path)["database"]

    def online(self) -> None:
        wait("the cluster", lambda: self.shown["status"] == "online")

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.cloud.directory / "state.json").read_text())["databases"][self.id]

    def node(self, number: int) -> str:
        return f"localcloud-{self.cloud.identity}-database-{self.id}-{number}"

    def uri(self, user: str, *, database: str = "app", port: int = 25060, mode: str = "verify-full") -> str:
        password = self.cloud.call("GET", f"{self.path}/users/{user}")["user"]["password"]
        host = self.shown["private_connection"]["host"]
        return f"postgresql://{user}:{password}@{host}:{port}/{database}?sslmode={mode}&sslrootcert=/root/ca.crt&connect_timeout=4"

    def sql(self, text: str, uri: str = "", *, droplet: Droplet | None = None) -> str:
        """Run SQL from a droplet and give the answer, or what psql says instead."""
        command = f"psql -XqAtc {shlex.quote(text)} {shlex.quote(uri or self.uri('app'))} 2>&1 || true"
        return (droplet or self.web).ssh(command)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCloud]:
    with new_cloud(tmp_path_factory.mktemp("databases"), BASE) as real:
        yield real


@pytest.fixture(scope="module")
def database(cloud: RealCloud) -> Database:
    fields = {"name": "n", "region": "fra1", "ip_range": str(cloud.vpc_range)}
    vpc = cloud.call("POST", "/v2/vpcs", fields)["vpc"]["id"]
    made = cloud.call("POST", "/v2/databases", {**BODY, "name": "main", "private_network_uuid": vpc})["database"]
    web, stranger = (cloud.droplet(name, vpc_uuid=vpc, tags=[name], user_data="") for name in ("web", "stranger"))
    found = Database(cloud, made["id"], web, stranger)
    found.online()
    for part in ("dbs", "users"):
        cloud.call("POST", f"{found.path}/{part}", {"name": "app"})
    pool = {"name": "app", "user": "app", "db": "app", "mode": "transaction", "size": 5}
    cloud.call("POST", f"{found.path}/pools", pool)
    authority = base64.b64decode(cloud.call("GET", f"{found.path}/ca")["ca"]["certificate"]).decode()
    for droplet in (web, stranger):
        droplet.ready().ssh(f"cat >/root/ca.crt <<'X'\n{authority}X\n")
    return found


def test_a_droplet_reaches_it_by_name_and_verifies_it(database: Database) -> None:
    admin = database.uri("doadmin", database="defaultdb")
    assert database.sql("select ssl, current_user from pg_stat_ssl where pid = pg_backend_pid()", admin) == "t|doadmin"
    assert "no encryption" in database.sql("select 1", admin.replace("verify-full", "disable"))
    assert "authentication failed" in database.sql("select 1", admin.replace("AVNS_", "AVNX_"))
    assert database.sql("select 1", admin.replace("private-", "")) == "1", "the public name is one of the certificate's"
    assert "does not match host name" in database.sql("select 1", f"{admin}&host={database.record['private']}")
    database.web.ssh("docker network create app")
    names = f"docker run --rm --network app {BASE} getent hosts {database.shown['private_connection']['host']}"
    assert database.record["private"] in database.web.ssh(names), "containers ask the droplet's name server"


def test_doadmin_gives_a_database_to_its_user_and_is_no_superuser(database: Database) -> None:
    admin = database.uri("doadmin", database="defaultdb")
    assert "permission denied" in database.sql("create table public.x (n int)", database.uri("app"))
    assert database.sql("grant app to doadmin; alter database app owner to app", admin) == ""
    assert database.sql("create table t (n int primary key); insert into t values (0)") == ""
    assert database.sql("select rolsuper from pg_roles where rolname = 'doadmin'", admin) == "f"
    for text in ("alter system set fsync = off", "copy t from program 'id'", "create role x superuser"):
        assert "ERROR" in database.sql(text, database.uri("doadmin")), text
    assert "rejects connection" in database.sql("select 1", admin.replace("doadmin:", "postgres:"))


def test_a_pool_is_for_its_user_and_shares_sessions(database: Database) -> None:
    pool = database.uri("app", port=25061)
    assert database.sql("select current_user, count(*) from t", pool) == "app|1"
    assert "login rejected" in database.sql("select 1", database.uri("doadmin", port=25061))
    assert "FATAL" in database.sql("select 1", pool.replace("verify-full", "disable"))
    sessions = " & ".join([f"psql -XqAtc 'select pg_sleep(0.2), pg_backend_pid()' '{pool}'"] * 12)
    used = {line for line in database.web.ssh(f"{sessions} & wait").split() if line}
    assert 1 <= len(used) <= 5, "twelve clients, at most five sessions"
    superusers = "select count(*) from pg_stat_activity where datname = 'app' and usename = 'postgres'"
    assert database.sql(superusers) == "0", "the administrator could not end it, and not rename the database"


def test_only_trusted_sources_come_in(database: Database) -> None:
    outside = (str(database.record["public"]), 25060)
    assert reaches(*outside), "without a rule it is open, also to this machine"
    database.cloud.call("PUT", f"{database.path}/firewall", {"rules": [{"type": "tag", "value": "web"}]})
    assert database.sql("select 1") == "1"
    assert not reaches(*outside)
    stranger = database.sql("select 1", database.uri("app"), droplet=database.stranger)
    assert "timeout expired" in stranger
    resources = {"resources": [{"resource_id": str(database.stranger.number), "resource_type": "droplet"}]}
    database.cloud.call("POST", "/v2/tags/web/resources", resources)
    assert database.sql("select 1", droplet=database.stranger) == "1"
    database.cloud.call("DELETE", "/v2/tags/web/resources", resources)
    assert "timeout expired" in database.sql("select 1", droplet=database.stranger)


def test_no_acknowledged_row_is_lost_when_the_primary_is_killed(database: Database) -> None:
    first = database.record["primary"]
    assert database.record["safe"], "a standby is up to date"
    database.web.ssh(f"cat >/root/writer <<'X'\n{WRITER}X\n")
    writer = f"setsid bash /root/writer {shlex.quote(database.uri('app', port=25061))}"
    assert database.web.ssh(f"{writer} >/dev/null 2>&1 </dev/null & echo started") == "started"

    def acknowledged() -> list[int]:
        return [int(line) for line in database.web.ssh("cat /root/acknowledged 2>/dev/null || true").split()]

    wait("the first rows", lambda: len(acknowledged()) > 20)
    docker("kill", database.node(first))
    before = max(acknowledged())
    wait("another primary", lambda: database.record["primary"] != first)
    wait("writes to resume", lambda: max(acknowledged()) > before + 20, 60)
    wait("the dead node to be a standby", lambda: database.record["safe"] == [first])
    database.web.ssh("touch /root/stop")
    rows = {int(line) for line in database.sql("select n from t").split()}
    assert len(acknowledged()) > 40
    assert set(acknowledged()) <= rows
    direct = f"{database.uri('app')}&hostaddr={database.record['private']}"
    address, count = database.web.address(), f"psql -XqAtc 'select count(*) from t' {shlex.quote(direct)}"
    os.kill(database.cloud.about["pid"], signal.SIGKILL)
    assert database.web.ssh(count, address=address) == str(len(rows)), "without the cloud's own process it serves on"
    database.cloud.up()
    assert database.record["primary"] != first
    assert database.sql("select count(*) from t", database.uri("app", port=25061)) == str(len(rows))


def test_valkey_speaks_tls_and_keeps_its_policy(database: Database) -> None:
    cloud, body = database.cloud, {**BODY, "engine": "valkey", "version": "8", "num_nodes": 1, "name": "cache"}
    cache = Database(
        cloud, cloud.call("POST", "/v2/databases", body)["database"]["id"], database.web, database.stranger
    )
    cache.online()
    cloud.call("PUT", f"{cache.path}/eviction_policy", {"eviction_policy": "allkeys_lru"})
    authority = base64.b64decode(cloud.call("GET", f"{cache.path}/ca")["ca"]["certificate"]).decode()
    connection, trust = cache.shown["connection"], ssl.create_default_context(cadata=authority)
    with (
        socket.create_connection((cache.record["public"], connection["port"]), 5) as plain,
        trust.wrap_socket(plain, server_hostname=connection["host"]) as client,
        client.makefile("rwb") as lines,
    ):
        lines.write(f"PING\r\nAUTH default {connection['password']}\r\nCONFIG GET maxmemory-policy\r\n".encode())
        lines.flush()
        answers = [lines.readline().strip() for _ in range(7)]
    assert answers[0].startswith(b"-NOAUTH")
    assert (answers[1], answers[-1]) == (b"+OK", b"allkeys-lru")
    cloud.call("DELETE", cache.path)


def test_a_deleted_cluster_leaves_nothing_behind(database: Database) -> None:
    database.cloud.call("DELETE", database.path)
    mark = ["--filter", f"label=localcloud.cloud={database.cloud.identity}", "--filter", "name=-database-"]
    wait("the volumes to go", lambda: not docker("volume", "ls", "--quiet", *mark))
    assert docker("ps", "--all", "--quiet", *mark) == ""
    wait(
        "the records to go", lambda: not json.loads((database.cloud.directory / "state.json").read_text())["databases"]
    )
