"""A steady load on the application, and how it answers: what is measured is what a person waits."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITES = 5  # every fifth request makes a ticket, the others read
TIMEOUT = 30


@dataclass(frozen=True)
class Answer:
    """One request: when it was due, how long it took from then, its status (0: no answer), the id of a new ticket."""

    due: float
    seconds: float
    status: int
    ticket: str = ""

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Load:
    """So many requests a second on an application, each at its time, whether or not the one before was answered."""

    url: str
    rate: float
    answers: list[Answer] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def between(self, start: float, end: float) -> list[Answer]:
        return [answer for answer in self.answers if start <= answer.due < end]

    def run(self) -> None:
        """Send until stopped. The workers are enough for every request to wait its whole time-out."""
        with ThreadPoolExecutor(int(self.rate * TIMEOUT)) as pool:
            start, number = time.monotonic(), 0
            while not self._stop.is_set():
                due = start + number / self.rate
                if self._stop.wait(max(0, due - time.monotonic())):
                    return
                pool.submit(self._send, number, due)
                number += 1

    def stop(self) -> None:
        self._stop.set()

    def _send(self, number: int, due: float) -> None:
        status, ticket = request(self.url, f"bench {number}" if number % WRITES == 0 else None)
        self.answers.append(Answer(due, time.monotonic() - due, status, ticket))


def request(url: str, title: str | None) -> tuple[int, str]:
    """Make a ticket, or list some; the status (0: no answer) and the ticket's id."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
    try:
        if title is None:
            connection.request("GET", "/api/tickets/")
        else:
            ticket = {"title": title, "description": "as steady as it goes", "priority": "low"}
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/api/tickets/", json.dumps(ticket), headers)
        answer = connection.getresponse()
        body = answer.read()
        made = title is not None and answer.status == 201
        return answer.status, str(json.loads(body)["id"]) if made else ""
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return 0, ""
    finally:
        connection.close()


@contextmanager
def steady(url: str, rate: float) -> Iterator[Load]:
    """The load, for as long as the block lasts."""
    load = Load(url, rate)
    thread = threading.Thread(target=load.run)
    thread.start()
    try:
        yield load
    finally:
        load.stop()
        thread.join()
