"""Images: the distributions' (all of them the one local image) and the snapshots of droplets, which are real."""

import logging
from typing import Any

from localcloud.cloud import Cloud, Kind
from localcloud.engine import EngineError
from localcloud.kinds import tags
from localcloud.kinds.catalog import catalog
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

LOG = logging.getLogger(__name__)
routes = Routes()
DISTRIBUTIONS_SINCE = "2026-01-01T00:00:00Z"


def distributions() -> list[Record]:
    fixed = {
        "public": True,
        "type": "base",
        "min_disk_size": 7,
        "size_gigabytes": 0.7,
        "created_at": DISTRIBUTIONS_SINCE,
    }
    return [{**one, **fixed, "regions": list(catalog()["regions"]), "tags": []} for one in catalog()["images"]]


def find(cloud: Cloud, key: object) -> Record:
    """Give the image of a slug or an id, as number or as text. Raises 422 if there is none."""
    for image in [*distributions(), *cloud.records("snapshots")]:
        if str(key) in (str(image["id"]), image["slug"]):
            return dict(image)
    known = ", ".join(one["slug"] for one in distributions())
    raise invalid(f"You specified an invalid image for Droplet creation. Images: {known}, and ids of snapshots.")


def of_droplet(cloud: Cloud, number: int) -> list[Record]:
    return [one for one in cloud.records("snapshots") if one["resource_id"] == number]


def keep(cloud: Cloud, droplet: Record, name: str, moment: str, saved: str) -> None:
    """Record a snapshot that was saved under a name in Docker; `moment` is when its action started."""
    identity = cloud.store.next_id()
    cloud.store.kind("snapshots")[str(identity)] = {
        "id": identity,
        "name": name,
        "slug": None,
        "distribution": droplet["image"]["distribution"],
        "public": False,
        "type": "snapshot",
        "regions": [droplet["region"]],
        "created_at": moment,
        "min_disk_size": droplet["disk"],
        "size_gigabytes": 1.0,
        "resource_id": droplet["id"],
        "tags": [],
        "snapshot": saved,
    }


def sweep(cloud: Cloud) -> None:
    """Remove what no snapshot needs any more: the deleted ones' parts, and what an interrupted one has left.

    Docker keeps an image as long as a droplet that was made from it is there; it goes with the droplet.
    """
    with cloud.store.transaction():
        kept = {one["snapshot"] for one in cloud.records("snapshots")}
        going_on = [one["id"] for one in cloud.records("actions") if one["completed_at"] is None]
    kept |= {cloud.config.name(f"snapshot-{number}") for number in going_on}
    for kind in ("image", "volume"):
        for name in cloud.engine.names(kind):
            if name.startswith(cloud.config.name("snapshot-")) and name not in kept:
                try:
                    cloud.engine.run(kind, "rm", name)
                except EngineError as error:
                    LOG.info("%s %s stays for now: %s", kind, name, error)


KIND = Kind(routes, records="snapshots", resource="image", plural="images", recover=sweep)


def present(image: Record) -> dict[str, Any]:
    """Give an image as images, droplets and lists of a droplet's snapshots show it: its id is a number."""
    hidden = ("snapshot", "resource_id")
    shown = {key: value for key, value in image.items() if key not in hidden}
    return {**shown, "description": image["name"], "status": "available", "error_message": ""}


def present_snapshot(snapshot: Record) -> dict[str, Any]:
    """Give a snapshot as /v2/snapshots shows it: its id, and its droplet's, are texts."""
    names = ("name", "regions", "created_at", "min_disk_size", "size_gigabytes", "tags")
    shown = {name: snapshot[name] for name in names}
    return {**shown, "id": str(snapshot["id"]), "resource_id": str(snapshot["resource_id"]), "resource_type": "droplet"}


@routes.get("/v2/images")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    own = cloud.records("snapshots")
    if call.query.get("private") == "true":
        found = own
    elif tag := call.query.get("tag_name"):
        found = tags.bearers(cloud, "snapshots", tag)
    else:
        found = distributions() if call.query.get("type") else [*distributions(), *own]
    return call.page("images", [present(one) for one in found])


@routes.get("/v2/images/<key>")
def show(cloud: Cloud, call: Call, key: str) -> dict[str, Any]:
    for image in [*distributions(), *cloud.records("snapshots")]:
        if key in (str(image["id"]), image["slug"]):
            return {"image": present(image)}
    raise ApiError(404)


@routes.put("/v2/images/<int:identity>")
def rename(cloud: Cloud, call: Call, identity: int) -> dict[str, Any]:
    image = cloud.one("snapshots", identity)
    image["name"] = call.need("name", str)
    return {"image": present(image)}


@routes.get("/v2/snapshots")
def list_snapshots(cloud: Cloud, call: Call) -> dict[str, Any]:
    wanted = call.query.get("resource_type", "droplet") == "droplet"
    return call.page("snapshots", [present_snapshot(one) for one in cloud.records("snapshots") if wanted])


@routes.get("/v2/snapshots/<int:identity>")
def show_snapshot(cloud: Cloud, call: Call, identity: int) -> dict[str, Any]:
    return {"snapshot": present_snapshot(cloud.one("snapshots", identity))}


@routes.delete("/v2/snapshots/<int:identity>")
@routes.delete("/v2/images/<int:identity>")
def delete(cloud: Cloud, call: Call, identity: int) -> None:
    cloud.one("snapshots", identity)
    del cloud.store.kind("snapshots")[str(identity)]
    cloud.later(lambda: sweep(cloud))
