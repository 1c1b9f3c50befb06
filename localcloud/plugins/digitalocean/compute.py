"""Droplets and their snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins.api import ApiError, wait_for
from localcloud.plugins.codec import CloudError, Codec, Properties, Work
from localcloud.plugins.digitalocean.actions import act, retag, wait_action, wait_droplet, wait_state
from localcloud.plugins.digitalocean.session import Session
from localcloud.plugins.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

_FEATURES = {
    "backups": "backups",
    "ipv6": "ipv6",
    "monitoring": "monitoring",
    "privateNetworking": "private_networking",
}


class Droplet(Codec[Session]):
    kind = "digitalocean:index/droplet:Droplet"
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

    def replaced_by(self, old: Properties, new: Properties, changed: frozenset[str]) -> frozenset[str]:
        found = super().replaced_by(old, new, changed)
        return found | {"ipv6"} if "ipv6" in changed and old.get("ipv6") else found

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        given = {**self.defaults, **it.inputs}
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
        return str(it.session.api.post("/v2/droplets", kept)["droplet"]["id"]), {}

    def settle(self, it: Work[Session]) -> None:
        wait_state(it.session, it.id, {"new"}, "active")

    def read(self, it: Work[Session]) -> Properties | None:
        answer = it.session.api.find(f"/v2/droplets/{it.id}")
        return None if answer is None else droplet_state(answer["droplet"])

    def update(self, it: Work[Session]) -> None:
        """In the real plugin's order: size, name, backups and their policy, IPv6, tags, volumes."""
        if "size" in it.changed:
            _resize(it.session, it.id, it.inputs["size"], disk=it.inputs.get("resizeDisk", True))
        if "name" in it.changed:
            act(it.session, it.id, {"type": "rename", "name": it.inputs["name"]}, wait=False)
            wait_droplet(it.session, it.id, lambda item: item["name"] == it.inputs["name"], "waiting for the new name")
        _update_backups(it.session, it.id, it.inputs, it.changed)
        if "ipv6" in it.changed and it.inputs.get("ipv6"):
            act(it.session, it.id, {"type": "enable_ipv6"}, wait=False)
            wait_droplet(it.session, it.id, lambda item: "ipv6" in item["features"], "waiting for IPv6")
        if "tags" in it.changed:
            retag(it.session, it.id, "droplet", it.state.get("tags") or [], it.inputs.get("tags") or [])
        if "volumeIds" in it.changed:
            _reattach(it.session, it.id, it.state.get("volumeIds") or [], it.inputs.get("volumeIds") or [])

    def delete(self, it: Work[Session]) -> None:
        """Wait until nothing else is going on, remove it, and wait until it is gone."""
        if it.session.api.find(f"/v2/droplets/{it.id}") is None:
            return
        wait_droplet(it.session, it.id, lambda item: not item["locked"], "waiting for the droplet to be unlocked")
        if it.state.get("gracefulShutdown"):
            act(it.session, it.id, {"type": "shutdown"}, wait=False)
            wait_state(it.session, it.id, {"active"}, "off")
        _reattach(it.session, it.id, it.state.get("volumeIds") or [], [])
        try:
            it.session.api.delete(f"/v2/droplets/{it.id}")
        except ApiError as error:
            if error.status != 404:
                raise
        wait_for(
            lambda: it.session.api.find(f"/v2/droplets/{it.id}"),
            lambda found: found is None,
            f"waiting for droplet {it.id} to be gone",
            it.session.cancelled,
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
    kind = "digitalocean:index/dropletSnapshot:DropletSnapshot"
    sdk = "pulumi_digitalocean.droplet_snapshot:DropletSnapshot"
    label = "Droplet Snapshot"
    required = frozenset({"dropletId"})
    replaces = frozenset({"dropletId", "name"})
    autoname = "name"

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        body = {"type": "snapshot", "name": it.inputs["name"]}
        action = act(it.session, it.inputs["dropletId"], body)
        answer = it.session.api.get(f"/v2/droplets/{action['resource_id']}/snapshots?per_page=200")
        for snapshot in answer["snapshots"]:
            if snapshot["created_at"][:19] == action["started_at"][:19]:
                return str(snapshot["id"]), {}
        raise CloudError("Could not locate the Droplet Snapshot")

    def read(self, it: Work[Session]) -> Properties | None:
        answer = it.session.api.find(f"/v2/snapshots/{it.id}")
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

    def delete(self, it: Work[Session]) -> None:
        it.session.api.delete(f"/v2/snapshots/{it.id}")


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


def _update_backups(session: Session, droplet_id: str, new: Properties, changed: frozenset[str]) -> None:
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
