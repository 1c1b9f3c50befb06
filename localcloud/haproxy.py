"""A load balancer as text for HAProxy: its configuration, and the state in which its servers begin.

A server that is new takes no request before its health check has passed as often as was asked, as on the real cloud;
one that was there keeps its state over a reload. A request whose server cannot be reached goes to another one. A server
that fails its checks finishes what it has begun.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.store import Record

CERTIFICATES = "/var/lib/localcloud/certificates"
SOCKET = "/run/localcloud/admin.sock"
STATES = "/run/localcloud/states"
CONNECTIONS = 10_000  # of one unit of size
CONNECT_SECONDS = 2
BALANCE = {"round_robin": "roundrobin", "least_connections": "leastconn"}
STATE_FIELDS = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
    " srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state"
    " bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr"
    " srv_agent_addr srv_agent_port"
)


@dataclass(frozen=True)
class Server:
    """A droplet behind a balancer."""

    number: int
    address: str

    @property
    def name(self) -> str:
        """The health check reads the address out of it, for its Host header."""
        return f"droplet-{self.number}_{self.address}"


@dataclass(frozen=True)
class Files:
    """All that a balancer's HAProxy reads. The digest stands in the configuration and names the whole."""

    configuration: str
    states: str
    certificates: Mapping[str, str]
    digest: str


def render(balancer: Record, servers: Sequence[Server], certificates: Mapping[str, str]) -> Files:
    """Give the files of a balancer; `certificates` are PEM texts with their keys, by id."""
    rules = [*balancer["forwarding_rules"], *_redirect(balancer)]
    body = [*_defaults(balancer), *(line for rule in rules for line in _proxy(balancer, rule, servers))]
    text = "\n".join(body)
    digest = hashlib.sha256("\n".join([text, *map("".join, sorted(certificates.items()))]).encode()).hexdigest()[:16]
    configuration = "\n".join([*_global(digest), *body, ""])
    return Files(configuration, _states(rules, servers), certificates, digest)


def _redirect(balancer: Record) -> list[Record]:
    """Give the entry that only redirects, where a redirect is wanted and port 80 has no rule of its own."""
    if not balancer["redirect_http_to_https"] or any(one["entry_port"] == 80 for one in balancer["forwarding_rules"]):
        return []
    return [{"entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 80}]


def _global(digest: str) -> list[str]:
    return [
        "global",
        f"  description {digest}",
        "  log stdout format raw local0",
        f"  stats socket {SOCKET} mode 600 level admin expose-fd listeners",
        f"  server-state-file {STATES}",
        "  ssl-default-bind-options ssl-min-ver TLSv1.2",
        "  tune.ssl.default-dh-param 2048",
    ]


def _defaults(balancer: Record) -> list[str]:
    idle = balancer["http_idle_timeout_seconds"]
    return [
        "defaults",
        "  log global",
        "  option dontlognull",
        "  option redispatch 1",
        "  option idle-close-on-response",
        "  load-server-state-from-file global",
        "  retries 3",
        f"  maxconn {CONNECTIONS * balancer['size_unit']}",
        f"  timeout connect {CONNECT_SECONDS}s",
        f"  timeout client {idle}s",
        f"  timeout server {idle}s",
        f"  timeout http-request {idle}s",
        f"  timeout check {balancer['health_check']['response_timeout_seconds']}s",
    ]


def _proxy(balancer: Record, rule: Record, servers: Sequence[Server]) -> Iterator[str]:
    """Give one forwarding rule: the entry, and the servers behind it."""
    name, is_http = _name(rule), _speaks_http(rule)
    yield f"frontend {name}"
    yield f"  bind :{rule['entry_port']}{_bind(rule)}"
    yield f"  mode {'http' if is_http else 'tcp'}"
    yield f"  option {'httplog' if is_http else 'tcplog'}"
    yield from _filter(balancer["firewall"])
    if is_http:
        scheme = "http" if rule["entry_protocol"] == "http" else "https"
        if scheme == "http" and balancer["redirect_http_to_https"]:
            yield "  http-request redirect scheme https code 307"
        yield "  option forwardfor"
        yield f"  http-request set-header X-Forwarded-Proto {scheme}"
        yield f"  http-request set-header X-Forwarded-Port {rule['entry_port']}"
    yield f"  default_backend {name}"
    yield f"backend {name}"
    yield f"  mode {'http' if is_http else 'tcp'}"
    yield f"  balance {BALANCE[balancer['algorithm']]}"
    if is_http:
        yield f"  option {'http-keep-alive' if balancer['enable_backend_keepalive'] else 'http-server-close'}"
        yield from _sticky(balancer["sticky_sessions"])
    yield from _check(balancer["health_check"])
    options = _server_options(balancer, rule)
    for one in servers:
        cookie = f" cookie {one.number}" if is_http and balancer["sticky_sessions"]["type"] == "cookies" else ""
        yield f"  server {one.name} {one.address}:{rule['target_port']}{options}{cookie}"


def _name(rule: Record) -> str:
    return f"{rule['entry_protocol']}-{rule['entry_port']}"


def _speaks_http(rule: Record) -> bool:
    return rule["entry_protocol"] != "tcp" and not rule.get("tls_passthrough")


def _bind(rule: Record) -> str:
    if rule["entry_protocol"] not in ("https", "http2") or rule.get("tls_passthrough"):
        return ""
    return f" ssl crt {CERTIFICATES}/{rule['certificate_id']}.pem alpn h2,http/1.1"


def _filter(firewall: Record) -> Iterator[str]:
    """What is denied stays out, whatever is allowed; once something is allowed, all else stays out."""
    for word, condition in (("deny", "if"), ("allow", "unless")):
        if sources := [text.partition(":")[2] for text in firewall.get(word) or []]:
            yield f"  tcp-request connection reject {condition} {{ src {' '.join(sources)} }}"


def _sticky(sessions: Record) -> Iterator[str]:
    if sessions["type"] == "cookies":
        seconds = sessions["cookie_ttl_seconds"]
        how = f'insert indirect nocache httponly maxlife {seconds}s attr "Max-Age={seconds}"'
        yield f"  cookie {sessions['cookie_name']} {how}"


def _check(check: Record) -> Iterator[str]:
    if check["protocol"] != "tcp":
        yield "  option httpchk"
        yield f"  http-check send meth GET uri {check['path']} ver HTTP/1.1 hdr Host %[srv_name,field(2,_)]"
        yield "  http-check expect rstatus ^[23]"


def _server_options(balancer: Record, rule: Record) -> str:
    check: Mapping[str, Any] = balancer["health_check"]
    words = ["check", f"port {check['port']}", f"inter {check['check_interval_seconds']}s"]
    words += [f"fall {check['unhealthy_threshold']}", f"rise {check['healthy_threshold']}"]
    secure = _speaks_http(rule) and rule["target_protocol"] in ("https", "http2")
    if secure:
        # Droplets' own certificates are not known to a balancer, on the real cloud neither.
        words += ["ssl", "verify none", *(["alpn h2"] if rule["target_protocol"] == "http2" else [])]
    if check["protocol"] == "https":
        words += ["check-ssl", *([] if secure else ["verify none"])]
    elif secure:
        words.append("no-check-ssl")
    if balancer["enable_proxy_protocol"]:
        words += ["send-proxy", *(["check-send-proxy"] if check["port"] == rule["target_port"] else [])]
    return "".join(f" {word}" for word in words)


def _states(rules: Sequence[Record], servers: Sequence[Server]) -> str:
    """Give every server as down with no check passed; those that HAProxy knows better stay as they are."""
    lines = [
        f"0 {_name(rule)} 0 {one.name} {one.address} 0 0 1 1 0 6 2 0 6 0 0 0 - {rule['target_port']} - 0 0 - - 0"
        for rule in rules
        for one in servers
    ]
    return "\n".join(["1", f"# {STATE_FIELDS}", *lines, ""])
