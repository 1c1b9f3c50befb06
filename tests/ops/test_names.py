"""Names that only the environment's name server knows: found, and connected to, with the certificate checked."""

from __future__ import annotations

import http.server
import ssl
import threading
import urllib.error
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from localcloud import issuer
from localcloud.nameserver import NameServer
from localcloud.zones import Zones
from ops import names
from ops.web import opener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def record(name: str, data: str, kind: str = "A") -> dict[str, object]:
    return {"type": kind, "name": name, "data": data, "ttl": 60}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    zones = Zones()
    records = [record("@", "127.0.0.1"), record("www", "shop.test", "CNAME"), record("far", "198.18.0.9")]
    zones.replace({"shop.test": records})
    with closing(NameServer(zones, "127.0.0.1", 0)) as running:
        monkeypatch.setenv(names.VARIABLE, f"127.0.0.1:{running.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        yield running


@contextmanager
def site(directory: Path | None = None) -> Iterator[int]:
    """Serve a page, over TLS if a directory for the authority is given."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{self.headers['Host']} {self.path}".encode())

        def log_message(self, *_: object) -> None:
            return

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    if directory:
        pair = directory / "pair.pem"
        pair.write_text(issuer.issue(directory, ["shop.test"]).pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        web.socket = context.wrap_socket(web.socket, server_side=True)
    thread = threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield web.server_port
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("shop.test", {"127.0.0.1"}),
        ("www.shop.test", {"127.0.0.1"}),
        ("far.shop.test", {"198.18.0.9"}),
        ("no.shop.test", set()),
        ("198.18.0.7", {"198.18.0.7"}),
        ("localhost", {"127.0.0.1"}),
        ("a..b", set()),
    ],
)
def test_names_are_found_there_first_and_then_where_the_machine_looks(
    name: str, found: set[str], server: NameServer
) -> None:
    assert names.addresses(name) == found


def test_without_that_variable_the_machines_resolver_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(names.VARIABLE, raising=False)
    assert names.addresses("localhost") == {"127.0.0.1"}
    assert names.addresses("nowhere.invalid") == set()


def test_a_page_is_read_under_its_name(server: NameServer) -> None:
    with site() as port:
        url = f"http://www.shop.test:{port}/health"
        with opener(url).open(url, timeout=5) as answer:
            assert answer.read().decode() == f"www.shop.test:{port} /health"


def test_a_certificate_is_checked_against_the_name(
    server: NameServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(tmp_path) as port:
        url = f"https://shop.test:{port}/"
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            opener(url).open(url, timeout=5)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "web-ca.crt"))
        with opener(url).open(url, timeout=5) as answer:
            assert answer.status == 200
        wrong = f"https://www.shop.test:{port}/"
        with pytest.raises(urllib.error.URLError, match="Hostname mismatch"):
            opener(wrong).open(wrong, timeout=5)
