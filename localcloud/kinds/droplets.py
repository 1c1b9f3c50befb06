"""Droplets: made, shown, removed. What is done to them later stands in `power`."""

import logging
import re
import threading
from collections import defaultdict
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.engine import EngineError
from localcloud.kinds import actions, addresses, catalog, images, ssh_keys, tags, vpcs
from localcloud.machine import Limits, Machine, Seed
from localcloud.store import Record
from localcloud.web import Call, Routes, invalid

LOG = logging.getLogger(__name__)
routes = Routes()
BACKUP_HOURS = range(0, 21, 4)
BACKUP_PLANS = ("daily", "weekly")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# One thing at a time is done to a droplet's container.
_AT_WORK: defaultdict[tuple[str, int], threading.Lock] = defaultdict(threading.Lock)


def machine(cloud: Cloud, number: int) -> Machine:
    return Machine(cloud.config, cloud.engine, number)


def at_work(cloud: Cloud, number: int) -> threading.Lock:
    return _AT_WORK[cloud.config.identity, number]


def limits(size: str) -> Limits:
    found = catalog.size(size)
    return Limits(memory=found["memory"], processors=found["vcpus"])


def present(cloud: Cloud, droplet: Record) -> dict[str, Any]:
    """Give a droplet as the API shows it."""
    size = catalog.size(droplet["size"])
    snapshots = [one["id"] for one in images.of_droplet(cloud, droplet["id"])]
    return {
        "id": droplet["id"],
        "name": droplet["name"],
        "memory": size["memory"],
        "vcpus": size["vcpus"],
        "disk": droplet["disk"],
        "locked": actions.busy(cloud, "droplet", droplet["id"]),
        "status": droplet["status"],
        "kernel": None,
        "created_at": droplet["created_at"],
        "features": list(droplet["features"]),
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": snapshots,
        "image": images.present(droplet["image"]),
        "volume_ids": [],
        "size": size,
        "size_slug": droplet["size"],
        "networks": _networks(cloud, droplet),
        "region": catalog.region(droplet["region"]),
        "tags": list(droplet["tags"]),
        "vpc_uuid": droplet["vpc_uuid"],
    }


def _networks(cloud: Cloud, droplet: Record) -> dict[str, Any]:
    if droplet["status"] == "new":
        return {"v4": [], "v6": []}
    vpc = IPv4Network(cloud.one("vpcs", droplet["vpc_uuid"])["ip_range"])
    v4 = [
        {"ip_address": droplet[word], "netmask": str(network.netmask), "gateway": str(network[1]), "type": word}
        for word, network in (("public", cloud.config.subnet), ("private", vpc))
    ]
    v6 = []
    if "ipv6" in droplet["features"]:
        address = f"2001:db8::{droplet['id']:x}"
        v6 = [{"ip_address": address, "netmask": 64, "gateway": "2001:db8::1", "type": "public"}]
    return {"v4": v4, "v6": v6}


def backup_policy(call: Call) -> Record | None:
    """Read `backup_policy`. Raises 422 on a plan, weekday or hour that the API does not take."""
    policy = call.get("backup_policy", dict, {})
    if not policy:
        return None
    plan, weekday, hour = policy.get("plan", "daily"), policy.get("weekday"), policy.get("hour", 0)
    if plan not in BACKUP_PLANS or hour not in BACKUP_HOURS:
        raise invalid("backup_policy: plan is daily or weekly, hour is one of 0, 4, 8, 12, 16, 20.")
    if plan == "weekly" and weekday not in WEEKDAYS:
        raise invalid(f"backup_policy: a weekly plan needs weekday, one of {', '.join(WEEKDAYS)}.")
    return {"plan": plan, "weekday": weekday if plan == "weekly" else None, "hour": hour}


@routes.get("/v2/droplets")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    found = cloud.records("droplets")
    if tag := call.query.get("tag_name"):
        found = tags.bearers(cloud, "droplets", tag)
    if name := call.query.get("name"):
        found = [one for one in found if one["name"] == name]
    return call.page("droplets", [present(cloud, one) for one in found])


@routes.post("/v2/droplets", status=202)
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    names = call.texts("names") or [call.need("name", str)]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", name):
            raise invalid("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    made = [_create(cloud, call, name) for name in names]
    shown = [present(cloud, droplet) for droplet, _ in made]
    links = [
        {"id": one["id"], "rel": "create", "href": f"{cloud.config.api}/v2/actions/{one['id']}"} for _, one in made
    ]
    body = {"droplets": shown} if call.texts("names") else {"droplet": shown[0]}
    return {**body, "links": {"actions": links}}


def _create(cloud: Cloud, call: Call, name: str) -> tuple[Record, Record]:
    size, slug = catalog.size(call.need("size", str)), call.need("region", str)
    catalog.region(slug)
    image = images.find(cloud, call.body.get("image"))
    if image["min_disk_size"] > size["disk"]:
        raise invalid("The image is larger than the disk of this size.")
    if call.get("volumes", list, []):
        raise invalid("volumes: the local cloud has no volumes.")
    policy = backup_policy(call)
    if policy and not call.get("backups", bool, False):
        raise invalid("backup_policy needs backups to be enabled.")
    keys = [_public_key(cloud, key) for key in call.get("ssh_keys", list, [])]
    wanted = call.get("vpc_uuid", str, "")
    if wanted and cloud.store.kind("vpcs").get(wanted, {}).get("region") != slug:
        raise invalid("vpc_uuid: there is no such VPC in this region.")
    names = tags.ensure(cloud, call.texts("tags"))
    public = addresses.public(cloud)
    vpc = cloud.one("vpcs", wanted) if wanted else vpcs.default(cloud, slug)
    number = cloud.store.next_id()
    droplet = {
        "id": number,
        "name": name,
        "hostname": name,
        "status": "new",
        "created_at": now(),
        "region": slug,
        "size": size["slug"],
        "disk": size["disk"],
        "image": image,
        "features": _features(call),
        "backup_policy": policy,
        "tags": names,
        "vpc_uuid": vpc["id"],
        "public": public,
        "private": addresses.private(cloud, vpc),
        "public_keys": keys,
        "user_data": call.get("user_data", str, ""),
        "instance": 1,
        "leaving": False,
    }
    cloud.store.kind("droplets")[str(number)] = droplet
    action = actions.begin(cloud, "create", ("droplet", number), slug)
    _provision_later(cloud, number, action)
    return droplet, action


def _features(call: Call) -> list[str]:
    asked = [word for word in ("backups", "ipv6", "monitoring") if call.get(word, bool, False)]
    agent = ["droplet_agent"] if call.get("with_droplet_agent", bool, True) else []
    return [*asked, *agent, "private_networking"]


def _public_key(cloud: Cloud, key: object) -> str:
    found = ssh_keys.find(cloud, key)
    if not found:
        raise invalid(f"{key} are invalid key identifiers for Droplet creation.")
    return found["public_key"]


def _provision_later(cloud: Cloud, number: int, action: Record) -> None:
    def give_up() -> None:
        # The status that ends the wait of clients at once; the droplet can still be deleted.
        cloud.one("droplets", number)["status"] = "archive"

    def work() -> None:
        with at_work(cloud, number):
            actions.perform(cloud, action, lambda: provision(cloud, number), give_up)

    cloud.later(work)


def provision(cloud: Cloud, number: int) -> Any:
    """Make and start a droplet's container, by its record; what is there of it is wiped."""
    with cloud.store.transaction():
        droplet = dict(cloud.one("droplets", number))
        vpc = dict(cloud.one("vpcs", droplet["vpc_uuid"]))
    this = machine(cloud, number)
    this.wipe()
    if snapshot := droplet["image"].get("snapshot"):
        this.restore(snapshot)
    seed = Seed(
        instance=f"{cloud.config.identity}-{number}-{droplet['instance']}",
        hostname=droplet["hostname"],
        public_keys=tuple(droplet["public_keys"]),
        user_data=droplet["user_data"],
    )
    this.create(
        snapshot or cloud.config.image, seed, IPv4Address(droplet["public"]), vpcs.network(cloud, vpc),
        IPv4Address(droplet["private"]), limits(droplet["size"]),
    )  # fmt: skip
    # The filter is there before the first packet: a droplet is never open for a moment.
    cloud.reconcile()
    this.start()
    return lambda: cloud.one("droplets", number).update(status="active")


@routes.get("/v2/droplets/<int:number>")
def show(cloud: Cloud, call: Call, number: int) -> dict[str, Any]:
    return {"droplet": present(cloud, cloud.one("droplets", number))}


@routes.delete("/v2/droplets/<int:number>")
def delete(cloud: Cloud, call: Call, number: int) -> None:
    _leave(cloud, cloud.one("droplets", number))


@routes.delete("/v2/droplets")
def delete_tagged(cloud: Cloud, call: Call) -> None:
    tag = call.query.get("tag_name")
    if not tag:
        raise invalid("tag_name is missing.")
    for droplet in tags.bearers(cloud, "droplets", tag):
        _leave(cloud, droplet)


def _leave(cloud: Cloud, droplet: Record) -> None:
    """Mark a droplet as on its way out, free its reserved address, and remove it after the answer."""
    droplet["leaving"] = True
    for reserved in cloud.records("reserved_ips"):
        if reserved["droplet_id"] == droplet["id"]:
            reserved["droplet_id"] = None
    for firewall in cloud.records("firewalls"):
        firewall["droplet_ids"] = [one for one in firewall["droplet_ids"] if one != droplet["id"]]
    _remove_later(cloud, droplet["id"])


def _remove_later(cloud: Cloud, number: int) -> None:
    def work() -> None:
        with at_work(cloud, number):
            machine(cloud, number).destroy()
        with cloud.store.transaction():
            cloud.store.kind("droplets").pop(str(number), None)
        cloud.reconcile()
        images.sweep(cloud)

    cloud.later(work)


@routes.get("/v2/droplets/<int:number>/actions")
def list_actions(cloud: Cloud, call: Call, number: int) -> dict[str, Any]:
    cloud.one("droplets", number)
    return call.page("actions", [actions.present(one) for one in actions.of(cloud, "droplet", number)])


@routes.get("/v2/droplets/<int:number>/actions/<int:identity>")
def show_action(cloud: Cloud, call: Call, number: int, identity: int) -> dict[str, Any]:
    cloud.one("droplets", number)
    return {"action": actions.present(cloud.one("actions", identity))}


@routes.get("/v2/droplets/<int:number>/snapshots")
def list_snapshots(cloud: Cloud, call: Call, number: int) -> dict[str, Any]:
    cloud.one("droplets", number)
    return call.page("snapshots", [images.present(one) for one in images.of_droplet(cloud, number)])


@routes.get("/v2/droplets/<int:number>/backups")
def list_backups(cloud: Cloud, call: Call, number: int) -> dict[str, Any]:
    """Give the weekly or daily backups: none, the local cloud never takes one by itself."""
    cloud.one("droplets", number)
    return call.page("backups", [])


@routes.get("/v2/droplets/<int:number>/backups/policy")
def show_policy(cloud: Cloud, call: Call, number: int) -> dict[str, Any]:
    droplet = cloud.one("droplets", number)
    enabled = "backups" in droplet["features"]
    return {"policy": {"droplet_id": number, "backup_enabled": enabled, "backup_policy": droplet["backup_policy"]}}


def recover(cloud: Cloud) -> None:
    """Make containers what the records say: begun ones are made, active ones run, others do not, leaving ones go."""
    with cloud.store.transaction():
        every = [dict(one) for one in cloud.records("droplets")]
        creating = {one["resource_id"]: one for one in cloud.records("actions") if one["completed_at"] is None}
    for droplet in every:
        this = machine(cloud, droplet["id"])
        if droplet["leaving"]:
            _remove_later(cloud, droplet["id"])
        elif droplet["status"] == "new" and droplet["id"] in creating:
            _provision_later(cloud, droplet["id"], creating[droplet["id"]])
        else:
            _settle(this, running=droplet["status"] == "active")


def _settle(this: Machine, *, running: bool) -> None:
    """Start or stop a droplet; one that cannot be started must not keep the others from it."""
    try:
        if running:
            this.start()
        else:
            this.kill()
    except EngineError:
        LOG.exception("droplet %s could not be settled", this.number)


KIND = Kind(routes, records="droplets", resource="droplet", plural="droplets", recover=recover)
