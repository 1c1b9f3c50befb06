"""A small DigitalOcean API for the tests of the stand-in plugin: it keeps JSON objects and writes down every call."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = "2026-01-02T03:04:05Z"


@dataclass
class FakeApi:
    """An API that keeps JSON objects and answers in the shapes that the real plugin needs."""

    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.calls.append((method, path, body))
        for index, (pattern, status, error) in enumerate(self.failures):
            if re.fullmatch(pattern, f"{method} {path}"):
                del self.failures[index]
                return status, error
        path = path.partition("?")[0]
        for pattern, handler in _ROUTES:
            if match := re.fullmatch(pattern, f"{method} {path}"):
                return handler(self, body, *match.groups())
        return 404, {"id": "not_found", "message": f"no route {method} {path}", "request_id": "r"}

    def writes(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.calls if method != "GET"]

    def bodies(self, call: str) -> list[Any]:
        return [body for method, path, body in self.calls if f"{method} {path}" == call]

    def put(self, kind: str, key: Any, value: dict[str, Any]) -> dict[str, Any]:
        self.objects.setdefault(kind, {})[str(key)] = value
        return value

    def find(self, kind: str, key: Any) -> dict[str, Any] | None:
        return self.objects.get(kind, {}).get(str(key))

    def next(self) -> int:
        return next(self._ids)


_PLAIN = {
    "vpcs": ("vpc", {"default": False, "created_at": NOW, "description": ""}),
    "account/keys": ("ssh_key", {"fingerprint": "aa:bb"}),
    "firewalls": ("firewall", {"status": "succeeded", "created_at": NOW, "pending_changes": []}),
    "projects": ("project", {"owner_id": 1, "owner_uuid": "o", "created_at": NOW, "updated_at": NOW}),
    "domains": ("domain", {"ttl": 1800}),
    "spaces/keys": ("key", {"created_at": NOW}),
}


def _gone() -> tuple[int, Any]:
    return 404, {"id": "not_found", "message": "The resource you requested could not be found.", "request_id": "r1"}


def _create(api: FakeApi, body: dict[str, Any], kind: str) -> tuple[int, Any]:
    root, extra = _PLAIN[kind]
    key: Any = api.next() if kind == "account/keys" else f"uuid-{api.next()}"
    item = {**extra, **body, "id": key}
    if kind == "vpcs":
        item["urn"] = f"do:vpc:{key}"
    if kind == "domains":
        key = body["name"]
    if kind == "spaces/keys":
        key = item["access_key"] = f"DO00{key}"
        return 201, {root: api.put(kind, key, item) | {"secret_key": "spaces-secret"}}
    return 201, {root: api.put(kind, key, item)}


def _read(api: FakeApi, _: Any, kind: str, key: str) -> tuple[int, Any]:
    item = api.find(kind, key)
    return (200, {_PLAIN[kind][0]: item}) if item else _gone()


def _change(api: FakeApi, body: dict[str, Any], kind: str, key: str) -> tuple[int, Any]:
    item = api.find(kind, key)
    if item is None:
        return _gone()
    item.update(body)
    return 200, {_PLAIN[kind][0]: item}


def _remove(api: FakeApi, _: Any, kind: str, key: str) -> tuple[int, Any]:
    return (204, None) if api.objects.get(kind, {}).pop(key, None) else _gone()


def _create_tag(api: FakeApi, body: dict[str, Any]) -> tuple[int, Any]:
    kinds = ("droplets", "images", "volumes", "volume_snapshots", "databases")
    counts = {"count": 0, **{kind: {"count": 0} for kind in kinds}}
    return 201, {"tag": api.put("tags", body["name"], {"name": body["name"], "resources": counts})}


def _read_tag(api: FakeApi, _: Any, name: str) -> tuple[int, Any]:
    item = api.find("tags", name)
    return (200, {"tag": item}) if item else _gone()


def _create_droplet(api: FakeApi, body: dict[str, Any]) -> tuple[int, Any]:
    number = api.next()
    words = {"backups": "backups", "ipv6": "ipv6", "monitoring": "monitoring"}
    droplet = {
        "id": number,
        "name": body["name"],
        "region": {"slug": body["region"]},
        "size": {"slug": body["size"], "price_monthly": 18.0, "price_hourly": 0.02679},
        "memory": 2048,
        "vcpus": 2,
        "disk": 60,
        "status": "new",
        "locked": True,
        "created_at": NOW,
        "networks": {"v4": [{"type": "public", "ip_address": "203.0.113.9"}]},
        "features": [word for name, word in words.items() if body.get(name)],
        "tags": body["tags"],
        "volume_ids": [],
        "vpc_uuid": body.get("vpc_uuid", "default-vpc"),
        "polls": 0,
    }
    return 202, {"droplet": api.put("droplets", number, droplet)}


def _read_droplet(api: FakeApi, _: Any, key: str) -> tuple[int, Any]:
    """New droplets take two looks to become active, so that a plugin which does not wait is seen."""
    droplet = api.find("droplets", key)
    if droplet is None:
        return _gone()
    droplet["polls"] += 1
    if droplet["status"] == "new" and droplet["polls"] > 1:
        droplet |= {"status": "active", "locked": False}
    return 200, {"droplet": droplet}


def _droplet_action(api: FakeApi, body: dict[str, Any], key: str) -> tuple[int, Any]:
    droplet = api.find("droplets", key)
    if droplet is None:
        return _gone()
    if body["type"] == "resize":
        droplet["size"] = {**droplet["size"], "slug": body["size"]}
    changes = {
        "power_off": {"status": "off"},
        "shutdown": {"status": "off"},
        "power_on": {"status": "active"},
        "rename": {"name": body.get("name")},
        "disable_backups": {"features": [word for word in droplet["features"] if word != "backups"]},
        "enable_backups": {"features": [*droplet["features"], "backups"]},
        "enable_ipv6": {"features": [*droplet["features"], "ipv6"]},
    }
    droplet.update(changes.get(body["type"], {}))
    if body["type"] == "snapshot":
        number = api.next()
        item = {"id": number, "name": body["name"], "created_at": NOW, "resource_id": key, "regions": ["fra1"]}
        api.put("snapshots", number, item)
    return 201, {"action": _action(api, body["type"], int(key))}


def _action(api: FakeApi, kind: str, resource: int) -> dict[str, Any]:
    number = api.next()
    action = {"id": number, "type": kind, "status": "completed", "started_at": NOW, "completed_at": NOW}
    return api.put("actions", number, {**action, "resource_id": resource})


def _read_action(api: FakeApi, _: Any, key: str) -> tuple[int, Any]:
    return 200, {"action": api.find("actions", key)}


def _droplet_lists(api: FakeApi, _: Any, key: str, kind: str) -> tuple[int, Any]:
    items = [item for item in api.objects.get(kind, {}).values() if str(item["resource_id"]) == key]
    return 200, {kind: items}


def _retag(api: FakeApi, body: dict[str, Any], verb: str, tag: str) -> tuple[int, Any]:
    for resource in body["resources"]:
        droplet = api.find("droplets", resource["resource_id"]) or {}
        others = [name for name in droplet["tags"] if name != tag]
        droplet["tags"] = others if verb == "DELETE" else [*others, tag]
    return 204, None


def _read_snapshot(api: FakeApi, _: Any, key: str) -> tuple[int, Any]:
    item = api.find("snapshots", key)
    return (200, {"snapshot": {**item, "id": key}}) if item else _gone()


def _create_address(api: FakeApi, body: dict[str, Any]) -> tuple[int, Any]:
    address = f"203.0.113.{130 + len(api.objects.get('reserved_ips', {}))}"
    item = {"ip": address, "region": {"slug": body["region"]}, "droplet": None}
    return 202, {"reserved_ip": api.put("reserved_ips", address, item)}


def _read_address(api: FakeApi, _: Any, address: str) -> tuple[int, Any]:
    item = api.find("reserved_ips", address)
    return (200, {"reserved_ip": item}) if item else _gone()


def _address_action(api: FakeApi, body: dict[str, Any], address: str) -> tuple[int, Any]:
    item = api.find("reserved_ips", address)
    if item is None:
        return _gone()
    item["droplet"] = {"id": body["droplet_id"], "region": item["region"]} if body["type"] == "assign" else None
    return 201, {"action": _action(api, body["type"], 0)}


def _project_resources(api: FakeApi, body: Any, verb: str, project: str) -> tuple[int, Any]:
    if verb == "POST":
        for urn in body["resources"]:
            api.put("resources", urn, {"project": project, "urn": urn})
    found = [{"urn": item["urn"]} for item in api.objects.get("resources", {}).values() if item["project"] == project]
    return 200, {"resources": found, "links": {}, "meta": {"total": len(found)}}


def _create_record(api: FakeApi, body: dict[str, Any], domain: str) -> tuple[int, Any]:
    number = api.next()
    data = body["data"].removesuffix(".") if body["type"] == "CNAME" else body["data"]
    return 201, {"domain_record": api.put("records", number, {**body, "data": data, "id": number, "domain": domain})}


def _record(api: FakeApi, body: Any, verb: str, _: str, key: str) -> tuple[int, Any]:
    item = api.find("records", key)
    if item is None:
        return _gone()
    if verb == "DELETE":
        del api.objects["records"][key]
        return 204, None
    item.update(body or {})
    return 200, {"domain_record": item}


def _account(_: FakeApi, __: Any) -> tuple[int, Any]:
    return 200, {"account": {"uuid": "u1", "email": "ops@example.org", "droplet_limit": 25, "status": "active"}}


def _sizes(_: FakeApi, __: Any) -> tuple[int, Any]:
    size = {"slug": "s-1vcpu-1gb", "memory": 1024, "vcpus": 1, "price_monthly": 6, "regions": ["fra1"]}
    return 200, {"sizes": [size, {**size, "slug": "s-2vcpu-2gb", "memory": 2048, "price_monthly": 18}], "links": {}}


_KINDS = "|".join(_PLAIN)
_ROUTES: list[tuple[str, Any]] = [
    (r"GET /v2/account", _account),
    (r"GET /v2/sizes", _sizes),
    (r"POST /v2/tags", _create_tag),
    (r"GET /v2/tags/([^/]+)", _read_tag),
    (r"(POST|DELETE) /v2/tags/([^/]+)/resources", _retag),
    (r"POST /v2/droplets", _create_droplet),
    (r"GET /v2/droplets/(\d+)", _read_droplet),
    (r"DELETE /v2/(droplets|tags|reserved_ips|snapshots)/([^/]+)", _remove),
    (r"POST /v2/droplets/(\d+)/actions", _droplet_action),
    (r"GET /v2/droplets/(\d+)/(actions|snapshots)", _droplet_lists),
    (r"GET /v2/actions/(\d+)", _read_action),
    (r"GET /v2/snapshots/([^/]+)", _read_snapshot),
    (r"POST /v2/reserved_ips", _create_address),
    (r"GET /v2/reserved_ips/([^/]+)", _read_address),
    (r"POST /v2/reserved_ips/([^/]+)/actions", _address_action),
    (r"GET /v2/reserved_ips/[^/]+/actions/(\d+)", _read_action),
    (r"GET /v2/projects/default", lambda _api, _body: (200, {"project": {"id": "default-project"}})),
    (r"(GET|POST) /v2/projects/([^/]+)/resources", _project_resources),
    (r"POST /v2/domains/([^/]+)/records", _create_record),
    (r"(GET|PUT|DELETE) /v2/domains/([^/]+)/records/(\d+)", _record),
    (rf"POST /v2/({_KINDS})", _create),
    (rf"GET /v2/({_KINDS})/([^/]+)", _read),
    (rf"(?:PUT|PATCH) /v2/({_KINDS})/([^/]+)", _change),
    (rf"DELETE /v2/({_KINDS})/([^/]+)", _remove),
]


@contextlib.contextmanager
def serve_api() -> Iterator[tuple[FakeApi, str]]:
    """Serve a new FakeApi; gives it and its URL."""
    api = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = api.answer(self.command, self.path, json.loads(text) if text else None)
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**api.headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield api, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
