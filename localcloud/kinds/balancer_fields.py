"""What the API takes for a load balancer: read, checked, and completed with the API's own defaults."""

from ipaddress import ip_network
from typing import Any

from localcloud.cloud import Cloud
from localcloud.kinds import tags
from localcloud.store import Record
from localcloud.web import Call, invalid

# Which protocols may stand behind an entry that the balancer itself reads.
TARGETS = {
    "http": ("http", "https", "http2"),
    "https": ("http", "https", "http2"),
    "http2": ("http", "https", "http2"),
    "tcp": ("tcp",),
}
SECURE = ("https", "http2")
CHECKS = ("http", "https", "tcp")
CHECK = {
    "check_interval_seconds": (10, 3, 300),
    "response_timeout_seconds": (5, 3, 300),
    "healthy_threshold": (5, 2, 10),
    "unhealthy_threshold": (3, 2, 10),
}
ALGORITHMS = ("round_robin", "least_connections")
SIZES = {"lb-small": 1, "lb-medium": 3, "lb-large": 6}
MOST_UNITS = 100
ELSEWHERE = ("domains", "glb_settings", "target_load_balancer_ids")


def read(cloud: Cloud, call: Call) -> Record:
    """Read a whole balancer, without what is given by its creation. Raises 422 on what cannot be."""
    if unknown := [word for word in ELSEWHERE if call.body.get(word)]:
        raise invalid(f"{', '.join(unknown)}: the local cloud has regional load balancers only.")
    if call.get("type", str, "REGIONAL") != "REGIONAL":
        raise invalid(f"type {call.body['type']}: the local cloud has regional load balancers only.")
    algorithm = call.get("algorithm", str, "") or "round_robin"
    if algorithm not in ALGORITHMS:
        raise invalid(f"algorithm must be one of {', '.join(ALGORITHMS)}")
    numbers, tag = call.get("droplet_ids", list, []), call.get("tag", str, "")
    if numbers and tag:
        raise invalid("droplet_ids and tag cannot be given together")
    return {
        "name": call.need("name", str),
        "algorithm": algorithm,
        "size_unit": _units(call),
        "forwarding_rules": forwarding_rules(cloud, call.need("forwarding_rules", list)),
        "health_check": _health_check(call.get("health_check", dict, {})),
        "sticky_sessions": _sticky_sessions(call.get("sticky_sessions", dict, {})),
        "firewall": _firewall(call.get("firewall", dict, {})),
        "tag": tags.ensure(cloud, [tag])[0] if tag else "",
        "droplet_ids": numbers,
        **{word: call.get(word, bool, False) for word in SWITCHES},
        "http_idle_timeout_seconds": _between(call.body, "http_idle_timeout_seconds", (60, 30, 600)),
        "project_id": call.get("project_id", str, ""),
        "tls_cipher_policy": call.get("tls_cipher_policy", str, "") or "DEFAULT",
    }


SWITCHES = (
    "redirect_http_to_https",
    "enable_proxy_protocol",
    "enable_backend_keepalive",
    "disable_lets_encrypt_dns_records",
)


def forwarding_rules(cloud: Cloud, rules: list[Any]) -> list[Record]:
    found = [_forwarding_rule(cloud, rule) for rule in rules]
    ports = [one["entry_port"] for one in found]
    if twice := sorted({port for port in ports if ports.count(port) > 1}):
        raise invalid(f"forwarding rules must have unique entry ports; more than one for {twice[0]}")
    return found


def _forwarding_rule(cloud: Cloud, rule: Any) -> Record:
    if not isinstance(rule, dict):
        raise invalid("a forwarding rule must be an object")
    entry, target = rule.get("entry_protocol"), rule.get("target_protocol")
    passthrough, certificate = bool(rule.get("tls_passthrough")), rule.get("certificate_id") or ""
    if entry not in TARGETS:
        raise invalid(f"entry_protocol must be one of {', '.join(TARGETS)} in the local cloud, not {entry}")
    if target not in TARGETS[entry] or (passthrough and target != entry):
        raise invalid(f"a rule cannot forward {entry} to {target}{' with tls_passthrough' if passthrough else ''}")
    if entry in SECURE and passthrough == bool(certificate):
        raise invalid(f"a rule for {entry} needs either certificate_id or tls_passthrough")
    if entry not in SECURE and (passthrough or certificate):
        raise invalid(f"a rule for {entry} takes neither certificate_id nor tls_passthrough")
    if certificate and cloud.store.kind("certificates").get(certificate, {}).get("state") != "verified":
        raise invalid(f"certificate_id: there is no verified certificate {certificate}")
    ports = {word: _between(rule, word, (0, 1, 65535)) for word in ("entry_port", "target_port")}
    names = {"entry_protocol": entry, "target_protocol": target}
    return {**names, **ports, "certificate_id": certificate, "tls_passthrough": passthrough}


def _health_check(check: Record) -> Record:
    protocol, path = check.get("protocol") or "http", check.get("path") or ""
    if protocol not in CHECKS:
        raise invalid(f"health_check: protocol must be one of {', '.join(CHECKS)}")
    if protocol == "tcp" and path:
        raise invalid("health_check: path is not supported for tcp")
    path = path or "/"
    if not path.startswith("/") or any(sign.isspace() or sign in "\"'\\#%" for sign in path):
        raise invalid("health_check: path must begin with / and hold no spaces, quotes, # or %")
    numbers = {word: _between(check, word, limits, "health_check: ") for word, limits in CHECK.items()}
    port = _between(check, "port", (80, 1, 65535), "health_check: ")
    return {"protocol": protocol, "port": port, **({} if protocol == "tcp" else {"path": path}), **numbers}


def _sticky_sessions(sessions: Record) -> Record:
    kind = sessions.get("type") or "none"
    if kind == "none":
        return {"type": "none"}
    name = sessions.get("cookie_name") or ""
    if kind != "cookies" or not name or not name.replace("-", "").replace("_", "").isalnum():
        raise invalid("sticky_sessions: type is none or cookies, and cookies need a cookie_name of letters and numbers")
    seconds = _between(sessions, "cookie_ttl_seconds", (0, 1, 34650), "sticky_sessions: ")
    return {"type": "cookies", "cookie_name": name, "cookie_ttl_seconds": seconds}


def _firewall(firewall: Record) -> Record:
    """Read `allow` and `deny`: texts such as ip:1.2.3.4 and cidr:1.2.0.0/16."""
    for text in [*(firewall.get("allow") or []), *(firewall.get("deny") or [])]:
        kind, _, source = str(text).partition(":")
        try:
            ip_network(source)
        except ValueError:
            kind = ""
        if kind not in ("ip", "cidr") or (kind == "ip" and "/" in source):
            raise invalid(f"firewall: {text} must be ip:ADDRESS or cidr:RANGE")
    return {word: firewall[word] for word in ("allow", "deny") if firewall.get(word)}


def _units(call: Call) -> int:
    slug = call.get("size", str, "")
    if slug and slug not in SIZES:
        raise invalid(f"size must be one of {', '.join(SIZES)}")
    if slug and call.body.get("size_unit"):
        raise invalid("size and size_unit cannot be given together")
    return SIZES[slug] if slug else _between(call.body, "size_unit", (1, 1, MOST_UNITS))


def _between(values: Record, word: str, limits: tuple[int, int, int], what: str = "") -> int:
    """Read a number; `limits` are what it is when not given, the least and the most. No default is 0."""
    default, least, most = limits
    value = values.get(word) or default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(f"{what}{word} must be a number from {least} to {most}")
    return value
