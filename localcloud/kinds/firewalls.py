"""Firewalls: enforced in every droplet that they name or whose tag they name, at once and at each boot."""

import logging
import re
import uuid
from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.engine import EngineError
from localcloud.kinds import droplets, tags
from localcloud.rules import Filter, Rule, render
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

LOG = logging.getLogger(__name__)
routes = Routes()
SIDES = {"inbound_rules": "sources", "outbound_rules": "destinations"}
PROTOCOLS = ("tcp", "udp", "icmp")
MOST_DROPLETS = 10
MOST_TAGS = 5


def members(cloud: Cloud, firewall: Record) -> list[Record]:
    """Give the droplets that a firewall applies to."""
    tagged = [one["id"] for tag in firewall["tags"] for one in tags.bearers(cloud, "droplets", tag)]
    wanted = {*firewall["droplet_ids"], *tagged}
    return [one for one in cloud.records("droplets") if one["id"] in wanted and not one["leaving"]]


def reconcile(cloud: Cloud) -> None:
    """Bring addresses and filter of every droplet to what the records say."""
    with cloud.store.transaction():
        wanted = {
            one["id"]: (one["status"], *_files(cloud, one)) for one in cloud.records("droplets") if not one["leaving"]
        }
        late = set(cloud.store.kind("late_filters"))
    for number, (status, environment, rules) in wanted.items():
        machine = droplets.machine(cloud, number)
        changed = machine.configure_network(environment, rules)
        if status == "active" and (changed or str(number) in late):
            _apply(cloud, number)
        elif str(number) in late:
            _mark(cloud, number, late=False)


def _apply(cloud: Cloud, number: int) -> None:
    """Make a running droplet follow; if it cannot now, remember to try again with the next change."""
    try:
        droplets.machine(cloud, number).apply_network()
    except EngineError as error:
        LOG.warning("droplet %s does not follow its network settings yet: %s", number, error)
        _mark(cloud, number, late=True)
    else:
        _mark(cloud, number, late=False)


def _mark(cloud: Cloud, number: int, *, late: bool) -> None:
    with cloud.store.transaction():
        if late:
            cloud.store.kind("late_filters")[str(number)] = {}
        else:
            cloud.store.kind("late_filters").pop(str(number), None)


def _files(cloud: Cloud, droplet: Record) -> tuple[str, str]:
    """Give a droplet's network.env and rules."""
    vpc = cloud.one("vpcs", droplet["vpc_uuid"])
    reserved = [one["ip"] for one in cloud.records("reserved_ips") if one["droplet_id"] == droplet["id"]]
    environment = f"PUBLIC={droplet['public']}\nPRIVATE={droplet['private']}\nRESERVED='{' '.join(reserved)}'\n"
    applying = [one for one in cloud.records("firewalls") if droplet["id"] in [it["id"] for it in members(cloud, one)]]
    allowed = {
        side: tuple(_rule(cloud, rule, ends) for one in applying for rule in one[side]) for side, ends in SIDES.items()
    }
    return environment, render(
        Filter(
            gateway=cloud.config.gateway,
            public=cloud.config.subnet,
            private=IPv4Network(vpc["ip_range"]),
            inbound=allowed["inbound_rules"] if applying else None,
            outbound=allowed["outbound_rules"] if applying else None,
        )
    )


def _rule(cloud: Cloud, rule: Record, ends: str) -> Rule:
    peers = rule[ends]
    ranges = [
        network for text in peers.get("addresses") or [] if (network := ip_network(text, strict=False)).version == 4
    ]
    numbers = [*(peers.get("droplet_ids") or [])]
    numbers += [one["id"] for tag in peers.get("tags") or [] for one in tags.bearers(cloud, "droplets", tag)]
    near = [one for one in cloud.records("droplets") if one["id"] in numbers and not one["leaving"]]
    ranges += [IPv4Network(one[word]) for one in near for word in ("public", "private")]
    # Other kinds that can be named as a peer say where they are in their record.
    named = {*(peers.get("load_balancer_uids") or []), *(peers.get("kubernetes_ids") or [])}
    for kind in cloud.kinds:
        found = [one for one in cloud.records(kind.records) if one.get("id") in named] if kind.resource else []
        ranges += [IPv4Network(address) for one in found for address in one.get("addresses", [])]
    ports = "" if rule.get("ports") in (None, "", "0", "all") or rule["protocol"] == "icmp" else rule["ports"]
    return Rule(rule["protocol"], ports, tuple(network for network in ranges if isinstance(network, IPv4Network)))


KIND = Kind(routes, records="firewalls", reconcile=reconcile)


def present(cloud: Cloud, firewall: Record) -> dict[str, Any]:
    late = cloud.store.kind("late_filters")
    waiting = [one["id"] for one in members(cloud, firewall) if str(one["id"]) in late]
    pending = [{"droplet_id": number, "removing": False, "status": "waiting"} for number in waiting]
    return {**firewall, "status": "waiting" if pending else "succeeded", "pending_changes": pending}


@routes.get("/v2/firewalls")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("firewalls", [present(cloud, one) for one in cloud.records("firewalls")])


@routes.post("/v2/firewalls", status=202)
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    firewall = {"id": str(uuid.uuid4()), "created_at": now(), **_read(cloud, call)}
    if any(one["name"] == firewall["name"] for one in cloud.records("firewalls")):
        raise ApiError(409, "duplicate name")
    cloud.store.kind("firewalls")[firewall["id"]] = firewall
    return {"firewall": present(cloud, firewall)}


@routes.get("/v2/firewalls/<identity>")
def show(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"firewall": present(cloud, cloud.one("firewalls", identity))}


@routes.put("/v2/firewalls/<identity>")
def replace(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    firewall = cloud.one("firewalls", identity)
    firewall |= _read(cloud, call)
    return {"firewall": present(cloud, firewall)}


@routes.delete("/v2/firewalls/<identity>")
def delete(cloud: Cloud, call: Call, identity: str) -> None:
    if identity not in cloud.store.kind("firewalls"):
        # Clients take a firewall for gone only by these very words, with no request id behind them.
        raise ApiError(404, "Not Found", traced=False)
    del cloud.store.kind("firewalls")[identity]


@routes.post("/v2/firewalls/<identity>/droplets", status=204)
def add_droplets(cloud: Cloud, call: Call, identity: str) -> None:
    firewall = cloud.one("firewalls", identity)
    firewall["droplet_ids"] = _check_droplets(cloud, [*firewall["droplet_ids"], *call.need("droplet_ids", list)])


@routes.delete("/v2/firewalls/<identity>/droplets")
def remove_droplets(cloud: Cloud, call: Call, identity: str) -> None:
    firewall, gone = cloud.one("firewalls", identity), call.need("droplet_ids", list)
    firewall["droplet_ids"] = [one for one in firewall["droplet_ids"] if one not in gone]


@routes.post("/v2/firewalls/<identity>/tags", status=204)
def add_tags(cloud: Cloud, call: Call, identity: str) -> None:
    firewall = cloud.one("firewalls", identity)
    firewall["tags"] = _check_tags(cloud, [*firewall["tags"], *call.texts("tags")])


@routes.delete("/v2/firewalls/<identity>/tags")
def remove_tags(cloud: Cloud, call: Call, identity: str) -> None:
    firewall, gone = cloud.one("firewalls", identity), call.texts("tags")
    firewall["tags"] = [one for one in firewall["tags"] if one not in gone]


def _read(cloud: Cloud, call: Call) -> Record:
    rules = {side: [_check_rule(rule, ends) for rule in call.get(side, list, [])] for side, ends in SIDES.items()}
    if not any(rules.values()):
        raise invalid("a firewall must have at least one rule")
    numbers = _check_droplets(cloud, call.get("droplet_ids", list, []))
    return {
        "name": call.need("name", str),
        **rules,
        "droplet_ids": numbers,
        "tags": _check_tags(cloud, call.texts("tags")),
    }


def _check_rule(rule: Any, ends: str) -> Record:
    """Give a rule as it is shown: all ports is "0". Raises 422 on what cannot be enforced."""
    if not isinstance(rule, dict) or rule.get("protocol") not in PROTOCOLS:
        raise invalid(f"a rule's protocol must be one of {', '.join(PROTOCOLS)}")
    ports = str(rule.get("ports") or "")
    if ports in ("", "all"):
        if rule["protocol"] != "icmp" and not ports:
            raise invalid("ports are required for tcp and udp; all of them are `all`")
        ports = "0"
    _check_ports(ports)
    peers = rule.get(ends)
    if not isinstance(peers, dict) or not any(peers.values()):
        raise invalid(f"a rule needs {ends}")
    for text in peers.get("addresses") or []:
        try:
            ip_network(text, strict=False)
        except ValueError:
            raise invalid(f"{ends}: {text} is neither an address nor a range") from None
    return {"protocol": rule["protocol"], "ports": ports, ends: {key: value for key, value in peers.items() if value}}


def _check_ports(ports: str) -> None:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", ports)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not low <= high <= 65535:
        raise invalid(f"ports: {ports} is neither a port nor a range such as 8000-9000")


def _check_droplets(cloud: Cloud, numbers: Iterable[Any]) -> list[int]:
    known = {one["id"] for one in cloud.records("droplets") if not one["leaving"]}
    result = list(dict.fromkeys(numbers))
    if unknown := [str(one) for one in result if one not in known]:
        raise invalid(f"droplet_ids: there is no droplet {', '.join(unknown)}")
    if len(result) > MOST_DROPLETS:
        raise invalid(f"a firewall takes {MOST_DROPLETS} droplets at most; name a tag instead")
    return result


def _check_tags(cloud: Cloud, names: list[str]) -> list[str]:
    if len(set(names)) > MOST_TAGS:
        raise invalid(f"a firewall takes {MOST_TAGS} tags at most")
    return tags.ensure(cloud, names)
