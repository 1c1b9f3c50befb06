"""Managed databases: clusters of PostgreSQL and Valkey, as the API knows them. `database_care` does the work."""

import re
import secrets
import uuid
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.kinds import addresses, catalog, database_care, tags, vpcs
from localcloud.kinds.database_files import follow, hosts, names
from localcloud.servers import PORT, SECOND_PORT
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

routes = Routes()
VERSIONS = {"pg": {"15": "15.0"}, "valkey": {"8": "8.0"}}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVICTION = ("noeviction", "allkeys_lru", "allkeys_random", "volatile_lru", "volatile_random", "volatile_ttl")


def find(cloud: Cloud, identity: str, engine: str = "") -> Record:
    """Give a cluster that is not on its way out. Raises 404, or 412 for one of another engine."""
    cluster = cloud.one("databases", identity)
    if cluster["leaving"]:
        raise ApiError(404)
    if engine and cluster["engine"] != engine:
        raise ApiError(412, f"This is not supported for {cluster['engine']} clusters.")
    return cluster


def ready(cloud: Cloud, identity: str, engine: str = "pg") -> Record:
    """Give a cluster whose server can be told something now. Raises 409 while it is being made."""
    cluster = find(cloud, identity, engine)
    if not cluster["made"] or cluster["promoting"]:
        raise ApiError(409, f"The database cluster is {cluster['status']}: try again when it is online.")
    return cluster


def first_user(cluster: Record) -> Record:
    return cluster["users"][0]


def connection(cluster: Record, *, private: bool, user: Record | None = None, database: str = "") -> dict[str, Any]:
    """Give a connection; with `database` it is that of a pool."""
    pg, host = cluster["engine"] == "pg", hosts(cluster)[private]
    user = user or first_user(cluster)
    port = PORT if pg and not database else SECOND_PORT
    name = database or ("defaultdb" if pg else "")
    scheme = "postgresql" if pg else "rediss"
    query = f"/{name}?sslmode=require" if pg else ""
    return {
        "protocol": scheme, "uri": f"{scheme}://{user['name']}:{user['password']}@{host}:{port}{query}",
        "database": name, "host": host, "port": port, "user": user["name"], "password": user["password"], "ssl": True,
    }  # fmt: skip


def present(cloud: Cloud, cluster: Record) -> dict[str, Any]:
    """Give a cluster as the API shows it."""
    shown = ("id", "name", "engine", "version", "num_nodes", "size", "region", "status", "created_at", "tags")
    urn = f"do:dbaas:{cluster['id']}"
    project = cloud.store.kind("assignments").get(urn, {}).get("project_id")
    default = next((one["id"] for one in cloud.records("projects") if one["is_default"]), "")
    pg = cluster["engine"] == "pg"
    return {
        **{name: cluster[name] for name in shown},
        "semantic_version": VERSIONS[cluster["engine"]][cluster["version"]],
        "private_network_uuid": cluster["vpc_uuid"],
        "project_id": project or default,
        "storage_size_mib": cluster["storage_size_mib"],
        "maintenance_window": {**cluster["maintenance"], "pending": False, "description": []},
        "connection": connection(cluster, private=False),
        "private_connection": connection(cluster, private=True),
        "users": cluster["users"],
        "db_names": cluster["dbs"] if pg else None,
    }


@routes.get("/v2/databases/options")
def options(cloud: Cloud, call: Call) -> dict[str, Any]:
    sizes, every = catalog.catalog()["database_sizes"], list(catalog.catalog()["regions"])
    layouts = [
        {"num_nodes": count, "sizes": [one["slug"] for one in sizes if one["nodes"] >= count]} for count in (1, 2, 3)
    ]
    shown = {"pg": layouts, "valkey": layouts[:1]}
    return {
        "options": {
            engine: {"regions": every, "versions": list(VERSIONS[engine]), "layouts": layout}
            for engine, layout in shown.items()
        }
    }


@routes.get("/v2/databases")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    found = [one for one in cloud.records("databases") if not one["leaving"]]
    if tag := call.query.get("tag_name"):
        found = [one for one in found if tag.lower() in map(str.lower, one["tags"])]
    return call.page("databases", [present(cloud, one) for one in found])


@routes.post("/v2/databases")
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    name, engine, region = call.need("name", str), call.need("engine", str), call.need("region", str)
    if not re.fullmatch(r"[a-z]([a-z0-9-]{1,61}[a-z0-9])", name):
        raise invalid("invalid cluster name: 3 to 63 lower-case letters, digits and dashes, with a letter first")
    if any(one["name"] == name and not one["leaving"] for one in cloud.records("databases")):
        raise invalid("cluster name is not available")
    catalog.region(region)
    version, size = _version(engine, call.need("version", str)), catalog.database_size(call.need("size", str))
    if call.get("backup_restore", dict, {}):
        raise invalid("backup_restore: the local cloud takes no backups of managed databases.")
    identity, vpc = str(uuid.uuid4()), _vpc(cloud, call, region)
    cluster: Record = {
        "id": identity, "name": name, "engine": engine, "version": version, "region": region, "size": size["slug"],
        "num_nodes": 0, "storage_size_mib": _storage(call, size["storage_mib"]), "status": "creating",
        "tags": tags.ensure(cloud, call.texts("tags")), "vpc_uuid": vpc["id"], "created_at": now(), "leaving": False,
        "maintenance": {"day": "sunday", "hour": "02:00:00"}, "config": {}, "eviction_policy": "noeviction",
        "users": [{"name": "doadmin" if engine == "pg" else "default", "role": "primary", "password": password()}],
        "dbs": ["defaultdb"], "pools": [], "rules": [], "replication": password(), "nodes": [], "dropped": [],
        "primary": 1, "sync": [], "safe": [], "made": False, "promoting": False,
        "public": addresses.public(cloud), "private": addresses.private(cloud, vpc), "addresses": [],
    }  # fmt: skip
    cloud.store.kind("databases")[identity] = cluster
    _set_nodes(cloud, cluster, call.get("num_nodes", int, 1))
    if project := call.get("project_id", str, ""):
        cloud.store.kind("assignments")[f"do:dbaas:{identity}"] = {
            "project_id": cloud.one("projects", project)["id"], "assigned_at": now(),
        }  # fmt: skip
    database_care.tend_later(cloud, identity)
    return {"database": present(cloud, cluster)}


def password() -> str:
    return f"AVNS_{secrets.token_hex(10)}"


def _version(engine: str, version: str) -> str:
    if engine not in VERSIONS:
        raise invalid(f"engine {engine}: the local cloud has {', '.join(VERSIONS)}.")
    if version not in VERSIONS[engine]:
        raise invalid(f"version {version} of {engine}: the local cloud has {', '.join(VERSIONS[engine])}.")
    return version


def _vpc(cloud: Cloud, call: Call, region: str) -> Record:
    wanted = call.get("private_network_uuid", str, "")
    if not wanted:
        return vpcs.default(cloud, region)
    if cloud.store.kind("vpcs").get(wanted, {}).get("region") != region:
        raise invalid("private_network_uuid: there is no such VPC in this region.")
    return cloud.one("vpcs", wanted)


def _storage(call: Call, least: int, before: int = 0) -> int:
    wanted = call.get("storage_size_mib", int, max(least, before))
    if wanted < before:
        raise invalid("storage_size_mib cannot be made smaller.")
    return max(wanted, least)


def _set_nodes(cloud: Cloud, cluster: Record, count: int) -> None:
    """Give a cluster as many nodes as it shall have; the primary is never among those that go."""
    most = catalog.database_size(cluster["size"])["nodes"] if cluster["engine"] == "pg" else 1
    if not 1 <= count <= most:
        raise invalid(f"num_nodes must be between 1 and {most} for {cluster['engine']} on {cluster['size']}.")
    nodes, vpc = cluster["nodes"], cloud.one("vpcs", cluster["vpc_uuid"])
    while len(nodes) > count:
        gone = [one for one in nodes if one["number"] != cluster["primary"]][-1]
        nodes.remove(gone)
        cluster["dropped"].append(gone["number"])
    while len(nodes) < count:
        number = max([one["number"] for one in nodes] + cluster["dropped"], default=0) + 1
        public = addresses.public(cloud)
        cluster["addresses"].append(public)
        private = addresses.private(cloud, vpc)
        nodes.append({"number": number, "public": public, "private": private, "started": ""})
        cluster["addresses"].append(private)
    cluster["addresses"] = [one[word] for one in nodes for word in ("public", "private")]
    cluster["num_nodes"] = count


@routes.get("/v2/databases/<identity>")
def show(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"database": present(cloud, find(cloud, identity))}


@routes.delete("/v2/databases/<identity>")
def delete(cloud: Cloud, call: Call, identity: str) -> None:
    find(cloud, identity)["leaving"] = True
    cloud.store.kind("assignments").pop(f"do:dbaas:{identity}", None)
    database_care.tend_later(cloud, identity)


@routes.put("/v2/databases/<identity>/resize", status=202)
def resize(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    cluster = find(cloud, identity)
    size, before = catalog.database_size(call.need("size", str)), catalog.database_size(cluster["size"])
    if size["memory"] < before["memory"]:
        raise invalid(f"A cluster cannot be made smaller: {size['slug']} has less memory than {before['slug']}.")
    cluster["size"] = size["slug"]
    cluster["storage_size_mib"] = _storage(call, size["storage_mib"], cluster["storage_size_mib"])
    _set_nodes(cloud, cluster, call.get("num_nodes", int, cluster["num_nodes"]))
    if cluster["status"] == "online":
        cluster["status"] = "resizing"
    database_care.tend_later(cloud, identity)
    return {}


@routes.put("/v2/databases/<identity>/maintenance", status=204)
def maintain(cloud: Cloud, call: Call, identity: str) -> None:
    day, hour = call.need("day", str), call.need("hour", str)
    if day not in DAYS or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", hour):
        raise invalid("day must be a day of the week in lower case, hour a time such as 02:00.")
    find(cloud, identity)["maintenance"] = {"day": day, "hour": hour if hour.count(":") > 1 else f"{hour}:00"}


@routes.put("/v2/databases/<identity>/upgrade", status=204)
def upgrade(cloud: Cloud, call: Call, identity: str) -> None:
    cluster, version = find(cloud, identity), call.need("version", str)
    if version == cluster["version"] or version not in VERSIONS[cluster["engine"]]:
        raise invalid(f"A cluster of version {cluster['version']} cannot be upgraded to {version}.")


@routes.put("/v2/databases/<identity>/migrate", status=202)
def migrate(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    region = call.need("region", str)
    catalog.region(region)
    if region != find(cloud, identity)["region"]:
        raise invalid("The local cloud does not move clusters between regions: all of them are this machine.")
    return {}


@routes.get("/v2/databases/<identity>/eviction_policy")
def show_eviction(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"eviction_policy": find(cloud, identity, "valkey")["eviction_policy"]}


@routes.put("/v2/databases/<identity>/eviction_policy", status=204)
def set_eviction(cloud: Cloud, call: Call, identity: str) -> None:
    policy = call.need("eviction_policy", str)
    if policy not in EVICTION:
        raise invalid(f"eviction_policy must be one of {', '.join(EVICTION)}.")
    find(cloud, identity, "valkey")["eviction_policy"] = policy


def reconcile(cloud: Cloud) -> None:
    """Let the filters and settings of running clusters follow the records."""
    with cloud.store.transaction():
        every = [one["id"] for one in cloud.records("databases")]
    for identity in every:
        follow(cloud, identity)


def recover(cloud: Cloud) -> None:
    cloud.every(database_care.SECONDS, lambda: database_care.tend_all(cloud))


KIND = Kind(
    routes, records="databases", resource="dbaas", plural="databases", reconcile=reconcile, recover=recover, hosts=names
)  # fmt: skip
