"""Tags. A tag is a name; who bears it stands in the record of the bearer, under `tags`."""

import re
from collections.abc import Iterable
from typing import Any

from localcloud.cloud import Cloud, Kind
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

routes = Routes()
KIND = Kind(routes, records="tags")
# Kinds that the counters must name, whether or not this cloud has them.
COUNTED = ("droplets", "images", "volumes", "volume_snapshots", "databases")


def ensure(cloud: Cloud, names: Iterable[str]) -> list[str]:
    """Make tags that do not exist yet and give all, each in the letters of its first use. Raises 422 on a bad name."""
    known = cloud.store.kind("tags")
    result = []
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9:_-]{1,255}", name):
            raise invalid(f"Tag {name}: only letters, numbers, colons, dashes and underscores; 255 characters at most.")
        result.append(known.setdefault(name.lower(), {"name": name})["name"])
    return list(dict.fromkeys(result))


def bearers(cloud: Cloud, records: str, tag: str) -> list[Record]:
    """Give the records of one kind that bear a tag, whatever its letters' case."""
    return [one for one in cloud.records(records) if tag.lower() in map(str.lower, one.get("tags", []))]


def present(cloud: Cloud, tag: Record) -> dict[str, Any]:
    resources: dict[str, Any] = {name: {"count": 0} for name in COUNTED}
    for kind in cloud.kinds:
        if kind.plural:
            resources[kind.plural] = {"count": len(bearers(cloud, kind.records, tag["name"]))}
    total = sum(one["count"] for one in resources.values())
    return {"name": tag["name"], "resources": {"count": total, "last_tagged_uri": "", **resources}}


@routes.get("/v2/tags")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("tags", [present(cloud, tag) for tag in cloud.records("tags")])


@routes.post("/v2/tags")
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    [name] = ensure(cloud, [call.need("name", str)])
    return {"tag": present(cloud, cloud.one("tags", name.lower()))}


@routes.get("/v2/tags/<name>")
def show(cloud: Cloud, call: Call, name: str) -> dict[str, Any]:
    return {"tag": present(cloud, cloud.one("tags", name.lower()))}


@routes.delete("/v2/tags/<name>")
def delete(cloud: Cloud, call: Call, name: str) -> None:
    tag = cloud.one("tags", name.lower())
    for kind in cloud.kinds:
        for record in bearers(cloud, kind.records, tag["name"]) if kind.plural else []:
            record["tags"].remove(tag["name"])
    del cloud.store.kind("tags")[name.lower()]


@routes.post("/v2/tags/<name>/resources", status=204)
def tag_resources(cloud: Cloud, call: Call, name: str) -> None:
    tag = cloud.one("tags", name.lower())["name"]
    for record in _named(cloud, call):
        if tag not in record["tags"]:
            record["tags"].append(tag)


@routes.delete("/v2/tags/<name>/resources")
def untag_resources(cloud: Cloud, call: Call, name: str) -> None:
    tag = cloud.one("tags", name.lower())["name"]
    for record in _named(cloud, call):
        if tag in record["tags"]:
            record["tags"].remove(tag)


def _named(cloud: Cloud, call: Call) -> list[Record]:
    """Give the records that a body names. Raises 404 if one is missing, 422 if its kind bears no tags."""
    kinds = {kind.plural.removesuffix("s"): kind for kind in cloud.kinds if kind.plural}
    found = []
    for resource in call.need("resources", list):
        word, identity = resource.get("resource_type"), resource.get("resource_id")
        if word not in kinds:
            raise invalid(f"resource_type {word} cannot be tagged; one of: {', '.join(kinds)}.")
        try:
            found.append(cloud.one(kinds[word].records, identity))
        except ApiError:
            raise ApiError(404, f"There is no {word} {identity}.") from None
    return found
