"""SSH keys, tags, projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins.api import ApiError, wait_for
from localcloud.plugins.codec import CloudError, Codec, Properties, Work
from localcloud.plugins.digitalocean.rest import Rest
from localcloud.plugins.digitalocean.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class SshKey(Rest):
    kind = "digitalocean:index/sshKey:SshKey"
    sdk = "pulumi_digitalocean.ssh_key:SshKey"
    label = "SSH key"
    path, root = "/v2/account/keys", "ssh_key"
    required = frozenset({"publicKey"})
    replaces = frozenset({"publicKey"})
    autoname = "name"

    def canonical(self, value: Any, name: str = "") -> Any:
        found = super().canonical(value, name)
        return found.strip() if name == "publicKey" and isinstance(found, str) else found

    def update(self, it: Work[Session]) -> None:
        it.session.api.put(f"{self.path}/{it.id}", {"name": it.inputs["name"]})


class Tag(Rest):
    kind = "digitalocean:index/tag:Tag"
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
    kind = "digitalocean:index/project:Project"
    sdk = "pulumi_digitalocean.project:Project"
    label = "Project"
    path, root = "/v2/projects", "project"
    sets = frozenset({"resources"})
    ignore_case = frozenset({"environment"})
    autoname = "name"
    defaults: ClassVar[Mapping[str, Any]] = {"description": "", "environment": "", "purpose": "Web Application"}
    wire: ClassVar[Mapping[str, str | None]] = {"resources": None, "isDefault": None}

    def settle(self, it: Work[Session]) -> None:
        if it.inputs.get("resources"):
            assign(it.session, it.id, it.inputs["resources"])
        if it.inputs.get("isDefault"):
            self._patch(it.session, it.id, it.inputs)

    def read(self, it: Work[Session]) -> Properties | None:
        found = super().read(it)
        if found is None:
            return None
        resources = [item["urn"] for item in it.session.api.pages(f"{self.path}/{it.id}/resources", "resources")]
        return {**found, "resources": resources}

    def state(self, item: Mapping[str, Any]) -> Properties:
        found = super().state(item)
        purpose = str(found.get("purpose", "")).removeprefix("Other: ")
        return {**found, "purpose": purpose, "isDefault": bool(item.get("is_default"))}

    def update(self, it: Work[Session]) -> None:
        self._patch(it.session, it.id, it.inputs)
        if "resources" in it.changed:
            before, after = set(it.state.get("resources") or []), set(it.inputs.get("resources") or [])
            assign_default(it.session, before - after)
            assign(it.session, it.id, after - before)

    def delete(self, it: Work[Session]) -> None:
        """Its resources go to the default project; the API may take a moment to see that it is empty."""
        if it.state.get("resources"):
            assign_default(it.session, it.state["resources"])

        def refused() -> bool:
            try:
                it.session.api.delete(f"{self.path}/{it.id}")
            except ApiError as error:
                if error.status != 412 or "cannot delete a project with resources" not in error.message:
                    raise
                return True
            return False

        wait_for(refused, lambda again: not again, "waiting for the project to be empty", it.session.cancelled, 180)

    def _patch(self, session: Session, resource_id: str, inputs: Properties) -> None:
        body = {**self.body({**self.defaults, **inputs}), "is_default": bool(inputs.get("isDefault"))}
        session.api.send("PATCH", f"{self.path}/{resource_id}", body)


class ProjectResources(Codec[Session]):
    kind = "digitalocean:index/projectResources:ProjectResources"
    sdk = "pulumi_digitalocean.project_resources:ProjectResources"
    label = "project resources"
    required = frozenset({"project", "resources"})
    replaces = frozenset({"project"})
    sets = frozenset({"resources"})

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        project = it.inputs["project"]
        if it.session.api.find(f"/v2/projects/{project}") is None:
            raise CloudError(f"there is no project {project}")
        assign(it.session, project, it.inputs["resources"])
        return project, {}

    def read(self, it: Work[Session]) -> Properties | None:
        """Only the resources that the program names: others may be there too."""
        if it.session.api.find(f"/v2/projects/{it.id}") is None:
            return None
        there = [item["urn"] for item in it.session.api.pages(f"/v2/projects/{it.id}/resources", "resources")]
        wanted = it.state.get("resources")
        return {"project": it.id, "resources": [urn for urn in there if wanted is None or urn in wanted]}

    def update(self, it: Work[Session]) -> None:
        before, after = set(it.state.get("resources") or []), set(it.inputs["resources"])
        assign_default(it.session, before - after)
        assign(it.session, it.id, after - before)

    def delete(self, it: Work[Session]) -> None:
        if it.session.api.find(f"/v2/projects/{it.id}") is not None:
            assign_default(it.session, it.state.get("resources") or [])


def assign(session: Session, project: str, urns: Iterable[str]) -> None:
    """Move resources into a project."""
    if found := sorted(urns):
        session.api.post(f"/v2/projects/{project}/resources", {"resources": found})


def assign_default(session: Session, urns: Iterable[str]) -> None:
    """Move resources into the default project, since each must be in one."""
    if found := sorted(urns):
        assign(session, session.api.get("/v2/projects/default")["project"]["id"], found)
