"""The other side of the alert channels, on loopback: an HTTP endpoint and a mail server that keep what they hear."""

from __future__ import annotations

import base64
import http.server
import socketserver
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Endpoint:
    """What an HTTP endpoint has heard, as (path, body), and the status it answers with next."""

    url: str = ""
    heard: list[tuple[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    mute: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    """Set once a request waits for an answer that never comes."""

    def paths(self) -> list[str]:
        return [path for path, _ in self.heard]


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    it = Endpoint()
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if it.mute.is_set():
                it.held.set()
                over.wait()  # takes everything and never answers
                return
            it.heard.append((self.path, body))
            self.send_response(it.answers.pop(0) if it.answers else 200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    with served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        it.url = f"http://127.0.0.1:{port}"
        try:
            yield it
        finally:
            over.set()


@contextmanager
def served(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Mailbox:
    """A mail server's mails and log-ins. `tls` is the certificate and key with which it offers STARTTLS."""

    tls: Path | None = None
    port: int = 0
    mails: list[str] = field(default_factory=list)
    accounts: list[tuple[str, str, bool]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)


class MailHandler(socketserver.StreamRequestHandler):
    """One session: the verbs that a client needs to hand over one mail."""

    box: Mailbox
    secure = False

    def handle(self) -> None:
        self.say("220 stub")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            try:
                getattr(self, f"on_{verb.lower()}", lambda _rest: self.say("250 ok"))(rest)
            except ssl.SSLError:
                return  # the client does not trust the certificate

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def on_ehlo(self, _rest: str) -> None:
        offered = ["250-STARTTLS"] if self.box.tls and not self.secure else []
        self.say("250-stub", *offered, "250 AUTH PLAIN")

    def on_starttls(self, _rest: str) -> None:
        self.say("220 go")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.box.tls))
        with self.connection:
            self.connection = context.wrap_socket(self.connection.dup(), server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.secure = True

    def on_auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split(" ")[1]).decode().split("\0")
        self.box.accounts.append((user, password, self.secure))
        self.say("235 in" if password == "right" else "535 no")

    def on_data(self, _rest: str) -> None:
        self.say("354 go")
        lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
        self.box.mails.append("".join(lines))
        self.box.encrypted.append(self.secure)
        self.say("250 kept")

    def on_quit(self, _rest: str) -> None:
        self.say("221 bye")

    def finish(self) -> None:
        super().finish()
        self.connection.close()


@contextmanager
def mail_server(tls: Path | None = None) -> Iterator[Mailbox]:
    it = Mailbox(tls)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("Handler", (MailHandler,), {"box": it}))
    server.daemon_threads = True
    with served(server) as port:
        it.port = port
        yield it


def certificate(folder: Path) -> Path:
    """A key and a certificate for localhost in one file, signed by itself."""
    both, key, cert = folder / "both.pem", folder / "key.pem", folder / "cert.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*new, *name, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    both.write_text(key.read_text() + cert.read_text())
    return both
