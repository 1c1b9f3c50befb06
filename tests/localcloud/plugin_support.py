"""What the tests of the stand-in plugins share: a small DigitalOcean API, a plugin without an engine, a real engine."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from localcloud.plugins.serve import listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.plugins.base import StandIn

REPOSITORY = Path(__file__).resolve().parents[2]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
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


class InitFailureError(Exception):
    """What the engine keeps of a resource that was made but did not become usable."""

    def __init__(self, resource_id: str, properties: dict[str, Any], reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.resource_id, self.properties = resource_id, properties


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


def reveal(value: Any) -> Any:
    """A value without the marks of secrets."""
    if isinstance(value, dict):
        return reveal(value["value"]) if value.get(SIGNATURE) == SECRET else {k: reveal(v) for k, v in value.items()}
    return [reveal(item) for item in value] if isinstance(value, list) else value


class Plugin:
    """A stand-in behind real gRPC, spoken to as the engine does."""

    def __init__(self, provider: StandIn, package: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server, port = asyncio.run_coroutine_threadsafe(
            listen(provider, "1.0.0", "127.0.0.1:1"), self._loop
        ).result()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self.package = package

    def close(self) -> None:
        self._channel.close()
        asyncio.run_coroutine_threadsafe(self._server.stop(None), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def urn(self, token: str, name: str = "thing") -> str:
        return f"urn:pulumi:stack::project::{self.package}:{token}::{name}"

    def configure(self, **settings: Any) -> None:
        variables = {f"{self.package}:config:{key}": value for key, value in settings.items()}
        self.stub.Configure(provider_pb2.ConfigureRequest(variables=variables, args=struct(settings)))

    def check(
        self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None, name: str = "thing"
    ) -> tuple[dict[str, Any], dict[str, str]]:
        request = provider_pb2.CheckRequest(
            urn=self.urn(token, name), news=struct(news), olds=struct(olds or {}), randomSeed=b"seed"
        )
        answer = self.stub.Check(request)
        return plain(answer.inputs), {failure.property: failure.reason for failure in answer.failures}

    def inputs(self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None) -> dict[str, Any]:
        inputs, failures = self.check(token, news, olds)
        assert failures == {}
        return inputs

    def diff(
        self, token: str, olds: dict[str, Any], news: dict[str, Any], ignore: tuple[str, ...] = ()
    ) -> provider_pb2.DiffResponse:
        request = provider_pb2.DiffRequest(
            id="i",
            urn=self.urn(token),
            olds=struct(olds),
            old_inputs=struct(olds),
            news=struct(news),
            ignoreChanges=ignore,
        )
        return self.stub.Diff(request)

    def create(
        self, token: str, inputs: dict[str, Any], *, preview: bool = False, name: str = "thing"
    ) -> tuple[str, dict[str, Any]]:
        request = provider_pb2.CreateRequest(urn=self.urn(token, name), properties=struct(inputs), preview=preview)
        try:
            answer = self.stub.Create(request)
        except grpc.RpcError as error:
            raise _init_failure(error) or error from None
        return answer.id, plain(answer.properties)

    def read(
        self, token: str, resource_id: str, state: dict[str, Any], inputs: dict[str, Any]
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        request = provider_pb2.ReadRequest(
            id=resource_id, urn=self.urn(token), properties=struct(reveal(state)), inputs=struct(inputs)
        )
        answer = self.stub.Read(request)
        return answer.id, plain(answer.properties), plain(answer.inputs)

    def update(
        self,
        token: str,
        resource_id: str,
        state: dict[str, Any],
        olds: dict[str, Any],
        news: dict[str, Any],
        *,
        preview: bool = False,
    ) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            id=resource_id,
            urn=self.urn(token),
            olds=struct(reveal(state)),
            old_inputs=struct(olds),
            news=struct(news),
            preview=preview,
        )
        return plain(self.stub.Update(request).properties)

    def delete(self, token: str, resource_id: str, state: dict[str, Any]) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(id=resource_id, urn=self.urn(token), properties=struct(reveal(state)))
        )

    def invoke(self, token: str, **args: Any) -> dict[str, Any]:
        request = provider_pb2.InvokeRequest(tok=f"{self.package}:{token}", args=struct(args))
        return plain(getattr(self.stub.Invoke(request), "return"))


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


def plain(values: struct_pb2.Struct) -> dict[str, Any]:
    return json_format.MessageToDict(values)


def _init_failure(error: grpc.RpcError) -> InitFailureError | None:
    metadata: Any = error.trailing_metadata()
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            failed = provider_pb2.ErrorResourceInitFailed()
            status_pb2.Status.FromString(value).details[0].Unpack(failed)
            return InitFailureError(failed.id, plain(failed.properties), list(failed.reasons))
    return None


@contextlib.contextmanager
def object_store(directory: Path) -> Iterator[dict[str, Any]]:
    """Run the local cloud's object store; gives its URL and keys."""
    command = [sys.executable, "-m", "localcloud.objects", "--dir", str(directory), "--port", "0"]
    with (directory.parent / "objects.log").open("w") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (directory.parent / "objects.log").read_text()
            keys = json.loads(line)
            yield {**keys, "url": f"http://127.0.0.1:{keys['port']}"}
        finally:
            process.terminate()
            process.wait()
            if process.stdout:
                process.stdout.close()


@dataclass
class Engine:
    """The real engine with the stand-ins, a stack of its own and a program that a test writes."""

    program: Path
    home: Path
    pulumi: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, code: str) -> None:
        (self.program / "__main__.py").write_text(code)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))},
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": f"file://{self.home.parent}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "PYTHONWARNINGS": "ignore",
            **self.environment,
        }
        done = subprocess.run(
            [self.pulumi, "-C", self.program, "--non-interactive", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if check and done.returncode:
            raise AssertionError(f"pulumi {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def up(self, *arguments: str, check: bool = True) -> dict[str, int]:
        """Apply the program; gives how many resources were created, updated, replaced, left alone."""
        done = self.run("up", "--yes", "--skip-preview", "--json", *arguments, check=check)
        return _summary(done.stdout)

    def preview(self, *arguments: str) -> dict[str, str]:
        """What would happen to each resource, by its logical name."""
        steps = json.loads(self.run("preview", "--json", *arguments).stdout)["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] != "same"}

    def outputs(self) -> dict[str, Any]:
        return json.loads(self.run("stack", "output", "--json", "--show-secrets").stdout)

    def resources(self) -> dict[str, dict[str, Any]]:
        """The state of each resource by its logical name, secrets as they are kept."""
        state = json.loads(self.run("stack", "export").stdout)
        return {item["urn"].rpartition("::")[2]: item for item in state["deployment"]["resources"]}


def _summary(text: str) -> dict[str, int]:
    for line in reversed(text.splitlines()):
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if "summaryEvent" in event:
                return event["summaryEvent"]["resourceChanges"]
    return {}
