"""Domains and their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins.api import ApiError
from localcloud.plugins.digitalocean.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.plugins.codec import Properties, Work
    from localcloud.plugins.digitalocean.session import Session


class Domain(Rest):
    kind = "digitalocean:index/domain:Domain"
    sdk = "pulumi_digitalocean.domain:Domain"
    label = "Domain"
    path, root, id_field = "/v2/domains", "domain", "name"
    required = frozenset({"name"})
    replaces = frozenset({"name", "ipAddress"})
    autoname = "name"
    wire: ClassVar[Mapping[str, str | None]] = {"domainUrn": None}

    def state(self, item: Mapping[str, Any]) -> Properties:
        return {**super().state(item), "domainUrn": f"do:domain:{item['name']}"}


NUMBERS = ("priority", "port", "weight", "flags")


class DnsRecord(Rest):
    kind = "digitalocean:index/dnsRecord:DnsRecord"
    sdk = "pulumi_digitalocean.dns_record:DnsRecord"
    label = "record"
    root = "domain_record"
    required = frozenset({"domain", "type", "value"})
    replaces = frozenset({"domain", "type"})
    autoname = "name"
    wire: ClassVar[Mapping[str, str | None]] = {"value": "data", "domain": None, "fqdn": None}

    def canonical(self, value: Any, name: str = "") -> Any:
        """For numbers, 0 and nothing are one."""
        return super().canonical(None if name in NUMBERS and value == 0 else value, name)

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {**dict.fromkeys(NUMBERS, 0), **super().body(inputs)}

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        answer = it.session.api.post(f"/v2/domains/{it.inputs['domain']}/records", self.body(it.inputs))
        return str(answer[self.root]["id"]), {}

    def read(self, it: Work[Session]) -> Properties | None:
        """Import says `domain,id`: a record is found in its domain only."""
        domain, _, identity = it.id.rpartition(",")
        domain = domain or it.state["domain"]
        answer = it.session.api.find(f"/v2/domains/{domain}/records/{identity}")
        if answer is None:
            return None
        item = answer[self.root]
        found = {name: value for name, value in self.state(item).items() if value != 0}
        if item["type"] in {"CNAME", "MX", "NS", "SRV", "CAA"} and item["data"] != "@" and item.get("tag") != "iodef":
            found["value"] = f"{item['data']}."
        host = domain if item["name"] == "@" else f"{item['name']}.{domain}"
        imported = {"id": identity} if "," in it.id else {}
        return {**found, **imported, "domain": domain, "fqdn": host}

    def update(self, it: Work[Session]) -> None:
        body = {key: value for key, value in self.body(it.inputs).items() if key != "type"}
        it.session.api.put(f"/v2/domains/{it.inputs['domain']}/records/{it.id}", body)

    def delete(self, it: Work[Session]) -> None:
        try:
            it.session.api.delete(f"/v2/domains/{it.state['domain']}/records/{it.id}")
        except ApiError as error:
            if error.status != 404:
                raise
