"""Settings of managed databases: checked against the server's own limits before they are kept."""

import re
from typing import Any

from localcloud.cloud import Cloud, Kind
from localcloud.kinds.database_files import node_of
from localcloud.kinds.databases import find, ready
from localcloud.servers import settings
from localcloud.store import Record
from localcloud.web import Call, Routes, invalid

routes = Routes()
KIND = Kind(routes)


@routes.get("/v2/databases/<identity>/config")
def show_config(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"config": find(cloud, identity)["config"]}


@routes.patch("/v2/databases/<identity>/config")
def change_config(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    cluster = ready(cloud, identity, "")
    wanted = {name: value for name, value in call.need("config", dict).items() if value is not None}
    if cluster["engine"] == "pg":
        _check_settings(cloud, cluster, settings(wanted))
    elif unknown := [name for name in wanted if not name.startswith("valkey_")]:
        raise invalid(f"unknown settings: {', '.join(unknown)}")
    if policy := wanted.pop("valkey_maxmemory_policy", None):
        cluster["eviction_policy"] = str(policy).replace("-", "_")
    cluster["config"] |= wanted
    return {"config": cluster["config"]}


def _check_settings(cloud: Cloud, cluster: Record, wanted: dict[str, Any]) -> None:
    """Raise 422 on what the server would not take, or not start with."""
    if bad := [name for name in wanted if not re.fullmatch(r"[a-z_]+", name)]:
        raise invalid(f"unknown settings: {', '.join(bad)}")
    names = ", ".join(f"'{name}'" for name in wanted) or "''"
    query = f"SELECT name, vartype, min_val, max_val, enumvals FROM pg_settings WHERE name IN ({names})"  # noqa: S608
    known = {name: rest for name, *rest in node_of(cloud, cluster["id"], cluster["primary"]).sql(query)}
    for name, value in wanted.items():
        if name not in known:
            raise invalid(f"unknown setting: {name}")
        kind, least, most, words = known[name]
        if kind in ("integer", "real") and name != "work_mem":
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not float(least) <= value <= float(most)
            ):
                raise invalid(f"{name} must be a number between {least} and {most}")
        elif kind == "enum" and str(value) not in words.strip("{}").split(","):
            raise invalid(f"{name} must be one of {words}")
        elif kind == "bool" and not isinstance(value, bool) and value not in ("on", "off"):
            raise invalid(f"{name} must be true or false")
        elif "\n" in str(value):
            raise invalid(f"{name} must be one line")
