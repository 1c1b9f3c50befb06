"""Domains and their records. The cloud's name server answers for them from the end of the call that changes them."""

from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid
from localcloud.zones import RecordError, rdata

routes = Routes()
TTL = 1800
HOST_TTL = 30
SERVERS = ("ns1", "ns2", "ns3")
TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT")
# The data of these is a host name: it comes with a final dot and is shown without.
DOTTED = ("CAA", "CNAME", "MX", "NS", "SRV")
NUMBERS = ("priority", "port", "weight", "flags")


def publish(cloud: Cloud) -> None:
    """Let the name server answer as the records say, and for the names that the cloud itself gives out."""
    with cloud.store.transaction():
        zones: dict[str, list[Record]] = {one["name"]: [] for one in cloud.records("domains")}
        for record in cloud.records("domain_records"):
            zones[record["domain"]].append(dict(record))
        for host, address in (pair for kind in cloud.kinds if kind.hosts for pair in kind.hosts(cloud).items()):
            name, _, domain = host.partition(".")
            zones.setdefault(domain, []).append({"type": "A", "name": name, "data": address, "ttl": HOST_TTL})
    cloud.zones.replace(zones)


KIND = Kind(routes, records="domains", resource="domain", reconcile=publish)


def _zone(domain: Record, records: list[Record]) -> str:
    lines = [f"{one['name']} {one['ttl']} IN {one['type']} {one['data']}" for one in records]
    return "\n".join([f"$ORIGIN {domain['name']}.", f"$TTL {TTL}", *lines, ""])


def _records(cloud: Cloud, domain: str) -> list[Record]:
    cloud.one("domains", domain)
    return [one for one in cloud.records("domain_records") if one["domain"] == domain]


def _present(record: Record) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "domain"}


def _one(cloud: Cloud, domain: str, identity: int) -> Record:
    record = cloud.one("domain_records", identity)
    if record["domain"] != domain:
        raise ApiError(404)
    return record


def _fill(domain: str, kind: str, call: Call, before: Record) -> Record:
    """Read what a body says of a record, over what it was before."""
    name = call.get("name", str, before.get("name", "@")).removesuffix(f".{domain}.").removesuffix(f".{domain}")
    data = call.get("data", str, before.get("data", ""))
    if not data:
        raise invalid("Data can't be blank")
    if kind in DOTTED and data != "@":
        data = data.removesuffix(".")
    numbers = {word: call.get(word, int, before.get(word, 0)) for word in NUMBERS}
    fields = {"type": kind, "name": name, "data": data, **numbers, "ttl": call.get("ttl", int, before.get("ttl", TTL))}
    record = {**fields, "tag": call.get("tag", str, before.get("tag") or "") or None}
    try:
        rdata(domain, record)
    except RecordError as error:
        raise invalid(f"data: {data} is no data of a {kind} record: {error}") from None
    return record


def _refuse_mixture(cloud: Cloud, domain: str, record: Record, but: int = 0) -> None:
    """Raise 422 if a name would have an alias and something else: a name server could answer with one of them only."""
    others = [one for one in _records(cloud, domain) if one["name"] == record["name"] and one["id"] != but]
    if others and "CNAME" in (record["type"], *(one["type"] for one in others)):
        raise invalid("CNAME records cannot share a name with other records")


def _add(cloud: Cloud, domain: str, kind: str, call: Call) -> Record:
    identity = cloud.store.next_id()
    record = {"id": identity, "domain": domain, **_fill(domain, kind, call, {})}
    _refuse_mixture(cloud, domain, record)
    cloud.store.kind("domain_records")[str(identity)] = record
    return record


@routes.get("/v2/domains")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("domains", [show(cloud, call, one["name"])["domain"] for one in cloud.records("domains")])


@routes.post("/v2/domains")
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    name = call.need("name", str)
    if name in cloud.store.kind("domains"):
        raise invalid(f"{name} is already in use.")
    cloud.store.kind("domains")[name] = {"id": name, "name": name, "ttl": TTL, "created_at": now()}
    first = [("NS", f"{server}.digitalocean.com.") for server in SERVERS]
    if address := call.get("ip_address", str, ""):
        first.append(("A", address))
    for kind, data in first:
        _add(cloud, name, kind, Call({"name": "@", "data": data}, {}, ""))
    return show(cloud, call, name)


@routes.get("/v2/domains/<name>")
def show(cloud: Cloud, call: Call, name: str) -> dict[str, Any]:
    domain = cloud.one("domains", name)
    return {"domain": {"name": name, "ttl": TTL, "zone_file": _zone(domain, _records(cloud, name))}}


@routes.delete("/v2/domains/<name>")
def delete(cloud: Cloud, call: Call, name: str) -> None:
    for record in _records(cloud, name):
        del cloud.store.kind("domain_records")[str(record["id"])]
    cloud.store.kind("assignments").pop(f"do:domain:{name}", None)
    del cloud.store.kind("domains")[name]


@routes.get("/v2/domains/<domain>/records")
def list_records(cloud: Cloud, call: Call, domain: str) -> dict[str, Any]:
    found = _records(cloud, domain)
    for word in ("name", "type"):
        if wanted := call.query.get(word, "").removesuffix(f".{domain}"):
            found = [one for one in found if one[word] == ("@" if wanted == domain else wanted)]
    return call.page("domain_records", [_present(one) for one in found])


@routes.post("/v2/domains/<domain>/records")
def create_record(cloud: Cloud, call: Call, domain: str) -> dict[str, Any]:
    cloud.one("domains", domain)
    kind = call.need("type", str)
    if kind not in TYPES:
        raise invalid(f"type {kind} is not one of {', '.join(TYPES)}.")
    return {"domain_record": _present(_add(cloud, domain, kind, call))}


@routes.get("/v2/domains/<domain>/records/<int:identity>")
def show_record(cloud: Cloud, call: Call, domain: str, identity: int) -> dict[str, Any]:
    return {"domain_record": _present(_one(cloud, domain, identity))}


@routes.put("/v2/domains/<domain>/records/<int:identity>")
@routes.patch("/v2/domains/<domain>/records/<int:identity>")
def change_record(cloud: Cloud, call: Call, domain: str, identity: int) -> dict[str, Any]:
    record = _one(cloud, domain, identity)
    changed = _fill(domain, call.get("type", str, record["type"]), call, record)
    _refuse_mixture(cloud, domain, changed, identity)
    record |= changed
    return {"domain_record": _present(record)}


@routes.delete("/v2/domains/<domain>/records/<int:identity>")
def delete_record(cloud: Cloud, call: Call, domain: str, identity: int) -> None:
    _one(cloud, domain, identity)
    del cloud.store.kind("domain_records")[str(identity)]
