"""Spaces keys: credentials of the object store. The secret is in the answer that makes one, and nowhere here."""

from typing import TYPE_CHECKING, Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.web import Call, Routes, invalid

if TYPE_CHECKING:
    from localcloud.store import Record

routes = Routes()
KIND = Kind(routes, records="spaces_keys")
PERMISSIONS = ("", "read", "readwrite", "fullaccess")


def _grants(call: Call) -> list[dict[str, str]]:
    """Read the grants. Raises 422 on a permission that there is not, or one on no bucket."""
    result = []
    for grant in call.get("grants", list, []):
        bucket, permission = grant.get("bucket") or "", grant.get("permission") or ""
        if permission not in PERMISSIONS:
            raise invalid(f"permission {permission} is not one of read, readwrite, fullaccess.")
        if not bucket and permission in ("read", "readwrite"):
            raise invalid("bucket is missing: only fullaccess is given without one.")
        result.append({"bucket": bucket, "permission": permission})
    return result


@routes.get("/v2/spaces/keys")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("keys", cloud.records("spaces_keys"))


@routes.post("/v2/spaces/keys")
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    name, grants = call.need("name", str), _grants(call)
    made = cloud.objects.create_spaces_key(name, grants)
    key: Record = {"name": name, "access_key": made["access_key"], "grants": grants, "created_at": now()}
    cloud.store.kind("spaces_keys")[key["access_key"]] = key
    return {"key": {**key, "secret_key": made["secret_key"]}}


@routes.get("/v2/spaces/keys/<access_key>")
def show(cloud: Cloud, call: Call, access_key: str) -> dict[str, Any]:
    return {"key": cloud.one("spaces_keys", access_key)}


@routes.put("/v2/spaces/keys/<access_key>")
@routes.patch("/v2/spaces/keys/<access_key>")
def change(cloud: Cloud, call: Call, access_key: str) -> dict[str, Any]:
    key = cloud.one("spaces_keys", access_key)
    grants = _grants(call) if "grants" in call.body else key["grants"]
    name = call.get("name", str, key["name"])
    cloud.objects.update_spaces_key(access_key, name, grants)
    key |= {"name": name, "grants": grants}
    return {"key": key}


@routes.delete("/v2/spaces/keys/<access_key>")
def delete(cloud: Cloud, call: Call, access_key: str) -> None:
    cloud.one("spaces_keys", access_key)
    cloud.objects.delete_spaces_key(access_key)
    del cloud.store.kind("spaces_keys")[access_key]
