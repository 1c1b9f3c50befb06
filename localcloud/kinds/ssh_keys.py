"""SSH keys: what droplets are created with."""

import base64
import binascii
import hashlib
from typing import Any

from localcloud.cloud import Cloud, Kind
from localcloud.store import Record
from localcloud.web import Call, Routes, invalid

routes = Routes()
KIND = Kind(routes, records="ssh_keys")


def find(cloud: Cloud, key: object) -> Record | None:
    """Give the key of an id or a fingerprint."""
    found = [one for one in cloud.records("ssh_keys") if str(key) in (str(one["id"]), one["fingerprint"])]
    return found[0] if found else None


def fingerprint(public_key: str) -> str:
    """Give the MD5 fingerprint of an OpenSSH public key, as the API does. Raises 422 if it is none."""
    try:
        _, blob, *_ = public_key.split()
        digest = hashlib.md5(base64.b64decode(blob, validate=True), usedforsecurity=False).hexdigest()
    except (ValueError, binascii.Error):
        raise invalid("Key invalid, key should be of the format `TYPE KEY COMMENT`") from None
    return ":".join(digest[at : at + 2] for at in range(0, 32, 2))


@routes.get("/v2/account/keys")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("ssh_keys", cloud.records("ssh_keys"))


@routes.post("/v2/account/keys")
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    name, public_key = call.need("name", str), call.need("public_key", str)
    mark = fingerprint(public_key)
    if find(cloud, mark):
        raise invalid("SSH Key is already in use on your account")
    key = {"id": cloud.store.next_id(), "fingerprint": mark, "public_key": public_key, "name": name}
    cloud.store.kind("ssh_keys")[str(key["id"])] = key
    return {"ssh_key": key}


@routes.get("/v2/account/keys/<key>")
def show(cloud: Cloud, call: Call, key: str) -> dict[str, Any]:
    return {"ssh_key": find(cloud, key) or cloud.one("ssh_keys", key)}


@routes.put("/v2/account/keys/<key>")
def rename(cloud: Cloud, call: Call, key: str) -> dict[str, Any]:
    found = find(cloud, key) or cloud.one("ssh_keys", key)
    found["name"] = call.need("name", str)
    return {"ssh_key": found}


@routes.delete("/v2/account/keys/<key>")
def delete(cloud: Cloud, call: Call, key: str) -> None:
    found = find(cloud, key) or cloud.one("ssh_keys", key)
    del cloud.store.kind("ssh_keys")[str(found["id"])]
