"""Load balancers, as the API tells of them. What they really do stands in `balancers`."""

import uuid
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.kinds import addresses, balancer_fields, balancers, catalog, vpcs
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

routes = Routes()
NETWORKS = ("EXTERNAL", "INTERNAL")
HIDDEN = ("public", "private", "addresses", "leaving")


KIND = Kind(
    routes,
    records="load_balancers",
    resource="loadbalancer",
    reconcile=balancers.reconcile,
    recover=balancers.recover,
)


def present(cloud: Cloud, balancer: Record) -> dict[str, Any]:
    """Give a balancer as the API shows it."""
    shown = {key: value for key, value in balancer.items() if key not in HIDDEN}
    address = balancer["public"] or balancer["private"]
    given = cloud.store.kind("assignments").get(f"do:loadbalancer:{balancer['id']}", {}).get("project_id")
    return {
        **shown,
        "ip": address if balancer["status"] == "active" else "",
        "region": catalog.region(balancer["region"]),
        "size": "",
        "droplet_ids": [one["id"] for one in balancers.members(cloud, balancer)],
        "project_id": given or next(one["id"] for one in cloud.records("projects") if one["is_default"]),
    }


def _one(cloud: Cloud, identity: str) -> Record:
    balancer = cloud.one("load_balancers", identity)
    if balancer["leaving"]:
        raise ApiError(404)
    return balancer


@routes.get("/v2/load_balancers")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    every = [present(cloud, one) for one in cloud.records("load_balancers") if not one["leaving"]]
    return call.page("load_balancers", every)


@routes.post("/v2/load_balancers", status=202)
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    vpc = _vpc(cloud, call)
    network = call.get("network", str, "") or "EXTERNAL"
    if network not in NETWORKS or call.get("network_stack", str, "IPV4") not in ("", "IPV4"):
        raise invalid("network must be EXTERNAL or INTERNAL, and network_stack IPV4 in the local cloud")
    fields = balancer_fields.read(cloud, call)
    identity = str(uuid.uuid4())
    public, private = addresses.public(cloud) if network == "EXTERNAL" else None, addresses.private(cloud, vpc)
    balancer = {
        "id": identity,
        **fields,
        "status": "new",
        "created_at": now(),
        "type": "REGIONAL",
        "network": network,
        "network_stack": "IPV4",
        "region": vpc["region"],
        "vpc_uuid": vpc["id"],
        "public": public,
        "private": private,
        # Where a firewall finds it that names it as a source.
        "addresses": [one for one in (public, private) if one],
        "leaving": False,
    }
    _check_members(cloud, balancer, balancer["droplet_ids"])
    cloud.store.kind("load_balancers")[identity] = balancer
    _assign(cloud, balancer)
    balancers.provision_later(cloud, identity)
    return {"load_balancer": present(cloud, balancer)}


def _vpc(cloud: Cloud, call: Call) -> Record:
    """Give the VPC that a body names, else the default one of its region."""
    slug, wanted = call.get("region", str, ""), call.get("vpc_uuid", str, "")
    if not wanted:
        catalog.region(slug or call.need("region", str))
        return vpcs.default(cloud, slug)
    vpc = cloud.store.kind("vpcs").get(wanted)
    if vpc is None or slug not in ("", vpc["region"]):
        raise invalid("vpc_uuid: there is no such VPC in this region.")
    return vpc


def _check_members(cloud: Cloud, balancer: Record, numbers: list[Any]) -> None:
    known = cloud.store.kind("droplets")
    for number in numbers:
        found = known.get(str(number))
        if not found or found["leaving"]:
            raise invalid(f"droplet_ids: there is no droplet {number}")
        if found["vpc_uuid"] != balancer["vpc_uuid"]:
            raise invalid(f"droplet_ids: droplet {number} is not in the VPC of the load balancer")


def _assign(cloud: Cloud, balancer: Record) -> None:
    """Put a balancer into the project that it names."""
    project = balancer.pop("project_id")
    if project and project not in cloud.store.kind("projects"):
        raise invalid(f"project_id: there is no project {project}")
    if project:
        given = {"project_id": project, "assigned_at": now()}
        cloud.store.kind("assignments")[f"do:loadbalancer:{balancer['id']}"] = given


@routes.get("/v2/load_balancers/<identity>")
def show(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"load_balancer": present(cloud, _one(cloud, identity))}


@routes.put("/v2/load_balancers/<identity>")
def replace(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    balancer = _one(cloud, identity)
    for word in ("region", "vpc_uuid", "network"):
        if (asked := call.get(word, str, "")) and asked != balancer[word]:
            raise invalid(f"{word} of a load balancer cannot be changed")
    fields = balancer_fields.read(cloud, call)
    _check_members(cloud, balancer, fields["droplet_ids"])
    balancer |= fields
    _assign(cloud, balancer)
    return {"load_balancer": present(cloud, balancer)}


@routes.delete("/v2/load_balancers/<identity>")
def delete(cloud: Cloud, call: Call, identity: str) -> None:
    """Mark it as on its way out, so that its VPC is not deleted under it, and remove it after the answer."""
    _one(cloud, identity)["leaving"] = True
    cloud.store.kind("assignments").pop(f"do:loadbalancer:{identity}", None)
    balancers.remove_later(cloud, identity)


@routes.post("/v2/load_balancers/<identity>/droplets", status=204)
def add_droplets(cloud: Cloud, call: Call, identity: str) -> None:
    balancer, numbers = _by_number(cloud, identity), call.need("droplet_ids", list)
    _check_members(cloud, balancer, numbers)
    balancer["droplet_ids"] = list(dict.fromkeys([*balancer["droplet_ids"], *numbers]))


@routes.delete("/v2/load_balancers/<identity>/droplets")
def remove_droplets(cloud: Cloud, call: Call, identity: str) -> None:
    balancer, gone = _by_number(cloud, identity), call.need("droplet_ids", list)
    balancer["droplet_ids"] = [one for one in balancer["droplet_ids"] if one not in gone]


def _by_number(cloud: Cloud, identity: str) -> Record:
    balancer = _one(cloud, identity)
    if balancer["tag"]:
        raise invalid(f"the droplets of this load balancer are those with the tag {balancer['tag']}")
    return balancer


@routes.post("/v2/load_balancers/<identity>/forwarding_rules", status=204)
def add_rules(cloud: Cloud, call: Call, identity: str) -> None:
    balancer = _one(cloud, identity)
    rules = [*balancer["forwarding_rules"], *call.need("forwarding_rules", list)]
    balancer["forwarding_rules"] = balancer_fields.forwarding_rules(cloud, rules)


@routes.delete("/v2/load_balancers/<identity>/forwarding_rules")
def remove_rules(cloud: Cloud, call: Call, identity: str) -> None:
    balancer = _one(cloud, identity)
    gone = balancer_fields.forwarding_rules(cloud, call.need("forwarding_rules", list))
    kept = [one for one in balancer["forwarding_rules"] if one not in gone]
    if not kept:
        raise invalid("a load balancer must have at least one forwarding rule")
    balancer["forwarding_rules"] = kept
