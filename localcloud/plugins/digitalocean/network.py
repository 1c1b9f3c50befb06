"""VPC, firewall, reserved IP, domain and DNS record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from localcloud.plugins.api import ApiError, wait_for
from localcloud.plugins.codec import CloudError, Codec, Properties
from localcloud.plugins.digitalocean.rest import Rest, camel, snake
from localcloud.plugins.digitalocean.session import Session
from localcloud.plugins.schema import Problem


class Vpc(Rest):
    token = "digitalocean:index/vpc:Vpc"
    sdk = "pulumi_digitalocean.vpc:Vpc"
    label = "VPC"
    path, root = "/v2/vpcs", "vpc"
    required = frozenset({"region"})
    replaces = frozenset({"ipRange", "region"})
    ignore_case = frozenset({"region"})
    autoname = "name"
    wire: ClassVar[Mapping[str, str | None]] = {"vpcUrn": "urn"}

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        body = {"name": new["name"], "description": new.get("description", ""), "default": old.get("default", False)}
        session.api.put(f"{self.path}/{resource_id}", body)

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        """Members that are just leaving make the API refuse for a while."""

        def refusal() -> ApiError | None:
            try:
                session.api.delete(f"{self.path}/{resource_id}")
            except ApiError as error:
                if error.status not in {403, 409}:
                    raise
                return error
            return None

        last: list[ApiError | None] = []
        try:
            wait_for(
                lambda: last.append(refusal()) or last[-1], lambda error: error is None, "", session.cancelled, 120
            )
        except CloudError as error:
            raise (last[-1] if last and last[-1] else error) from error


class Firewall(Rest):
    token = "digitalocean:index/firewall:Firewall"
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
    token = "digitalocean:index/reservedIp:ReservedIp"
    sdk = "pulumi_digitalocean.reserved_ip:ReservedIp"
    label = "reserved IP"
    required = frozenset({"region"})
    replaces = frozenset({"region"})
    ignore_case = frozenset({"region"})

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        answer = session.api.post("/v2/reserved_ips", {"region": inputs["region"]})
        return answer["reserved_ip"]["ip"], {}

    def settle(self, session: Session, resource_id: str, inputs: Properties) -> None:
        if inputs.get("dropletId"):
            assign(session, resource_id, inputs["dropletId"])

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        answer = session.api.find(f"/v2/reserved_ips/{resource_id}")
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

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        if "dropletId" in changed and new.get("dropletId"):
            assign(session, resource_id, new["dropletId"])
        elif "dropletId" in changed:
            act(session, resource_id, {"type": "unassign"})

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        if state.get("dropletId"):
            try:
                act(session, resource_id, {"type": "unassign"})
            except ApiError as error:
                if error.status != 422:
                    raise
        session.api.delete(f"/v2/reserved_ips/{resource_id}")


class ReservedIpAssignment(Codec[Session]):
    token = "digitalocean:index/reservedIpAssignment:ReservedIpAssignment"
    sdk = "pulumi_digitalocean.reserved_ip_assignment:ReservedIpAssignment"
    label = "reserved IP assignment"
    required = frozenset({"dropletId", "ipAddress"})
    replaces = frozenset({"dropletId", "ipAddress"})

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        assign(session, inputs["ipAddress"], inputs["dropletId"])
        return f"{inputs['dropletId']}-{inputs['ipAddress']}", {}

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        droplet_id, _, address = resource_id.partition("-")
        if self._holder(session, address) != int(droplet_id):
            return None
        return {"dropletId": int(droplet_id), "ipAddress": address}

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        """Leave the address alone when it has moved to another droplet: its replacement was made first."""
        if self._holder(session, state["ipAddress"]) == state["dropletId"]:
            act(session, state["ipAddress"], {"type": "unassign"})

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


class Domain(Rest):
    token = "digitalocean:index/domain:Domain"
    sdk = "pulumi_digitalocean.domain:Domain"
    label = "Domain"
    path, root, id_field = "/v2/domains", "domain", "name"
    required = frozenset({"name"})
    replaces = frozenset({"name", "ipAddress"})
    autoname = "name"
    wire: ClassVar[Mapping[str, str | None]] = {"domainUrn": None}

    def state(self, item: Mapping[str, Any]) -> Properties:
        return {**super().state(item), "domainUrn": f"do:domain:{item['name']}"}


class DnsRecord(Rest):
    token = "digitalocean:index/dnsRecord:DnsRecord"
    sdk = "pulumi_digitalocean.dns_record:DnsRecord"
    label = "record"
    root = "domain_record"
    required = frozenset({"domain", "type", "value"})
    replaces = frozenset({"domain", "type"})
    autoname = "name"
    wire: ClassVar[Mapping[str, str | None]] = {"value": "data", "domain": None, "fqdn": None}

    def body(self, inputs: Properties) -> dict[str, Any]:
        zeros = {"priority": 0, "port": 0, "weight": 0, "flags": 0}
        return {**zeros, **super().body(inputs)}

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        answer = session.api.post(f"/v2/domains/{inputs['domain']}/records", self.body(inputs))
        return str(answer[self.root]["id"]), {}

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        answer = session.api.find(f"/v2/domains/{state['domain']}/records/{resource_id}")
        if answer is None:
            return None
        item = answer[self.root]
        found = {name: value for name, value in self.state(item).items() if value != 0}
        if item["type"] in {"CNAME", "MX", "NS", "SRV", "CAA"} and item["data"] != "@" and item.get("tag") != "iodef":
            found["value"] = f"{item['data']}."
        host = state["domain"] if item["name"] == "@" else f"{item['name']}.{state['domain']}"
        return {**found, "fqdn": host}

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        body = {key: value for key, value in self.body(new).items() if key != "type"}
        session.api.put(f"/v2/domains/{new['domain']}/records/{resource_id}", body)

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        try:
            session.api.delete(f"/v2/domains/{state['domain']}/records/{resource_id}")
        except ApiError as error:
            if error.status != 404:
                raise
