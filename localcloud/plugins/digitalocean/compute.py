"""Droplets and their snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from localcloud.plugins.api import ApiError, wait_for
from localcloud.plugins.codec import CloudError, Codec, Properties
from localcloud.plugins.digitalocean.session import Session
from localcloud.plugins.schema import Problem

_FEATURES = {
    "backups": "backups",
    "ipv6": "ipv6",
    "monitoring": "monitoring",
    "privateNetworking": "private_networking",
}


class Droplet(Codec[Session]):
    token = "digitalocean:index/droplet:Droplet"
    sdk = "pulumi_digitalocean.droplet:Droplet"
    label = "droplet"
    required = frozenset({"image", "size"})
    replaces = frozenset(
        {"dropletAgent", "image", "monitoring", "publicNetworking", "region", "sshKeys", "userData", "vpcUuid"}
        | {"gpuPartitionMode"}
    )
    sets = frozenset({"sshKeys", "tags", "volumeIds"})
    ignore_case = frozenset({"region", "tags"})
    autoname = "name"
    defaults: ClassVar[Mapping[str, Any]] = {
        "backups": False,
        "gracefulShutdown": False,
        "ipv6": False,
        "monitoring": False,
        "resizeDisk": True,
    }

    def check(self, inputs: Properties) -> list[Problem]:
        if inputs.get("backupPolicy") and not inputs.get("backups"):
            return [Problem("backupPolicy", "backupPolicy needs backups to be true")]
        return []

    def replaced_by(self, old: Properties, new: Properties, changed: set[str]) -> set[str]:
        found = super().replaced_by(old, new, changed)
        return found | {"ipv6"} if "ipv6" in changed and old.get("ipv6") else found

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        given = {**self.defaults, **inputs}
        body: dict[str, Any] = {
            "name": given["name"],
            "region": given.get("region", ""),
            "size": given["size"],
            "image": _number(given["image"]),
            "ssh_keys": [_number(key) for key in given["sshKeys"]] if given.get("sshKeys") else None,
            "backups": given["backups"],
            "ipv6": given["ipv6"],
            "private_networking": given.get("privateNetworking", False),
            "monitoring": given["monitoring"],
            "tags": given.get("tags") or [],
            "volumes": [{"id": volume} for volume in given["volumeIds"]] if given.get("volumeIds") else None,
            "user_data": given.get("userData"),
            "vpc_uuid": given.get("vpcUuid"),
            "with_droplet_agent": given.get("dropletAgent"),
            "backup_policy": given.get("backupPolicy"),
            "public_networking": given.get("publicNetworking"),
        }
        kept = {key: value for key, value in body.items() if value is not None or key == "ssh_keys"}
        return str(session.api.post("/v2/droplets", kept)["droplet"]["id"]), {}

    def settle(self, session: Session, resource_id: str, inputs: Properties) -> None:
        wait_state(session, resource_id, {"new"}, "active")

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        answer = session.api.find(f"/v2/droplets/{resource_id}")
        return None if answer is None else droplet_state(answer["droplet"])

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        """In the real plugin's order: size, name, backups and their policy, IPv6, tags, volumes."""
        if "size" in changed:
            _resize(session, resource_id, new["size"], disk=new.get("resizeDisk", True))
        if "name" in changed:
            act(session, resource_id, {"type": "rename", "name": new["name"]}, wait=False)
            _wait(session, resource_id, lambda item: item["name"] == new["name"], "waiting for the new name")
        _update_backups(session, resource_id, new, changed)
        if "ipv6" in changed and new.get("ipv6"):
            act(session, resource_id, {"type": "enable_ipv6"}, wait=False)
            _wait(session, resource_id, lambda item: "ipv6" in item["features"], "waiting for IPv6")
        if "tags" in changed:
            retag(session, resource_id, "droplet", old.get("tags") or [], new.get("tags") or [])
        if "volumeIds" in changed:
            _reattach(session, resource_id, old.get("volumeIds") or [], new.get("volumeIds") or [])

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        """Wait until nothing else is going on, remove it, and wait until it is gone."""
        if session.api.find(f"/v2/droplets/{resource_id}") is None:
            return
        _wait(session, resource_id, lambda item: not item["locked"], "waiting for the droplet to be unlocked")
        if state.get("gracefulShutdown"):
            act(session, resource_id, {"type": "shutdown"}, wait=False)
            wait_state(session, resource_id, {"active"}, "off")
        _reattach(session, resource_id, state.get("volumeIds") or [], [])
        try:
            session.api.delete(f"/v2/droplets/{resource_id}")
        except ApiError as error:
            if error.status != 404:
                raise
        wait_for(
            lambda: session.api.find(f"/v2/droplets/{resource_id}"),
            lambda found: found is None,
            f"waiting for droplet {resource_id} to be gone",
            session.cancelled,
            60,
        )


def droplet_state(item: Mapping[str, Any]) -> Properties:
    """The properties that a droplet of the API tells; image, keys and user data are never among them."""
    networks = item["networks"]
    addresses = {entry["type"]: entry["ip_address"] for entry in reversed(networks.get("v4") or [])}
    six = {entry["type"]: entry["ip_address"] for entry in reversed(networks.get("v6") or [])}
    found = {
        "name": item["name"],
        "region": item["region"]["slug"],
        "size": item["size"]["slug"],
        "priceHourly": item["size"].get("price_hourly"),
        "priceMonthly": item["size"].get("price_monthly"),
        "memory": item.get("memory"),
        "vcpus": item.get("vcpus"),
        "disk": item.get("disk"),
        "status": item["status"],
        "locked": item["locked"],
        "createdAt": item.get("created_at"),
        "ipv4Address": addresses.get("public", ""),
        "ipv4AddressPrivate": addresses.get("private", ""),
        "ipv6Address": six.get("public", ""),
        "publicNetworking": "public" in addresses,
        "volumeIds": item.get("volume_ids") or [],
        "tags": item.get("tags") or [],
        "vpcUuid": item.get("vpc_uuid"),
        "dropletUrn": f"do:droplet:{item['id']}",
    }
    if item.get("features") is not None:
        found |= {name: feature in item["features"] for name, feature in _FEATURES.items()}
    return {name: value for name, value in found.items() if value is not None}


class DropletSnapshot(Codec[Session]):
    token = "digitalocean:index/dropletSnapshot:DropletSnapshot"
    sdk = "pulumi_digitalocean.droplet_snapshot:DropletSnapshot"
    label = "Droplet Snapshot"
    required = frozenset({"dropletId"})
    replaces = frozenset({"dropletId", "name"})
    autoname = "name"

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        body = {"type": "snapshot", "name": inputs["name"]}
        action = act(session, inputs["dropletId"], body)
        answer = session.api.get(f"/v2/droplets/{action['resource_id']}/snapshots?per_page=200")
        for snapshot in answer["snapshots"]:
            if snapshot["created_at"][:19] == action["started_at"][:19]:
                return str(snapshot["id"]), {}
        raise CloudError("Could not locate the Droplet Snapshot")

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        answer = session.api.find(f"/v2/snapshots/{resource_id}")
        if answer is None:
            return None
        item = answer["snapshot"]
        return {
            "name": item["name"],
            "dropletId": str(item["resource_id"]),
            "createdAt": item.get("created_at"),
            "minDiskSize": item.get("min_disk_size"),
            "regions": item.get("regions") or [],
            "size": item.get("size_gigabytes"),
        }

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        session.api.delete(f"/v2/snapshots/{resource_id}")


def act(session: Session, droplet_id: str, body: Properties, *, wait: bool = True) -> Any:
    """Start an action of a droplet and, if told so, wait for its end; the answer to the start."""
    action = session.api.post(f"/v2/droplets/{droplet_id}/actions", body)["action"]
    if wait:
        wait_action(session, action["id"], f"{body['type']} of droplet {droplet_id}")
    return action


def wait_action(session: Session, action_id: int, what: str) -> None:
    """Wait until an action has an end; raises CloudError if it failed."""
    done = wait_for(
        lambda: session.api.get(f"/v2/actions/{action_id}")["action"],
        lambda action: action.get("completed_at") is not None or action["status"] == "errored",
        what,
        session.cancelled,
        3600,
    )
    if done["status"] == "errored":
        raise CloudError(f"{what}: unexpected state 'errored', wanted target 'completed'")


def wait_state(session: Session, droplet_id: str, pending: set[str], target: str) -> None:
    """Wait until a droplet is unlocked and in a state; raises CloudError for any state that is not on the way."""

    def status() -> str:
        answer = session.api.find(f"/v2/droplets/{droplet_id}")
        return "locked" if answer is None or answer["droplet"]["locked"] else answer["droplet"]["status"]

    waiting = pending | {"locked"}
    what = f"waiting for droplet {droplet_id} to be {target}"
    found = wait_for(status, lambda now: now not in waiting, what, session.cancelled)
    if found != target:
        raise CloudError(f"unexpected state '{found}', wanted target '{target}' (droplet {droplet_id})")


def retag(session: Session, resource_id: str, kind: str, old: list[str], new: list[str]) -> None:
    """Take away and add tags, which have a life of their own in the API."""
    body = {"resources": [{"resource_id": resource_id, "resource_type": kind}]}
    for tag in sorted(set(old) - set(new)):
        session.api.delete(f"/v2/tags/{tag}/resources", body)
    for tag in sorted(set(new) - set(old)):
        session.api.post("/v2/tags", {"name": tag})
        session.api.post(f"/v2/tags/{tag}/resources", body)


def _wait(session: Session, droplet_id: str, done: Any, what: str) -> None:
    wait_for(lambda: session.api.get(f"/v2/droplets/{droplet_id}")["droplet"], done, what, session.cancelled)


def _resize(session: Session, droplet_id: str, size: str, *, disk: bool) -> None:
    """Power off hard, resize, power on; also after a resize that failed."""
    try:
        act(session, droplet_id, {"type": "power_off"}, wait=False)
    except ApiError as error:
        if "Droplet is already powered off" not in error.message:
            raise
    wait_state(session, droplet_id, {"active"}, "off")
    try:
        act(session, droplet_id, {"type": "resize", "size": size, "disk": disk})
    finally:
        act(session, droplet_id, {"type": "power_on"}, wait=False)
        wait_state(session, droplet_id, {"off"}, "active")


def _update_backups(session: Session, droplet_id: str, new: Properties, changed: set[str]) -> None:
    policy = {"backup_policy": new["backupPolicy"]} if new.get("backupPolicy") else {}
    if "backups" in changed and new.get("backups"):
        act(session, droplet_id, {"type": "enable_backups", **policy})
    elif "backups" in changed:
        act(session, droplet_id, {"type": "disable_backups"})
    if "backupPolicy" in changed and policy:
        act(session, droplet_id, {"type": "change_backup_policy", **policy})


def _reattach(session: Session, droplet_id: str, old: list[str], new: list[str]) -> None:
    moves = [("detach", volume) for volume in old if volume not in new]
    moves += [("attach", volume) for volume in new if volume not in old]
    for kind, volume in moves:
        body = {"type": kind, "droplet_id": int(droplet_id)}
        action = session.api.post(f"/v2/volumes/{volume}/actions", body)["action"]
        wait_action(session, action["id"], f"{kind} of volume {volume}")


def _number(text: str) -> str | int:
    """Ids given as text go out as numbers, slugs and fingerprints as they are."""
    return int(text) if text.isdigit() else text
