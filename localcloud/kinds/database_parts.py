"""What is inside of a managed database: databases, users, pools, trusted sources."""

import base64
import re
import uuid
from ipaddress import ip_network
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.kinds import catalog
from localcloud.kinds.database_files import node_of
from localcloud.kinds.databases import connection, find, password, ready
from localcloud.servers import CONNECTIONS_PER_GB, RESERVED_CONNECTIONS, connections
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

routes = Routes()
KIND = Kind(routes)
MODES = ("transaction", "session", "statement")
SOURCES = ("ip_addr", "droplet", "tag", "k8s", "app")
RESERVED = ("postgres", "replicator", "template0", "template1", "pgbouncer", "all", "public", "none")


def _name(call: Call, taken: list[str], what: str) -> str:
    name = call.need("name", str)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", name) or name in RESERVED or name.startswith("pg_"):
        raise invalid(f"invalid {what} name: letters, digits, _ and -, 63 at most, and no name of the server's own")
    if name in taken:
        raise ApiError(409, f"{what} name is not available")
    return name


def _sql(cloud: Cloud, cluster: Record, text: str) -> None:
    node_of(cloud, cluster["id"], cluster["primary"]).sql(text)


def _part(items: list[Record], name: str) -> Record:
    found = next((one for one in items if one["name"] == name), None)
    if found is None:
        raise ApiError(404)
    return found


@routes.get("/v2/databases/<identity>/ca")
def show_ca(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    cluster = find(cloud, identity)
    path = cloud.config.directory / "databases" / cluster["id"] / "ca.crt"
    return {"ca": {"certificate": base64.b64encode(path.read_bytes()).decode()}}


@routes.get("/v2/databases/<identity>/dbs")
def list_databases(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return call.page("dbs", [{"name": name} for name in find(cloud, identity, "pg")["dbs"]])


@routes.post("/v2/databases/<identity>/dbs")
def create_database(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    cluster = ready(cloud, identity)
    name = _name(call, cluster["dbs"], "database")
    _sql(cloud, cluster, f'CREATE DATABASE "{name}" OWNER doadmin')
    cluster["dbs"].append(name)
    return {"db": {"name": name}}


@routes.get("/v2/databases/<identity>/dbs/<name>")
def show_database(cloud: Cloud, call: Call, identity: str, name: str) -> dict[str, Any]:
    if name not in find(cloud, identity, "pg")["dbs"]:
        raise ApiError(404)
    return {"db": {"name": name}}


@routes.delete("/v2/databases/<identity>/dbs/<name>")
def delete_database(cloud: Cloud, call: Call, identity: str, name: str) -> None:
    show_database(cloud, call, identity, name)
    cluster = ready(cloud, identity)
    _sql(cloud, cluster, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    cluster["dbs"].remove(name)
    cluster["pools"] = [one for one in cluster["pools"] if one["db"] != name]


@routes.get("/v2/databases/<identity>/users")
def list_users(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return call.page("users", find(cloud, identity)["users"])


@routes.post("/v2/databases/<identity>/users")
def create_user(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    cluster = ready(cloud, identity)
    name = _name(call, [one["name"] for one in cluster["users"]], "user")
    user = {"name": name, "role": "normal", "password": password()}
    _sql(cloud, cluster, f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{user['password']}'")
    cluster["users"].append(user)
    return {"user": user}


@routes.get("/v2/databases/<identity>/users/<name>")
def show_user(cloud: Cloud, call: Call, identity: str, name: str) -> dict[str, Any]:
    return {"user": _part(find(cloud, identity)["users"], name)}


@routes.delete("/v2/databases/<identity>/users/<name>")
def delete_user(cloud: Cloud, call: Call, identity: str, name: str) -> None:
    """What the user owns goes to doadmin, and the user's rights go."""
    user, cluster = show_user(cloud, call, identity, name)["user"], ready(cloud, identity)
    if user["role"] == "primary":
        raise invalid(f"{name} cannot be deleted")
    node = node_of(cloud, identity, cluster["primary"])
    leave = f'REASSIGN OWNED BY "{name}" TO doadmin; DROP OWNED BY "{name}";'
    for database in [*cluster["dbs"]]:
        node.sql(leave, database)
    node.sql(f'DROP ROLE IF EXISTS "{name}"')
    cluster["users"].remove(user)
    cluster["pools"] = [one for one in cluster["pools"] if one["user"] != name]


@routes.post("/v2/databases/<identity>/users/<name>/reset_auth", status=200)
def reset_user(cloud: Cloud, call: Call, identity: str, name: str) -> dict[str, Any]:
    user, cluster = show_user(cloud, call, identity, name)["user"], ready(cloud, identity, "")
    user["password"] = password()
    if cluster["engine"] == "pg":
        _sql(cloud, cluster, f"ALTER ROLE \"{name}\" PASSWORD '{user['password']}'")
    return {"user": user}


def _present_pool(cluster: Record, pool: Record) -> dict[str, Any]:
    user = next((one for one in cluster["users"] if one["name"] == pool["user"]), None)
    both = {
        word: connection(cluster, private=private, user=user, database=pool["name"])
        for word, private in (("connection", False), ("private_connection", True))
    }
    return {**pool, **both}


def _read_pool(cluster: Record, call: Call, name: str) -> Record:
    pool = {
        "user": call.get("user", str, ""),
        "name": name,
        "size": call.need("size", int),
        "db": call.need("db", str),
        "mode": call.need("mode", str),
    }
    if pool["mode"] not in MODES:
        raise invalid(f"mode must be one of {', '.join(MODES)}")
    if pool["db"] not in cluster["dbs"] or pool["user"] not in ["", *(one["name"] for one in cluster["users"])]:
        raise invalid("a pool needs a database and a user that are there")
    most = connections(catalog.database_size(cluster["size"])["memory"]) - RESERVED_CONNECTIONS
    others = sum(one["size"] for one in cluster["pools"] if one["name"] != name)
    if not 1 <= pool["size"] <= most - others:
        raise invalid(
            f"The pool would take {pool['size']} connections and {most - others} of {most} are left:"
            f" {CONNECTIONS_PER_GB} for each GiB of memory, {RESERVED_CONNECTIONS} of them reserved."
        )
    return pool


@routes.get("/v2/databases/<identity>/pools")
def list_pools(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    cluster = find(cloud, identity, "pg")
    return call.page("pools", [_present_pool(cluster, one) for one in cluster["pools"]])


@routes.post("/v2/databases/<identity>/pools")
def create_pool(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    """The answer comes once the pooler has it: settings follow the records before a call that writes is answered."""
    cluster = ready(cloud, identity)
    pool = _read_pool(cluster, call, _name(call, [one["name"] for one in cluster["pools"]], "pool"))
    cluster["pools"].append(pool)
    return {"pool": _present_pool(cluster, pool)}


@routes.get("/v2/databases/<identity>/pools/<name>")
def show_pool(cloud: Cloud, call: Call, identity: str, name: str) -> dict[str, Any]:
    cluster = find(cloud, identity, "pg")
    return {"pool": _present_pool(cluster, _part(cluster["pools"], name))}


@routes.put("/v2/databases/<identity>/pools/<name>", status=204)
def change_pool(cloud: Cloud, call: Call, identity: str, name: str) -> None:
    cluster = ready(cloud, identity)
    _part(cluster["pools"], name).update(_read_pool(cluster, call, name))


@routes.delete("/v2/databases/<identity>/pools/<name>")
def delete_pool(cloud: Cloud, call: Call, identity: str, name: str) -> None:
    cluster = find(cloud, identity, "pg")
    cluster["pools"].remove(_part(cluster["pools"], name))


@routes.get("/v2/databases/<identity>/firewall")
def show_sources(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"rules": find(cloud, identity)["rules"]}


@routes.put("/v2/databases/<identity>/firewall", status=204)
def set_sources(cloud: Cloud, call: Call, identity: str) -> None:
    """No rule at all opens the cluster to everybody, as on the real cloud."""
    cluster = find(cloud, identity)
    known = {one["uuid"]: one for one in cluster["rules"]}
    cluster["rules"] = [_rule(cloud, identity, rule, known) for rule in call.get("rules", list, [])]


def _rule(cloud: Cloud, identity: str, rule: Any, known: dict[str, Record]) -> Record:
    kind, value = (str(rule.get(word) or "") for word in ("type", "value"))
    if kind not in SOURCES or not value:
        raise invalid(f"a rule needs a value, and a type out of {', '.join(SOURCES)}")
    if kind == "ip_addr":
        try:
            ip_network(value, strict=False)
        except ValueError:
            raise invalid(f"{value} is neither an address nor a range") from None
    if kind == "droplet" and value not in cloud.store.kind("droplets"):
        raise invalid(f"there is no droplet {value}")
    if kind == "app" or (kind == "k8s" and value not in cloud.store.kind("kubernetes_clusters")):
        raise invalid(f"there is no {kind} {value}")
    before = known.get(rule.get("uuid") or "")
    fixed = before or {"uuid": str(uuid.uuid4()), "created_at": now()}
    return {
        "uuid": fixed["uuid"],
        "cluster_uuid": identity,
        "type": kind,
        "value": value,
        "created_at": fixed["created_at"],
    }


@routes.get("/v2/databases/<identity>/backups")
def list_backups(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    """The local cloud takes no backups of managed databases."""
    find(cloud, identity)
    return {"backups": []}


@routes.get("/v2/databases/<identity>/autoscale")
def show_autoscale(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    """Disks here do not grow by themselves. The real plugin asks when it looks a cluster up by its name."""
    find(cloud, identity)
    return {"storage": {"enabled": False}}


@routes.get("/v2/databases/<identity>/replicas")
def list_replicas(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    find(cloud, identity, "pg")
    return {"replicas": []}


@routes.post("/v2/databases/<identity>/replicas")
def create_replica(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    raise invalid("The local cloud has no read-only replicas; its standbys serve no reads.")
