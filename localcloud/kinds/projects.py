"""Projects: what belongs together. Whatever is in no other project is in the default one."""

import uuid
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.store import Record
from localcloud.web import ApiError, Call, Routes, invalid

routes = Routes()
ENVIRONMENTS = ("", "development", "staging", "production")


def recover(cloud: Cloud) -> None:
    """Make the default project of a new account."""
    with cloud.store.transaction():
        if not any(one["is_default"] for one in cloud.records("projects")):
            _make(
                cloud, {"name": "first-project", "description": "", "purpose": "", "environment": ""}, is_default=True
            )


KIND = Kind(routes, records="projects", recover=recover)


def urns(cloud: Cloud) -> list[str]:
    """Give the URNs of all that a project can hold."""
    kinds = [kind for kind in cloud.kinds if kind.resource and kind.resource != "image"]
    found = [f"do:{kind.resource}:{one['id']}" for kind in kinds for one in cloud.records(kind.records)]
    return [*found, *(f"do:space:{name}" for name in cloud.objects.buckets("spaces"))]


def held(cloud: Cloud, project: Record) -> list[dict[str, Any]]:
    known = cloud.store.kind("assignments")
    result = []
    for urn in urns(cloud):
        given = known.get(urn)
        if given["project_id"] == project["id"] if given else project["is_default"]:
            moment = given["assigned_at"] if given else project["created_at"]
            result.append({"urn": urn, "assigned_at": moment, "links": {"self": ""}, "status": "ok"})
    return result


def _make(cloud: Cloud, fields: Record, *, is_default: bool = False) -> Record:
    identity, moment = str(uuid.uuid4()), now()
    fixed = {
        "owner_uuid": f"{cloud.config.identity}-0000-4000-8000-000000000000",
        "owner_id": 1,
        "is_default": is_default,
    }
    project = {"id": identity, **fixed, **fields, "created_at": moment, "updated_at": moment}
    cloud.store.kind("projects")[identity] = project
    return project


def _find(cloud: Cloud, identity: str) -> Record:
    if identity == "default":
        return next(one for one in cloud.records("projects") if one["is_default"])
    return cloud.one("projects", identity)


def _read(call: Call, before: Record) -> Record:
    fields = {
        word: call.get(word, str, before.get(word, "")) for word in ("name", "description", "purpose", "environment")
    }
    if not fields["name"]:
        raise invalid("name is missing.")
    if fields["environment"].lower() not in ENVIRONMENTS:
        raise invalid("environment must be one of Development, Staging, Production.")
    return fields


@routes.get("/v2/projects")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("projects", cloud.records("projects"))


@routes.post("/v2/projects")
def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    fields = _read(call, {})
    if not fields["purpose"]:
        raise invalid("purpose is missing.")
    if any(one["name"] == fields["name"] for one in cloud.records("projects")):
        raise ApiError(409, "name is already in use")
    return {"project": _make(cloud, fields)}


@routes.get("/v2/projects/<identity>")
def show(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return {"project": _find(cloud, identity)}


@routes.put("/v2/projects/<identity>")
@routes.patch("/v2/projects/<identity>")
def change(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    project = _find(cloud, identity)
    project |= {**_read(call, project), "updated_at": now()}
    if call.get("is_default", bool, False):
        for other in cloud.records("projects"):
            other["is_default"] = False
        project["is_default"] = True
    return {"project": project}


@routes.delete("/v2/projects/<identity>")
def delete(cloud: Cloud, call: Call, identity: str) -> None:
    project = _find(cloud, identity)
    if project["is_default"]:
        raise ApiError(412, "cannot delete the default project")
    if held(cloud, project):
        raise ApiError(412, "cannot delete a project with resources")
    del cloud.store.kind("projects")[project["id"]]


@routes.get("/v2/projects/<identity>/resources")
def list_resources(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    return call.page("resources", held(cloud, _find(cloud, identity)))


@routes.post("/v2/projects/<identity>/resources", status=200)
def assign(cloud: Cloud, call: Call, identity: str) -> dict[str, Any]:
    project, known, moment = _find(cloud, identity), urns(cloud), now()
    result = []
    for urn in call.texts("resources"):
        if urn in known:
            cloud.store.kind("assignments")[urn] = {"project_id": project["id"], "assigned_at": moment}
        status = "assigned" if urn in known else "not_found"
        result.append({"urn": urn, "assigned_at": moment, "links": {"self": ""}, "status": status})
    return {"resources": result}
