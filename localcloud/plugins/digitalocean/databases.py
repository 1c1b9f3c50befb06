"""Managed database clusters and what is in them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins import schema
from localcloud.plugins.api import wait_for
from localcloud.plugins.codec import Codec, Properties, Work
from localcloud.plugins.digitalocean.actions import retag
from localcloud.plugins.digitalocean.rest import Rest, camel, snake
from localcloud.plugins.digitalocean.session import Session
from localcloud.plugins.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTERS = "/v2/databases"
EVICTING = frozenset({"redis", "valkey"})
CONNECTION = frozenset({"password", "privateUri", "uri"})


class DatabaseCluster(Codec[Session]):
    kind = "digitalocean:index/databaseCluster:DatabaseCluster"
    sdk = "pulumi_digitalocean.database_cluster:DatabaseCluster"
    label = "database cluster"
    required = frozenset({"engine", "nodeCount", "region", "size"})
    replaces = frozenset({"engine", "name", "privateNetworkUuid", "projectId"})
    secrets = CONNECTION | {"uiPassword", "uiUri"}
    sets = frozenset({"tags"})
    ignore_case = frozenset({"region", "tags"})
    autoname = "name"

    def check(self, inputs: Properties) -> list[Problem]:
        problems = []
        if inputs.get("version") is None:
            problems.append(Problem("version", "version is required for a new cluster, such as '15' for pg"))
        if inputs.get("evictionPolicy") and inputs.get("engine") not in EVICTING:
            problems.append(Problem("evictionPolicy", "an eviction policy is only for the engine valkey"))
        return problems

    def canonical(self, value: Any, name: str = "") -> Any:
        if name == "hour" and isinstance(value, str):
            return value.removesuffix(":00") if value.count(":") > 1 else value
        return super().canonical(value, name)

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        """Make it and wait: a cluster that does not come online is no part of the state, as with the real plugin."""
        given = it.inputs
        body = {
            **{name: given.get(name, "") for name in ("name", "engine", "version", "size", "region")},
            "num_nodes": given["nodeCount"],
            "private_network_uuid": given.get("privateNetworkUuid", ""),
            "project_id": given.get("projectId", ""),
            "rules": None,
        }
        body |= {"tags": given["tags"]} if given.get("tags") else {}
        body |= _storage(given)
        if restore := given.get("backupRestore"):
            body["backup_restore"] = {snake(name): value for name, value in restore.items()}
        made = it.session.api.post(CLUSTERS, body)["database"]
        _wait_online(it.session, made["id"])
        return made["id"], {"password": made["connection"]["password"]}

    def settle(self, it: Work[Session]) -> None:
        self._apply(it.session, it.id, it.inputs, frozenset(it.inputs))

    def read(self, it: Work[Session]) -> Properties | None:
        answer = it.session.api.find(f"{CLUSTERS}/{it.id}")
        if answer is None:
            return None
        found = cluster_state(answer["database"])
        if found["engine"] in EVICTING and it.state.get("evictionPolicy"):
            found["evictionPolicy"] = it.session.api.get(f"{CLUSTERS}/{it.id}/eviction_policy")["eviction_policy"]
        return found

    def update(self, it: Work[Session]) -> None:
        path = f"{CLUSTERS}/{it.id}"
        if it.changed & {"size", "nodeCount", "storageSizeMib"}:
            storage = _storage(it.inputs) if "storageSizeMib" in it.changed else {}
            body = {"size": it.inputs["size"], "num_nodes": it.inputs["nodeCount"], **storage}
            it.session.api.put(f"{path}/resize", body)
            _wait_online(it.session, it.id)
        if "region" in it.changed:
            it.session.api.put(f"{path}/migrate", {"region": it.inputs["region"]})
            _wait_online(it.session, it.id)
        if "version" in it.changed:
            it.session.api.put(f"{path}/upgrade", {"version": it.inputs["version"]})
        self._apply(it.session, it.id, it.inputs, it.changed)
        if "tags" in it.changed:
            retag(it.session, it.id, "database", it.state.get("tags") or [], it.inputs.get("tags") or [])

    def delete(self, it: Work[Session]) -> None:
        it.session.api.delete(f"{CLUSTERS}/{it.id}")

    @staticmethod
    def _apply(session: Session, identity: str, inputs: Properties, names: frozenset[str]) -> None:
        if "maintenanceWindows" in names and inputs.get("maintenanceWindows"):
            session.api.put(f"{CLUSTERS}/{identity}/maintenance", inputs["maintenanceWindows"][0])
        if "evictionPolicy" in names and inputs.get("evictionPolicy"):
            policy = {"eviction_policy": inputs["evictionPolicy"]}
            session.api.put(f"{CLUSTERS}/{identity}/eviction_policy", policy)


def _storage(inputs: Properties) -> dict[str, int]:
    return {"storage_size_mib": int(inputs["storageSizeMib"])} if inputs.get("storageSizeMib") else {}


def _wait_online(session: Session, identity: str) -> None:
    """Every other state, and not being there, is one on the way."""
    wait_for(
        lambda: (session.api.find(f"{CLUSTERS}/{identity}") or {}).get("database", {}).get("status"),
        lambda status: status == "online",
        f"waiting for database cluster {identity}",
        session.cancelled,
        1800,
    )


def cluster_state(item: Mapping[str, Any]) -> Properties:
    """The properties that a cluster of the API tells."""
    names = ("name", "engine", "version", "size", "region", "tags")
    window = item.get("maintenance_window") or {}
    return {
        **{name: item.get(name) for name in names},
        **_connection(item),
        "database": (item.get("connection") or {}).get("database", ""),
        "user": (item.get("connection") or {}).get("user", ""),
        "nodeCount": item["num_nodes"],
        "privateNetworkUuid": item.get("private_network_uuid", ""),
        "projectId": item.get("project_id", ""),
        "storageSizeMib": str(item.get("storage_size_mib", "")),
        "clusterUrn": f"do:dbaas:{item['id']}",
        "metricsEndpoints": [],
        "maintenanceWindows": [{name: window[name] for name in ("day", "hour")}] if window else [],
        **{
            f"ui{word}": 0 if word == "Port" else "" for word in ("Database", "Host", "Password", "Port", "Uri", "User")
        },
    }


def _connection(item: Mapping[str, Any]) -> Properties:
    """Where a cluster or a pool is reached."""
    outer, inner = item.get("connection") or {}, item.get("private_connection") or {}
    found = {name: outer[name] for name in ("host", "port", "uri", "password") if outer.get(name)}
    return {**found, "privateHost": inner.get("host", ""), "privateUri": inner.get("uri", "")}


class _Part(Rest):
    """Something inside of a cluster: `word` is its collection there, `mark` stands before its name in its id."""

    required = frozenset({"clusterId"})
    replaces = frozenset({"clusterId", "name"})
    autoname = "name"
    autoname_limit = 63
    word: ClassVar[str]
    mark: ClassVar[str]

    def at(self, cluster: str, name: str = "") -> str:
        return f"{CLUSTERS}/{cluster}/{self.word}" + (f"/{name}" if name else "")

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {name: value for name, value in super().body(inputs).items() if name != "cluster_id"}

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        item = it.session.api.post(self.at(it.inputs["clusterId"]), self.body(it.inputs))[self.root]
        return f"{it.inputs['clusterId']}/{self.mark}{item['name']}", self.state(item)

    def read(self, it: Work[Session]) -> Properties | None:
        cluster, name = it.id.partition("/")[0], it.id.rpartition("/")[2]
        answer = it.session.api.find(self.at(cluster, name))
        return None if answer is None else {**self.state(answer[self.root]), "clusterId": cluster, "name": name}

    def delete(self, it: Work[Session]) -> None:
        it.session.api.delete(self.at(it.state["clusterId"], it.state["name"]))


class DatabaseDb(_Part):
    kind = "digitalocean:index/databaseDb:DatabaseDb"
    sdk = "pulumi_digitalocean.database_db:DatabaseDb"
    label = "Database DB"
    word, root, mark = "dbs", "db", "database/"


class DatabaseUser(_Part):
    kind = "digitalocean:index/databaseUser:DatabaseUser"
    sdk = "pulumi_digitalocean.database_user:DatabaseUser"
    label = "Database User"
    word, root, mark = "users", "user", "user/"
    secrets = frozenset({"accessCert", "accessKey", "password"})

    def update(self, it: Work[Session]) -> None:
        """What can change in place belongs to engines that this cloud does not have."""
        del it


class DatabaseConnectionPool(_Part):
    kind = "digitalocean:index/databaseConnectionPool:DatabaseConnectionPool"
    sdk = "pulumi_digitalocean.database_connection_pool:DatabaseConnectionPool"
    label = "DatabaseConnectionPool"
    word, root, mark = "pools", "pool", ""
    required = frozenset({"clusterId", "dbName", "mode", "size"})
    replaces = frozenset({"clusterId", "dbName", "mode", "name", "size", "user"})
    secrets = CONNECTION
    wire: ClassVar[Mapping[str, str | None]] = {"dbName": "db"}

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {"user": "", **super().body(inputs)}

    def state(self, item: Mapping[str, Any]) -> Properties:
        return {**super().state(item), **_connection(item)}


class DatabaseFirewall(Codec[Session]):
    kind = "digitalocean:index/databaseFirewall:DatabaseFirewall"
    sdk = "pulumi_digitalocean.database_firewall:DatabaseFirewall"
    label = "DatabaseFirewall"
    required = frozenset({"clusterId", "rules"})
    replaces = frozenset({"clusterId"})
    sets = frozenset({"rules"})

    def canonical(self, value: Any, name: str = "") -> Any:
        found = super().canonical(value, name)
        if name == "rules" and isinstance(found, list):
            return sorted((rule.get("type", ""), rule.get("value", "")) for rule in found if isinstance(rule, dict))
        return found

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        self._put(it.session, it.inputs["clusterId"], it.inputs["rules"])
        return f"{it.inputs['clusterId']}-{secrets.token_hex(13)}", {}

    def read(self, it: Work[Session]) -> Properties | None:
        cluster = it.state["clusterId"]
        answer = it.session.api.find(f"{CLUSTERS}/{cluster}/firewall")
        if answer is None:
            return None
        names = {"uuid": "uuid", "type": "type", "value": "value", "createdAt": "created_at"}
        rules = [{name: rule[wire] for name, wire in names.items()} for rule in answer["rules"]]
        return {"clusterId": cluster, "rules": rules}

    def update(self, it: Work[Session]) -> None:
        known = {(rule["type"], rule["value"]): rule.get("uuid", "") for rule in it.state.get("rules") or []}
        rules = [{**rule, "uuid": known.get((rule["type"], rule["value"]), "")} for rule in it.inputs["rules"]]
        self._put(it.session, it.inputs["clusterId"], rules)

    def delete(self, it: Work[Session]) -> None:
        """No rule: the cluster is open to everybody then, as with the real plugin."""
        self._put(it.session, it.state["clusterId"], [])

    @staticmethod
    def _put(session: Session, cluster: str, rules: list[Properties]) -> None:
        fixed = {"cluster_uuid": "", "created_at": "0001-01-01T00:00:00Z"}
        body = [
            {**fixed, "uuid": rule.get("uuid") or "", "type": rule["type"], "value": rule["value"]} for rule in rules
        ]
        session.api.put(f"{CLUSTERS}/{cluster}/firewall", {"rules": body})


class DatabasePostgresqlConfig(Codec[Session]):
    kind = "digitalocean:index/databasePostgresqlConfig:DatabasePostgresqlConfig"
    sdk = "pulumi_digitalocean.database_postgresql_config:DatabasePostgresqlConfig"
    label = "PostgreSQL configuration"
    required = frozenset({"clusterId"})
    replaces = frozenset({"clusterId"})
    wire: ClassVar[Mapping[str, str]] = {"pgbouncers": "pgbouncer", "timescaledbs": "timescaledb"}

    def name_of(self, name: str) -> str:
        return self.wire.get(name, snake(name))

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        self.update(it)
        return f"{it.inputs['clusterId']}/config", {}

    def read(self, it: Work[Session]) -> Properties | None:
        cluster = it.id.partition("/")[0]
        answer = it.session.api.find(f"{CLUSTERS}/{cluster}/config")
        if answer is None:
            return None
        known = {name: answer["config"].get(self.name_of(name)) for name in schema.output_names(self.sdk)}
        return {"clusterId": cluster, **{name: _listed(value) for name, value in known.items() if value is not None}}

    def update(self, it: Work[Session]) -> None:
        names = (name for name in it.inputs if name != "clusterId" and not name.startswith("__"))
        config = {self.name_of(name): _unlisted(it.inputs[name]) for name in names}
        if config:
            it.session.api.send("PATCH", f"{CLUSTERS}/{it.inputs['clusterId']}/config", {"config": config})

    def delete(self, it: Work[Session]) -> None:
        """Settings have no end: the cluster keeps them, as with the real plugin."""
        del it


def _listed(value: Any) -> Any:
    """An object of the API is a list of one object here."""
    return [{camel(name): item for name, item in value.items()}] if isinstance(value, dict) else value


def _unlisted(value: Any) -> Any:
    one = isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)
    return {snake(name): item for name, item in value[0].items()} if one else value


class DatabaseValkeyConfig(DatabasePostgresqlConfig):
    kind = "digitalocean:index/databaseValkeyConfig:DatabaseValkeyConfig"
    sdk = "pulumi_digitalocean.database_valkey_config:DatabaseValkeyConfig"
    label = "Valkey configuration"

    def name_of(self, name: str) -> str:
        wire = snake(name)
        return wire if wire.startswith("valkey_") or wire == "frequent_snapshots" else f"valkey_{wire}"
