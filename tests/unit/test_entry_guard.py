"""The guard of the entry against real listeners: what answers, what does not, and who is still led where."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING, Any

import pytest

from guards import entry
from guards.entry import Passage, Probe
from guards.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Site:
    """A listener on loopback that answers one code after the other; the last one stays. It notes what it was asked."""

    def __init__(self) -> None:
        self.codes = [200]
        self.asked: list[tuple[str, str]] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.headers["Host"], self.path))
                code = site.codes.pop(0) if len(site.codes) > 1 else site.codes[0]
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    it = Site()
    yield it
    it.server.shutdown()
    it.server.server_close()


def probe(site: Site, domain: str = "tickets.example.org") -> Probe:
    return Probe(f"127.0.0.1:{site.server.server_port}", domain, "/health/", tls=False)


def passage(domain: str = "tickets.example.org", ttl: int = 0, patience: float = 5) -> tuple[Passage, list[str]]:
    said: list[str] = []
    return Passage(domain, ttl, said.append, pause=0.001, patience=patience), said


def test_an_entry_is_asked_by_address_for_the_domain(site: Site) -> None:
    assert probe(site).look() == ""
    assert site.asked == [("tickets.example.org", "/health/")]


@pytest.mark.parametrize("code", [301, 404, 502, 503])
def test_any_other_answer_is_a_reason(code: int, site: Site) -> None:
    site.codes = [code]
    assert probe(site).look() == f"answers {code}"


def test_nobody_there_is_a_reason() -> None:
    assert "refused" in Probe("127.0.0.1:1", "", "/", tls=False).look()


def test_an_entry_is_healthy_after_good_answers_in_a_row(site: Site) -> None:
    site.codes = [503, 200, 200, 502, 200]
    guard, said = passage()
    guard.await_healthy(probe(site))
    assert len(site.asked) == 4 + entry.STEADY
    assert "waiting until" in said[0]


def test_an_entry_that_stays_ill_gets_nobody(site: Site) -> None:
    site.codes = [503]
    guard, _ = passage(patience=0.05)
    with pytest.raises(RefusedError, match=r"answers 503\. The world is still led to where it was"):
        guard.await_healthy(probe(site))


def test_the_lifetime_of_an_own_record_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("guards.entry.time.sleep", slept.append)
    passage(ttl=60)[0].await_old_answers("203.0.113.200", lambda _: {"203.0.113.200"})
    assert slept == [60]


def test_a_record_of_somebody_else_must_have_left() -> None:
    guard, _ = passage()
    with pytest.raises(RefusedError, match=r"tickets\.example\.org still leads to 203\.0\.113\.200"):
        guard.await_old_answers("203.0.113.200", lambda _: {"203.0.113.200"})
    guard.await_old_answers("203.0.113.200", lambda _: {"203.0.113.250"})


def test_without_a_domain_nobody_is_waited_for() -> None:
    passage(domain="")[0].await_old_answers("203.0.113.200", lambda _: {"203.0.113.200"})


def test_tls_is_asked_under_the_name_and_verified(site: Site) -> None:
    """Nothing speaks TLS at port 443 of this address: the reason is an error, and not an exception."""
    assert Probe("127.0.0.1", "tickets.example.org", "/", tls=True).look() != ""
