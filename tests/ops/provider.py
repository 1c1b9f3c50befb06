"""A stand-in for DigitalOcean's API: droplets, images, reserved IPs. It writes down every call."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class Provider:
    """The state, and what was asked. `failing` makes the next actions end as errored, `busy` answers 429 first."""

    def __init__(self) -> None:
        self.droplets: dict[int, dict[str, Any]] = {}
        self.snapshots: list[dict[str, Any]] = []
        self.backups: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.entry = 1
        self.reserved: dict[str, int | None] = {}
        self.regions: dict[str, str] = {}
        self.projects: dict[str, str] = {}
        self.records: list[dict[str, Any]] = []
        self.failing = False
        self.busy = 0
        self.polls = 0
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def changes(self) -> list[str]:
        """The calls that were not just questions."""
        return [call for call in self.calls if not call.startswith("GET")]

    def image(self, number: int, name: str, created: str = "2026-11-23T02:00:00Z") -> dict[str, Any]:
        return {"id": str(number), "name": name, "created_at": created, "size_gigabytes": 2.5}

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.busy:
            self.busy -= 1
            return 429, {"message": "too many requests"}
        if path.startswith("/app/"):
            return 200, {}
        for verb, pattern, act in self._routes():
            if verb == method and (found := re.fullmatch(pattern, path.partition("?")[0])):
                return act(found, body)
        return 404, {"message": "not found"}

    def _routes(self) -> list[tuple[str, str, Any]]:
        return [
            ("GET", r"/v2/droplets", lambda *_: (200, {"droplets": list(self.droplets.values())})),
            ("GET", r"/v2/droplets/(\d+)", lambda found, _: self._one(int(found[1]))),
            ("DELETE", r"/v2/droplets/(\d+)", lambda found, _: self._delete(int(found[1]))),
            ("POST", r"/v2/droplets/(\d+)/actions", lambda found, body: self._act(int(found[1]), body)),
            ("GET", r"/v2/actions/(\d+)", lambda *_: self._action()),
            ("GET", r"/v2/snapshots", lambda *_: (200, {"snapshots": self.snapshots})),
            ("GET", r"/v2/droplets/(\d+)/backups", lambda *_: (200, {"backups": self.backups})),
            ("DELETE", r"/v2/images/(\d+)", lambda found, _: self._forget(found[1])),
            ("GET", r"/v2/domains/(.+)/records", lambda *_: (200, {"domain_records": self.records})),
            ("PUT", r"/v2/domains/(.+)/records/(\d+)", lambda found, body: self._lead(int(found[2]), body)),
            ("GET", r"/v2/reserved_ips/([^/]+)", lambda found, _: self._reserved(found[1])),
            ("POST", r"/v2/projects/([^/]+)/resources", lambda found, body: self._join(found[1], body)),
            ("POST", r"/v2/reserved_ips/([^/]+)/actions", lambda found, body: self._unassign(found[1], body)),
        ]

    def _one(self, number: int) -> tuple[int, dict[str, Any]]:
        return (200, {"droplet": self.droplets[number]}) if number in self.droplets else (404, {"message": "no"})

    def _delete(self, number: int) -> tuple[int, dict[str, Any]]:
        self.droplets.pop(number, None)
        return 204, {}

    def _act(self, number: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if number not in self.droplets:
            return 404, {"message": "no"}
        self._pending = body["name"]
        return 201, {"action": {"id": 7, "status": "in-progress"}}

    def _action(self) -> tuple[int, dict[str, Any]]:
        self.polls += 1
        if self.failing:
            return 200, {"action": {"id": 7, "status": "errored"}}
        self.snapshots.append(self.image(900 + len(self.snapshots), self._pending, "2026-11-24T02:00:00Z"))
        return 200, {"action": {"id": 7, "status": "completed"}}

    def _lead(self, number: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        (record,) = (one for one in self.records if one["id"] == number)
        record |= body
        return 200, {"domain_record": record}

    def _reserved(self, address: str) -> tuple[int, dict[str, Any]]:
        droplet = self.reserved.get(address, self.entry)
        found = {"ip": address, "region": {"slug": self.regions.get(address, "fra1")}}
        return 200, {"reserved_ip": found | {"droplet": {"id": droplet} if droplet else None}}

    def _join(self, project: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.projects |= dict.fromkeys(body["resources"], project)
        return 200, {"resources": []}

    def _unassign(self, address: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        assert body == {"type": "unassign"}
        if not self.failing:
            self.reserved[address] = None
        return 201, {"action": {"id": 7, "status": "errored" if self.failing else "completed"}}

    def _forget(self, number: str) -> tuple[int, dict[str, Any]]:
        self.snapshots = [one for one in self.snapshots if one["id"] != number]
        self.backups = [one for one in self.backups if str(one["id"]) != number]
        return 204, {}


class _Handler(BaseHTTPRequestHandler):
    provider: ClassVar[Provider]

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        self.provider.calls.append(f"{self.command} {self.path}")
        status, document = self.provider.answer(self.command, self.path, body)
        content = b"" if status == 204 else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815  # names that the library calls

    def log_message(self, *_: Any) -> None:
        pass
