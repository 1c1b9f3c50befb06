"""Those who use the application while it climbs: they look its name up each time, and remember what they were told."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dns.exception
import dns.resolver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REDIRECTS = (301, 302, 307, 308)
READ = "/"  # the front page: cheap on the host, and in nginx's log, so that it can be told which host gave it
TIMEOUT = 5


@dataclass(frozen=True)
class Site:
    """The application as the world finds it: by its name, which `nameserver` knows, or without one by its address."""

    host: str
    nameserver: str = ""
    authority: Path | None = None

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """One request, on a connection of its own, to where the name leads at this moment; redirects are followed."""
        status, answer, location = self._send("http", method, path, body)
        if status in REDIRECTS:
            assert location.startswith(f"https://{self.host}/"), location
            status, answer, _ = self._send("https", method, urlsplit(location).path, body)
        return status, answer

    def _send(self, scheme: str, method: str, path: str, body: Any) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT)
        connection.sock = self._connect(scheme)
        try:
            text = None if body is None else json.dumps(body).encode()
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Location", "")
        finally:
            connection.close()

    def _connect(self, scheme: str) -> socket.socket:
        plain = socket.create_connection((self.address(), 443 if scheme == "https" else 80), TIMEOUT)
        if scheme == "http":
            return plain
        return ssl.create_default_context(cafile=str(self.authority)).wrap_socket(plain, server_hostname=self.host)

    def address(self) -> str:
        """Where the name leads now; nothing of an earlier answer is remembered."""
        if not self.nameserver:
            return self.host
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [self.nameserver]
        return str(next(iter(resolver.resolve(self.host, "A", lifetime=TIMEOUT))))


@dataclass
class Writer:
    """Creates tickets without a pause and keeps the id and the time of each one that was acknowledged."""

    site: Site
    acknowledged: dict[str, float] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        while not self.over.is_set():
            try:
                status, answer = self.site.ask("POST", "/api/tickets/", {"title": f"during the climb {time.time()}"})
                if status == http.client.CREATED:
                    self.acknowledged[json.loads(answer)["id"]] = time.time()
            except (OSError, ValueError, http.client.HTTPException, dns.exception.DNSException):
                pass  # not acknowledged: nothing was promised
            self.over.wait(0.2)

    def longest_wait(self, since: float = 0) -> float:
        """Seconds of the longest time between two acknowledgements of which the later came after `since`."""
        times = sorted(self.acknowledged.values())
        return max(later - earlier for earlier, later in pairwise(times) if later > since)


@dataclass
class Readers:
    """`rate` requests a second, steadily, whether or not earlier ones were answered. `failed` has time and reason."""

    site: Site
    rate: float = 20
    workers: int = 8
    answered: list[float] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def work(self, number: int) -> None:
        due = time.monotonic() + number / self.rate
        while not self.over.wait(max(0.0, due - time.monotonic())):
            self._read()
            due += self.workers / self.rate

    def _read(self) -> None:
        try:
            status, _ = self.site.ask("GET", READ)
            reason = "" if status == http.client.OK else str(status)
        except (OSError, http.client.HTTPException, dns.exception.DNSException) as error:
            reason = f"{type(error).__name__} {error}"
        if reason:
            self.failed.append((time.time(), reason))
        else:
            self.answered.append(time.time())


@contextmanager
def writing(site: Site) -> Iterator[Writer]:
    """A writer at work; in the end the application must still take tickets."""
    writer = Writer(site)
    thread = threading.Thread(target=writer.work)
    thread.start()
    try:
        yield writer
        seen = len(writer.acknowledged)
        deadline = time.monotonic() + 60
        while len(writer.acknowledged) < seen + 3:
            assert time.monotonic() < deadline, "the application takes no ticket any more"
            time.sleep(0.2)
    finally:
        writer.over.set()
        thread.join()


@contextmanager
def reading(site: Site) -> Iterator[Readers]:
    """Readers at work, all of whose answers are in when the block ends."""
    readers = Readers(site)
    threads = [threading.Thread(target=readers.work, args=(number,)) for number in range(readers.workers)]
    for thread in threads:
        thread.start()
    try:
        yield readers
    finally:
        readers.over.set()
        for thread in threads:
            thread.join()
