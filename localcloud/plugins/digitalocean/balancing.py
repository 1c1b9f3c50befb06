"""Load balancers and their certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from localcloud.plugins.api import ApiError, wait_for
from localcloud.plugins.codec import CloudError, Codec, Properties, Work
from localcloud.plugins.digitalocean.rest import Rest, camel, snake
from localcloud.plugins.digitalocean.session import Session
from localcloud.plugins.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_USE = ("Make sure the certificate is not in use before deleting it", "being used by one or more load balancers")
IN_USE_SECONDS = 900


class Certificate(Codec[Session]):
    """Known by its name: the UUID changes when a certificate is renewed."""

    kind = "digitalocean:index/certificate:Certificate"
    sdk = "pulumi_digitalocean.certificate:Certificate"
    label = "Certificate"
    replaces = frozenset({"certificateChain", "domains", "leafCertificate", "name", "privateKey", "type"})
    secrets = frozenset({"privateKey"})
    sets = frozenset({"domains"})
    autoname = "name"
    defaults: ClassVar[Mapping[str, Any]] = {"type": "custom"}

    def check(self, inputs: Properties) -> list[Problem]:
        kind = inputs.get("type") or "custom"
        needed = {"custom": ("leafCertificate", "privateKey"), "lets_encrypt": ("domains",)}
        if kind not in needed:
            return [Problem("type", f"expected one of 'custom', 'lets_encrypt', got '{kind}'")]
        return [
            Problem(name, f"a certificate of type {kind} needs {name}")
            for name in needed[kind]
            if inputs.get(name) is None
        ]

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        given = {**self.defaults, **it.inputs}
        body = {
            "name": given["name"],
            "type": given["type"],
            "dns_names": given.get("domains"),
            "private_key": given.get("privateKey"),
            "leaf_certificate": given.get("leafCertificate"),
            "certificate_chain": given.get("certificateChain"),
        }
        kept = {key: value for key, value in body.items() if value is not None}
        made = it.session.api.post("/v2/certificates", kept)["certificate"]
        return made["name"], {"uuid": made["id"]}

    def settle(self, it: Work[Session]) -> None:
        found = wait_for(
            lambda: it.session.api.get(f"/v2/certificates/{it.state['uuid']}")["certificate"]["state"],
            lambda state: state != "pending",
            f"waiting for certificate {it.id} to be verified",
            it.session.cancelled,
        )
        if found != "verified":
            raise CloudError(f"unexpected state '{found}', wanted target 'verified'. last error: %!s(<nil>)")

    def read(self, it: Work[Session]) -> Properties | None:
        item = find_certificate(it.session, it.id)
        if item is None:
            return None
        return {
            "name": item["name"],
            "type": item["type"],
            "domains": item.get("dns_names") or [],
            "uuid": item["id"],
            "state": item["state"],
            "notAfter": item.get("not_after", ""),
            "sha1Fingerprint": item.get("sha1_fingerprint", ""),
        }

    def delete(self, it: Work[Session]) -> None:
        """Remove it once no load balancer has it: the one that had it is changed after the new one was made."""
        item = find_certificate(it.session, it.id)
        if item is None:
            raise CloudError("certificate not found")

        def refusal() -> ApiError | None:
            try:
                it.session.api.delete(f"/v2/certificates/{item['id']}")
            except ApiError as error:
                if error.status == 404:
                    return None
                if error.status != 403 or not any(text in error.message for text in IN_USE):
                    raise
                return error
            return None

        what = f"waiting for certificate {it.id} to be out of use"
        wait_for(refusal, lambda error: error is None, what, it.session.cancelled, IN_USE_SECONDS)


def find_certificate(session: Session, name: str) -> Mapping[str, Any] | None:
    """Give a certificate by its name."""
    found = session.api.get(f"/v2/certificates?name={quote(name)}")["certificates"]
    return found[0] if found else None


class LoadBalancer(Rest):
    kind = "digitalocean:index/loadBalancer:LoadBalancer"
    sdk = "pulumi_digitalocean.load_balancer:LoadBalancer"
    label = "Load Balancer"
    path, root = "/v2/load_balancers", "load_balancer"
    replaces = frozenset({"network", "networkStack", "region", "type", "vpcUuid"})
    ignore_case = frozenset({"dropletTag", "region"})
    sets = frozenset({"forwardingRules", "dropletIds", "allows", "denies", "domains", "targetLoadBalancerIds"})
    autoname = "name"
    defaults: ClassVar[Mapping[str, Any]] = {
        "algorithm": "round_robin",
        "disableLetsEncryptDnsRecords": False,
        "enableBackendKeepalive": False,
        "enableProxyProtocol": False,
        "redirectHttpToHttps": False,
    }
    wire: ClassVar[Mapping[str, str | None]] = {
        "dropletTag": "tag",
        "healthcheck": "health_check",
        "loadBalancerUrn": None,
        "ipv6": None,
    }
    check_defaults: ClassVar[Mapping[str, int]] = {
        "checkIntervalSeconds": 10,
        "responseTimeoutSeconds": 5,
        "healthyThreshold": 5,
        "unhealthyThreshold": 3,
    }

    def check(self, inputs: Properties) -> list[Problem]:
        pairs = (("dropletIds", "dropletTag"), ("size", "sizeUnit"))
        found = [
            Problem(first, f"{first} conflicts with {second}")
            for first, second in pairs
            if inputs.get(first) and inputs.get(second)
        ]
        return [*found, *_check_health(inputs.get("healthcheck") or {}), *_check_sticky(inputs.get("stickySessions"))]

    def canonical(self, value: Any, name: str = "") -> Any:
        """A rule without what its certificate's name stands for; a health check with its defaults."""
        if isinstance(value, dict) and name == "forwardingRules":
            known = {"certificateId"} if value.get("certificateName") else set[str]()
            value = {key: item for key, item in value.items() if key not in known and item is not False}
        elif isinstance(value, dict) and name == "healthcheck":
            value = {**self.check_defaults, **value}
        return super().canonical(value, name)

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        return str(it.session.api.post(self.path, self._request(it))[self.root]["id"]), {}

    def settle(self, it: Work[Session]) -> None:
        status = wait_for(
            lambda: it.session.api.get(f"{self.path}/{it.id}")[self.root]["status"],
            lambda found: found != "new",
            f"waiting for load balancer {it.id}",
            it.session.cancelled,
        )
        if status != "active":
            raise CloudError(f"unexpected state '{status}', wanted target 'active'. last error: %!s(<nil>)")

    def read(self, it: Work[Session]) -> Properties | None:
        found = super().read(it)
        if found is None:
            return None
        rules = [_rule_state(it.session, rule) for rule in found["forwardingRules"]]
        return {**found, "forwardingRules": rules, "loadBalancerUrn": f"do:loadbalancer:{it.id}"}

    def update(self, it: Work[Session]) -> None:
        it.session.api.put(f"{self.path}/{it.id}", self._request(it))

    def delete(self, it: Work[Session]) -> None:
        try:
            super().delete(it)
        except ApiError as error:
            if error.status != 404:
                raise

    def state(self, item: Mapping[str, Any]) -> Properties:
        found = super().state(item)
        found["region"] = (item.get("region") or {}).get("slug")
        for name in ("healthcheck", "stickySessions"):
            if name in found:
                found[name] = {camel(key): value for key, value in found[name].items()}
        if firewall := item.get("firewall"):
            found["firewall"] = {"allows": firewall.get("allow") or [], "denies": firewall.get("deny") or []}
        found["dropletIds"] = item.get("droplet_ids") or []
        dropped = "size" if item.get("size_unit") else "sizeUnit"
        return {name: value for name, value in found.items() if name != dropped and value not in (None, "")}

    def _request(self, it: Work[Session]) -> dict[str, Any]:
        """The whole object: what the program says, and with a tag no droplets."""
        given = {**self.defaults, **it.inputs}
        body = self.body({name: value for name, value in given.items() if value is not None})
        body["forwarding_rules"] = [_rule(it.session, rule) for rule in given.get("forwardingRules") or []]
        for name in ("health_check", "sticky_sessions"):
            if name in body:
                body[name] = {snake(key): value for key, value in body[name].items()}
        if "health_check" in body:
            defaults = {snake(key): value for key, value in self.check_defaults.items()}
            body["health_check"] = {**defaults, **body["health_check"]}
        if firewall := given.get("firewall"):
            body["firewall"] = {"allow": firewall.get("allows") or [], "deny": firewall.get("denies") or []}
        return body


def _check_health(check: Properties) -> list[Problem]:
    protocol, path = check.get("protocol"), check.get("path")
    if protocol in {"http", "https"} and path is None:
        return [Problem("healthcheck.path", f"a health check by {protocol} needs path")]
    if protocol == "tcp" and path:
        return [Problem("healthcheck.path", "a health check by tcp takes no path")]
    return []


def _check_sticky(sessions: Properties | None) -> list[Problem]:
    if not sessions or sessions.get("type") != "cookies":
        return []
    return [
        Problem(f"stickySessions.{name}", f"sticky sessions by cookies need {name}")
        for name in ("cookieName", "cookieTtlSeconds")
        if sessions.get(name) is None
    ]


def _rule(session: Session, rule: Properties) -> dict[str, Any]:
    """A forwarding rule for the API, which knows certificates by UUID."""
    body = {snake(name): value for name, value in rule.items() if name != "certificateName"}
    if name := rule.get("certificateName"):
        certificate = find_certificate(session, name)
        if certificate is None:
            raise CloudError(f"certificate not found: {name}")
        body["certificate_id"] = certificate["id"]
    return {key: value for key, value in body.items() if value not in (None, "", False)}


def _rule_state(session: Session, rule: Mapping[str, Any]) -> Properties:
    found = {camel(key): value for key, value in rule.items()}
    if rule.get("certificate_id"):
        found["certificateName"] = session.api.get(f"/v2/certificates/{rule['certificate_id']}")["certificate"]["name"]
    return found
