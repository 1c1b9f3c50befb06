"""A store that speaks restic's REST protocol, version 2, over a folder."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST = "application/vnd.x.restic.rest.v2"


class RestStore(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    login: str

    def _path(self) -> Path | None:
        """The file or folder that is asked for; None, with an answer, for who has no login."""
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        if base64.b64decode(given).decode() == self.login:
            return self.folder / unquote(urlsplit(self.path).path).strip("/")
        self._answer(401)
        return None

    def _answer(self, code: int, body: bytes = b"", length: int | None = None, kind: str = "") -> None:
        self.send_response_only(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        if path := self._path():
            self._answer(200, length=path.stat().st_size) if path.is_file() else self._answer(404)

    def do_GET(self) -> None:
        path = self._path()
        if path and self.path.endswith("/"):
            files = [item for item in sorted(path.glob("*")) if not item.name.startswith(".")]
            found = [{"name": item.name, "size": item.stat().st_size} for item in files]
            self._answer(200, json.dumps(found).encode(), kind=LIST)
        elif path and path.is_file():
            content, (first, _, last) = path.read_bytes(), self._range()
            part = content[int(first or 0) : int(last) + 1 if last else None]
            self._answer(206 if first else 200, part)
        elif path:
            self._answer(404)

    def _range(self) -> tuple[str, str, str]:
        return self.headers.get("Range", "").removeprefix("bytes=").partition("-")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not (path := self._path()):
            return
        if not self.path.endswith("/") and "create=true" not in self.path:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}")
            draft.write_bytes(body)
            draft.replace(path)
        self._answer(200)

    def do_DELETE(self) -> None:
        if path := self._path():
            path.unlink(missing_ok=True)
            self._answer(200)

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def rest_store(folder: Path, login: str) -> Iterator[int]:
    """Serve the folder to who has the login, NAME:PASSWORD; gives the port."""
    handler = type("Handler", (RestStore,), {"folder": folder, "login": login})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()
