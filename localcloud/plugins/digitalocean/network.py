"""VPC, firewall, reserved IP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins.api import ApiError, wait_for
from localcloud.plugins.codec import CloudError, Codec, Properties, Work
from localcloud.plugins.digitalocean.rest import Rest, camel, snake
from localcloud.plugins.digitalocean.session import Session
from localcloud.plugins.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


class Vpc(Rest):
    kind = "digitalocean:index/vpc:Vpc"
    sdk = "pulumi_digitalocean.vpc:Vpc"
    label = "VPC"
    path, root = "/v2/vpcs", "vpc"
    required = frozenset({"region"})
    replaces = frozenset({"ipRange", "region"})
    ignore_case = frozenset({"region"})
    autoname = "name"
    wire: ClassVar[Mapping[str, str | None]] = {"vpcUrn": "urn"}

    def update(self, it: Work[Session]) -> None:
        body = {
            "name": it.inputs["name"],
            "description": it.inputs.get("description", ""),
            "default": it.state.get("default", False),
        }
        it.session.api.put(f"{self.path}/{it.id}", body)

    def delete(self, it: Work[Session]) -> None:
        """Members that are just leaving make the API refuse for a while."""

        def refusal() -> ApiError | None:
            try:
                it.session.api.delete(f"{self.path}/{it.id}")
            except ApiError as error:
                if error.status not in {403, 409}:
                    raise
                return error
            return None

        last: list[ApiError | None] = []
        try:
            wait_for(
                lambda: last.append(refusal()) or last[-1], lambda error: error is None, "", it.session.cancelled, 120
            )
        except CloudError as error:
            raise (last[-1] if last and last[-1] else error) from error


class Firewall(Rest):
    kind = "digitalocean:index/firewall:Firewall"
    sdk = "pulumi_digitalocean.firewall:Firewall"
    label = "firewall"
    path, root = "/v2/firewalls", "firewall"
    sets = frozenset(
        {"dropletIds", "tags", "inboundRules", "outboundRules"}
        | {f"source{kind}" for kind in ("Addresses", "DropletIds", "KubernetesIds", "LoadBalancerUids", "Tags")}
        | {f"destination{kind}" for kind in ("Addresses", "DropletIds", "KubernetesIds", "LoadBalancerUids", "Tags")}
    )
    autoname = "name"

    def check(self, inputs: Properties) -> list[Problem]:
        if not inputs.get("inboundRules") and not inputs.get("outboundRules"):
            return [Problem("inboundRules", "at least one inbound or outbound rule is needed")]
        return [
            Problem(f"{side}[{index}].portRange", f"a rule for {rule['protocol']} needs portRange")
            for side in ("inboundRules", "outboundRules")
            for index, rule in enumerate(inputs.get(side) or [])
            if rule.get("protocol") in {"tcp", "udp"} and rule.get("portRange") is None
        ]

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {
            "name": inputs["name"],
            "droplet_ids": inputs.get("dropletIds"),
            "tags": inputs.get("tags") or [],
            "inbound_rules": [_rule(rule, "source") for rule in inputs.get("inboundRules") or []],
            "outbound_rules": [_rule(rule, "destination") for rule in inputs.get("outboundRules") or []],
        }

    def state(self, item: Mapping[str, Any]) -> Properties:
        found = super().state(item)
        for side, peer in (("inbound", "source"), ("outbound", "destination")):
            found[f"{side}Rules"] = [_rule_state(rule, peer) for rule in item.get(f"{side}_rules") or []]
        found["pendingChanges"] = [
            {camel(key): value for key, value in change.items()} for change in item.get("pending_changes") or []
        ]
        return found


def _rule(rule: Properties, peer: str) -> dict[str, Any]:
    peers = {
        snake(name.removeprefix(peer)).lstrip("_"): value
        for name, value in rule.items()
        if name.startswith(peer) and value
    }
    body = {"protocol": rule["protocol"], f"{peer}s": peers}
    return body if rule["protocol"] == "icmp" else {**body, "ports": rule.get("portRange")}


def _rule_state(rule: Mapping[str, Any], peer: str) -> Properties:
    found: Properties = {"protocol": rule["protocol"]}
    ports = str(rule.get("ports") or "")
    if rule["protocol"] != "icmp" and ports:
        found["portRange"] = "all" if ports == "0" else ports
    for name, value in (rule.get(f"{peer}s") or {}).items():
        if value:
            found[f"{peer}{camel(name)[0].upper()}{camel(name)[1:]}"] = value
    return found


class ReservedIp(Codec[Session]):
    kind = "digitalocean:index/reservedIp:ReservedIp"
    sdk = "pulumi_digitalocean.reserved_ip:ReservedIp"
    label = "reserved IP"
    required = frozenset({"region"})
    replaces = frozenset({"region"})
    ignore_case = frozenset({"region"})

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        answer = it.session.api.post("/v2/reserved_ips", {"region": it.inputs["region"]})
        return answer["reserved_ip"]["ip"], {}

    def settle(self, it: Work[Session]) -> None:
        if it.inputs.get("dropletId"):
            assign(it.session, it.id, it.inputs["dropletId"])

    def read(self, it: Work[Session]) -> Properties | None:
        answer = it.session.api.find(f"/v2/reserved_ips/{it.id}")
        if answer is None:
            return None
        item = answer["reserved_ip"]
        droplet = item.get("droplet")
        found = {
            "ipAddress": item["ip"],
            "region": (droplet or item)["region"]["slug"],
            "reservedIpUrn": f"do:reservedip:{item['ip']}",
        }
        return {**found, "dropletId": droplet["id"]} if droplet else found

    def update(self, it: Work[Session]) -> None:
        if "dropletId" in it.changed and it.inputs.get("dropletId"):
            assign(it.session, it.id, it.inputs["dropletId"])
        elif "dropletId" in it.changed:
            act(it.session, it.id, {"type": "unassign"})

    def delete(self, it: Work[Session]) -> None:
        if it.state.get("dropletId"):
            try:
                act(it.session, it.id, {"type": "unassign"})
            except ApiError as error:
                if error.status != 422:
                    raise
        it.session.api.delete(f"/v2/reserved_ips/{it.id}")


class ReservedIpAssignment(Codec[Session]):
    kind = "digitalocean:index/reservedIpAssignment:ReservedIpAssignment"
    sdk = "pulumi_digitalocean.reserved_ip_assignment:ReservedIpAssignment"
    label = "reserved IP assignment"
    required = frozenset({"dropletId", "ipAddress"})
    replaces = frozenset({"dropletId", "ipAddress"})

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        assign(it.session, it.inputs["ipAddress"], it.inputs["dropletId"])
        return f"{it.inputs['dropletId']}-{it.inputs['ipAddress']}", {}

    def read(self, it: Work[Session]) -> Properties | None:
        droplet_id, _, address = it.id.partition("-")
        if self._holder(it.session, address) != int(droplet_id):
            return None
        return {"dropletId": int(droplet_id), "ipAddress": address}

    def delete(self, it: Work[Session]) -> None:
        """Leave the address alone when it has moved to another droplet: its replacement was made first."""
        if self._holder(it.session, it.state["ipAddress"]) == it.state["dropletId"]:
            act(it.session, it.state["ipAddress"], {"type": "unassign"})

    @staticmethod
    def _holder(session: Session, address: str) -> int | None:
        answer = session.api.find(f"/v2/reserved_ips/{address}")
        return ((answer or {}).get("reserved_ip", {}).get("droplet") or {}).get("id")


def assign(session: Session, address: str, droplet_id: int) -> None:
    """Give an address to a droplet, once that has nothing else in hand."""
    wait_for(
        lambda: session.api.get(f"/v2/droplets/{droplet_id}/actions?per_page=50")["actions"],
        lambda actions: all(action["status"] in {"completed", "errored"} for action in actions),
        f"waiting for the actions of droplet {droplet_id}",
        session.cancelled,
        120,
    )
    act(session, address, {"type": "assign", "droplet_id": droplet_id})


def act(session: Session, address: str, body: Properties) -> None:
    """Run an action on a reserved address to its end."""
    action = session.api.post(f"/v2/reserved_ips/{address}/actions", body)["action"]
    done = wait_for(
        lambda: session.api.get(f"/v2/reserved_ips/{address}/actions/{action['id']}")["action"],
        lambda found: found["status"] not in {"new", "in-progress"},
        f"waiting to {body['type']} {address}",
        session.cancelled,
    )
    if done["status"] != "completed":
        raise CloudError(f"unexpected state '{done['status']}', wanted target 'completed' ({body['type']} {address})")
