"""Reserved IPs: addresses of the public network that droplets hold beside their own, and that move between them."""

from ipaddress import IPv4Address
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.kinds import actions, addresses, catalog, droplets
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

routes = Routes()
KIND = Kind(routes, records="reserved_ips", resource="reservedip")


def present(cloud: Cloud, reserved: Record) -> dict[str, Any]:
    holder = reserved["droplet_id"]
    return {
        "ip": reserved["ip"],
        "region": catalog.region(reserved["region"]),
        "droplet": droplets.present(cloud, cloud.one("droplets", holder)) if holder else None,
        "locked": actions.busy(cloud, "reserved_ip", _number(reserved)),
        "project_id": cloud.store.kind("assignments").get(f"do:reservedip:{reserved['ip']}", {}).get("project_id"),
    }


def _number(reserved: Record) -> int:
    """Give the number by which actions know the address."""
    return int(IPv4Address(reserved["ip"]))


@routes.get("/v2/reserved_ips")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("reserved_ips", [present(cloud, one) for one in cloud.records("reserved_ips")])


@routes.post("/v2/reserved_ips", status=202)
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    holder = call.get("droplet_id", int, 0)
    slug = _holder(cloud, holder)["region"] if holder else call.need("region", str)
    catalog.region(slug)
    taken = {one["ip"] for one in cloud.records("reserved_ips")}
    address = addresses.free(taken, cloud.config.reserved_addresses, "reserved addresses")
    reserved = {"id": address, "ip": address, "region": slug, "droplet_id": holder or None, "created_at": now()}
    cloud.store.kind("reserved_ips")[address] = reserved
    return {"reserved_ip": present(cloud, reserved), "links": {}}


@routes.get("/v2/reserved_ips/<address>")
def show(cloud: Cloud, call: Call, address: str) -> dict[str, Any]:
    return {"reserved_ip": present(cloud, cloud.one("reserved_ips", address))}


@routes.delete("/v2/reserved_ips/<address>")
def delete(cloud: Cloud, call: Call, address: str) -> None:
    cloud.one("reserved_ips", address)
    # The address may be given out again: it shall not come with its former project.
    cloud.store.kind("assignments").pop(f"do:reservedip:{address}", None)
    del cloud.store.kind("reserved_ips")[address]


@routes.post("/v2/reserved_ips/<address>/actions")
def act(cloud: Cloud, call: Call, address: str) -> dict[str, Any]:
    reserved, word = cloud.one("reserved_ips", address), call.need("type", str)
    if word == "assign":
        holder = _holder(cloud, call.need("droplet_id", int), address)
        if holder["region"] != reserved["region"]:
            raise invalid("The reserved IP and the droplet must be in one region.")
        reserved["droplet_id"] = holder["id"]
    elif word == "unassign":
        if reserved["droplet_id"] is None:
            raise invalid("The reserved IP is not assigned to a droplet.")
        reserved["droplet_id"] = None
    else:
        raise invalid(f"type {word} is not an action. Actions: assign, unassign.")
    action = dict(actions.begin(cloud, f"{word}_ip", ("reserved_ip", _number(reserved)), reserved["region"]))
    # The address moves with the reconciliation that ends this call, and again with the action's own end.
    cloud.later(lambda: actions.perform(cloud, action, lambda: None))
    return {"action": actions.present(action)}


@routes.get("/v2/reserved_ips/<address>/actions")
def list_actions(cloud: Cloud, call: Call, address: str) -> dict[str, Any]:
    number = _number(cloud.one("reserved_ips", address))
    return call.page("actions", [actions.present(one) for one in actions.of(cloud, "reserved_ip", number)])


@routes.get("/v2/reserved_ips/<address>/actions/<int:identity>")
def show_action(cloud: Cloud, call: Call, address: str, identity: int) -> dict[str, Any]:
    action = cloud.one("actions", identity)
    if (action["resource_type"], action["resource_id"]) != ("reserved_ip", _number(cloud.one("reserved_ips", address))):
        raise ApiError(404)
    return {"action": actions.present(action)}


def _holder(cloud: Cloud, number: int, address: str = "") -> Record:
    """The droplet that is to have the address. It can have one only, as at the provider."""
    droplet = cloud.store.kind("droplets").get(str(number))
    if not droplet or droplet["leaving"]:
        raise invalid(f"droplet_id: there is no droplet {number}.")
    if any(one["droplet_id"] == number and one["ip"] != address for one in cloud.records("reserved_ips")):
        raise invalid(f"droplet_id: droplet {number} has a reserved IP already.")
    return droplet
