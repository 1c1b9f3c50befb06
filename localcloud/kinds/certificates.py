"""Certificates of load balancers: brought by the account, or issued for names of its own domains."""

import uuid
from typing import Any

from localcloud import issuer
from localcloud.cloud import Cloud, Kind, now
from localcloud.issuer import Pair, PairError
from localcloud.kinds import balancers
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

routes = Routes()
TYPES = ("custom", "lets_encrypt")
IN_USE = "Make sure the certificate is not in use before deleting it"


def recover(cloud: Cloud) -> None:
    """Issue what an earlier run of the daemon did not."""
    with cloud.store.transaction():
        waiting = [one["id"] for one in cloud.records("certificates") if one["state"] == "pending"]
    for identity in waiting:
        _issue_later(cloud, identity)


KIND = Kind(routes, records="certificates", recover=recover)


def present(certificate: Record) -> dict[str, Any]:
    return {key: value for key, value in certificate.items() if key != "pem"}


@routes.get("/v2/certificates")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    found = cloud.records("certificates")
    if name := call.query.get("name"):
        found = [one for one in found if one["name"] == name]
    return call.page("certificates", [present(one) for one in found])


@routes.post("/v2/certificates")
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    name, kind = call.need("name", str), call.get("type", str, "custom")
    if kind not in TYPES:
        raise invalid(f"type must be one of {', '.join(TYPES)}")
    if any(one["name"] == name for one in cloud.records("certificates")):
        raise invalid(f"name: a certificate named {name} exists already")
    identity = str(uuid.uuid4())
    certificate = {"id": identity, "name": name, "type": kind, "created_at": now(), "pem": ""}
    if kind == "custom":
        certificate |= _verified(_check(call))
    else:
        call.need("dns_names", list)
        certificate |= {
            "dns_names": call.texts("dns_names"),
            "not_after": "",
            "sha1_fingerprint": "",
            "state": "pending",
        }
        _issue_later(cloud, identity)
    cloud.store.kind("certificates")[identity] = certificate
    return {"certificate": present(certificate)}


def _check(call: Call) -> Pair:
    leaf, chain = call.need("leaf_certificate", str), call.get("certificate_chain", str, "")
    try:
        return issuer.check(leaf, chain, call.need("private_key", str))
    except PairError as error:
        raise invalid(str(error)) from None


def _verified(pair: Pair) -> Record:
    facts = {"not_after": pair.not_after, "sha1_fingerprint": pair.sha1, "dns_names": list(pair.names)}
    return {**facts, "pem": pair.pem, "state": "verified"}


def _issue_later(cloud: Cloud, identity: str) -> None:
    """Issue a certificate after the answer, if all its names are in domains of the account; else its state is error."""

    def work() -> None:
        with cloud.store.transaction():
            certificate = cloud.store.kind("certificates").get(identity)
            if not certificate:
                return
            domains = [f".{one['name']}" for one in cloud.records("domains")]
            own = all(f".{name}".endswith(tuple(domains)) for name in certificate["dns_names"])
            if own:
                names = certificate["dns_names"]
                certificate |= {**_verified(issuer.issue(cloud.config.directory, names)), "dns_names": names}
            else:
                certificate["state"] = "error"

    cloud.later(work)


@routes.get("/v2/certificates/<identity>")
def show(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"certificate": present(cloud.one("certificates", identity))}


@routes.delete("/v2/certificates/<identity>")
def delete(cloud: Cloud, call: Call, identity: str) -> None:
    cloud.one("certificates", identity)
    if balancers.using(cloud, identity):
        raise ApiError(403, IN_USE)
    del cloud.store.kind("certificates")[identity]
