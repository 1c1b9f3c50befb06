"""SSH keys, tags, projects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from localcloud.plugins.api import ApiError, wait_for
from localcloud.plugins.codec import CloudError, Codec, Properties
from localcloud.plugins.digitalocean.rest import Rest
from localcloud.plugins.digitalocean.session import Session


class SshKey(Rest):
    token = "digitalocean:index/sshKey:SshKey"
    sdk = "pulumi_digitalocean.ssh_key:SshKey"
    label = "SSH key"
    path, root = "/v2/account/keys", "ssh_key"
    required = frozenset({"publicKey"})
    replaces = frozenset({"publicKey"})
    autoname = "name"

    def canonical(self, value: Any, name: str = "") -> Any:
        found = super().canonical(value, name)
        return found.strip() if name == "publicKey" and isinstance(found, str) else found

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        session.api.put(f"{self.path}/{resource_id}", {"name": new["name"]})


class Tag(Rest):
    token = "digitalocean:index/tag:Tag"
    sdk = "pulumi_digitalocean.tag:Tag"
    label = "tag"
    path, root, id_field = "/v2/tags", "tag", "name"
    replaces = frozenset({"name"})
    autoname = "name"

    def state(self, item: Mapping[str, Any]) -> Properties:
        resources = item["resources"]
        kinds = {"databases", "droplets", "images", "volumes"}
        counts = {f"{kind}Count": resources[kind].get("count", 0) for kind in kinds}
        return {
            **counts,
            "name": item["name"],
            "volumeSnapshotsCount": resources["volume_snapshots"].get("count", 0),
            "totalResourceCount": resources.get("count", 0),
        }


class Project(Rest):
    token = "digitalocean:index/project:Project"
    sdk = "pulumi_digitalocean.project:Project"
    label = "Project"
    path, root = "/v2/projects", "project"
    sets = frozenset({"resources"})
    ignore_case = frozenset({"environment"})
    autoname = "name"
    defaults: ClassVar[Mapping[str, Any]] = {"description": "", "environment": "", "purpose": "Web Application"}
    wire: ClassVar[Mapping[str, str | None]] = {"resources": None, "isDefault": None}

    def settle(self, session: Session, resource_id: str, inputs: Properties) -> None:
        if inputs.get("resources"):
            assign(session, resource_id, inputs["resources"])
        if inputs.get("isDefault"):
            self._patch(session, resource_id, inputs)

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        found = super().read(session, resource_id, state)
        if found is None:
            return None
        resources = [item["urn"] for item in session.api.pages(f"{self.path}/{resource_id}/resources", "resources")]
        return {**found, "resources": resources}

    def state(self, item: Mapping[str, Any]) -> Properties:
        found = super().state(item)
        purpose = str(found.get("purpose", "")).removeprefix("Other: ")
        return {**found, "purpose": purpose, "isDefault": bool(item.get("is_default"))}

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        self._patch(session, resource_id, new)
        if "resources" in changed:
            before, after = set(old.get("resources") or []), set(new.get("resources") or [])
            assign_default(session, before - after)
            assign(session, resource_id, after - before)

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        """Its resources go to the default project; the API may take a moment to see that it is empty."""
        if state.get("resources"):
            assign_default(session, state["resources"])

        def refused() -> bool:
            try:
                session.api.delete(f"{self.path}/{resource_id}")
            except ApiError as error:
                if error.status != 412 or "cannot delete a project with resources" not in error.message:
                    raise
                return True
            return False

        wait_for(refused, lambda again: not again, "waiting for the project to be empty", session.cancelled, 180)

    def _patch(self, session: Session, resource_id: str, inputs: Properties) -> None:
        body = {**self.body({**self.defaults, **inputs}), "is_default": bool(inputs.get("isDefault"))}
        session.api.send("PATCH", f"{self.path}/{resource_id}", body)


class ProjectResources(Codec[Session]):
    token = "digitalocean:index/projectResources:ProjectResources"
    sdk = "pulumi_digitalocean.project_resources:ProjectResources"
    label = "project resources"
    required = frozenset({"project", "resources"})
    replaces = frozenset({"project"})
    sets = frozenset({"resources"})

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        project = inputs["project"]
        if session.api.find(f"/v2/projects/{project}") is None:
            raise CloudError(f"there is no project {project}")
        assign(session, project, inputs["resources"])
        return project, {}

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        """Only the resources that the program names: others may be there too."""
        if session.api.find(f"/v2/projects/{resource_id}") is None:
            return None
        there = [item["urn"] for item in session.api.pages(f"/v2/projects/{resource_id}/resources", "resources")]
        wanted = state.get("resources")
        return {"project": resource_id, "resources": [urn for urn in there if wanted is None or urn in wanted]}

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        before, after = set(old.get("resources") or []), set(new["resources"])
        assign_default(session, before - after)
        assign(session, resource_id, after - before)

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        if session.api.find(f"/v2/projects/{resource_id}") is not None:
            assign_default(session, state.get("resources") or [])


def assign(session: Session, project: str, urns: Iterable[str]) -> None:
    """Move resources into a project."""
    if found := sorted(urns):
        session.api.post(f"/v2/projects/{project}/resources", {"resources": found})


def assign_default(session: Session, urns: Iterable[str]) -> None:
    """Move resources into the default project, since each must be in one."""
    if found := sorted(urns):
        assign(session, session.api.get("/v2/projects/default")["project"]["id"], found)
