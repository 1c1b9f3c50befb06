"""VPCs: a Docker network each, internal. Every region has a default one, made when first needed."""

import uuid
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.engine import EngineError, used_by_machine
from localcloud.kinds.catalog import region as check_region
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

routes = Routes()
# Ranges for those who do not choose one; Docker's own choices lie elsewhere.
AUTOMATIC = IPv4Network("10.100.0.0/14")
LENGTHS = range(16, 29)


def network(cloud: Cloud, vpc: Record) -> str:
    return cloud.config.name(f"vpc-{vpc['id']}")


def default(cloud: Cloud, slug: str) -> Record:
    """Give the default VPC of a region."""
    for vpc in cloud.records("vpcs"):
        if vpc["default"] and vpc["region"] == slug:
            return vpc
    return _make(cloud, f"default-{slug}", slug, _free_range(cloud), is_default=True)


def members(cloud: Cloud, vpc: Record) -> list[dict[str, Any]]:
    """Give all resources that live in a VPC, of whatever kind, as {urn, name, created_at}."""
    return [
        {"urn": f"do:{kind.resource}:{one['id']}", "name": one["name"], "created_at": one["created_at"]}
        for kind in cloud.kinds
        if kind.resource
        for one in cloud.records(kind.records)
        if one.get("vpc_uuid") == vpc["id"]
    ]


def reconcile(cloud: Cloud) -> None:
    """Make the networks that are missing: after somebody removed them, or after a machine was set up anew."""
    with cloud.store.transaction():
        wanted = {network(cloud, vpc): IPv4Network(vpc["ip_range"]) for vpc in cloud.records("vpcs")}
    for name, subnet in wanted.items():
        cloud.engine.ensure_network(name, subnet)


KIND = Kind(routes, records="vpcs", recover=reconcile)


@routes.get("/v2/vpcs")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("vpcs", cloud.records("vpcs"))


@routes.post("/v2/vpcs")
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    name, slug = call.need("name", str), call.need("region", str)
    check_region(slug)
    if any(vpc["name"] == name for vpc in cloud.records("vpcs")):
        raise invalid(f"name: a VPC named {name} exists already.")
    text = call.get("ip_range", str, "")
    subnet = _check_range(cloud, text) if text else _free_range(cloud)
    return {"vpc": _make(cloud, name, slug, subnet, call.get("description", str, ""))}


@routes.get("/v2/vpcs/<identity>")
def show(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"vpc": cloud.one("vpcs", identity)}


@routes.put("/v2/vpcs/<identity>")
def replace(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    vpc = cloud.one("vpcs", identity)
    vpc["name"] = call.need("name", str)
    vpc["description"] = call.get("description", str, "")
    return _choose_default(cloud, call, vpc)


@routes.patch("/v2/vpcs/<identity>")
def change(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    vpc = cloud.one("vpcs", identity)
    vpc["name"] = call.get("name", str, vpc["name"])
    vpc["description"] = call.get("description", str, vpc["description"])
    return _choose_default(cloud, call, vpc)


@routes.delete("/v2/vpcs/<identity>")
def delete(cloud: Cloud, call: Call, identity: str) -> None:
    vpc = cloud.one("vpcs", identity)
    if vpc["default"]:
        raise ApiError(403, "Can not delete default VPCs")
    if members(cloud, vpc):
        raise ApiError(409, "Can not delete VPC with members")
    cloud.engine.remove("network", network(cloud, vpc))
    del cloud.store.kind("vpcs")[identity]


@routes.get("/v2/vpcs/<identity>/members")
def list_members(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return call.page("members", members(cloud, cloud.one("vpcs", identity)))


def _choose_default(cloud: Cloud, call: Call, vpc: Record) -> dict[str, Any]:
    if call.get("default", bool, False):
        for other in cloud.records("vpcs"):
            other["default"] = other["default"] and other["region"] != vpc["region"]
        vpc["default"] = True
    return {"vpc": vpc}


def _check_range(cloud: Cloud, text: str) -> IPv4Network:
    """Read a range. Raises 422 if it is none, has a wrong size or overlaps with what there is."""
    try:
        subnet = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise invalid(f"ip_range {text}: {error}") from None
    if subnet.prefixlen not in LENGTHS or not subnet.is_private:
        raise invalid(f"ip_range {text}: give a private range between /16 and /28.")
    if taken := _overlap(cloud, subnet):
        raise invalid(f"This range/size overlaps with another VPC network in your account: {text} and {taken}.")
    if used := used_by_machine(subnet):
        raise invalid(f"ip_range {text} overlaps {used[1]}, which this machine uses itself on {used[0]}.")
    return subnet


def _free_range(cloud: Cloud) -> IPv4Network:
    for subnet in AUTOMATIC.subnets(new_prefix=20):
        if not _overlap(cloud, subnet) and not used_by_machine(subnet):
            return subnet
    raise invalid(f"No range of {AUTOMATIC} is free: give ip_range.")


def _overlap(cloud: Cloud, subnet: IPv4Network) -> str | None:
    taken = [str(cloud.config.subnet), *(vpc["ip_range"] for vpc in cloud.records("vpcs"))]
    return next((text for text in taken if subnet.overlaps(IPv4Network(text))), None)


def _make(
    cloud: Cloud, name: str, slug: str, subnet: IPv4Network, description: str = "", *, is_default: bool = False
) -> Record:
    identity = str(uuid.uuid4())
    vpc = {
        "id": identity,
        "urn": f"do:vpc:{identity}",
        "name": name,
        "description": description,
        "region": slug,
        "ip_range": str(subnet),
        "default": is_default,
        "created_at": now(),
    }
    try:
        cloud.engine.ensure_network(network(cloud, vpc), subnet)
    except EngineError as error:
        raise invalid(f"ip_range {subnet}: Docker could not make the network: {error}") from None
    cloud.store.kind("vpcs")[identity] = vpc
    return vpc
