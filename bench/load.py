"""A steady load on the application, and how it answers: what is measured is what a person waits."""

from __future__ import annotations

import http
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from bench.site import FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.site import Site

WORKERS = 600  # at most that many requests wait for an answer at once


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

    @property
    def end(self) -> float:
        return self.due + self.seconds


@dataclass
class Load:
    """`rate` requests a second, each at its time, whether or not the one before was answered.

    Every `writes`-th makes a ticket, the others get `path`.
    """

    site: Site
    rate: float
    writes: int
    path: str = "/api/tickets/"
    answers: list[Answer] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def between(self, start: float, end: float) -> list[Answer]:
        return [answer for answer in self.answers if start <= answer.due < end]

    def failed(self) -> list[Answer]:
        return sorted((answer for answer in self.answers if not answer.good), key=lambda answer: answer.due)

    def reasons(self) -> str:
        """How many failed, and of what: `0` is no answer."""
        counted = Counter(answer.status for answer in self.failed())
        return ", ".join(f"{number} of status {status}" for status, number in sorted(counted.items())) or "none failed"

    def tickets(self) -> set[str]:
        """Those that the application has acknowledged."""
        return {answer.ticket for answer in self.answers if answer.ticket}

    def longest_wait(self) -> float:
        """Seconds of the longest time between two good answers."""
        ends = sorted(answer.end for answer in self.answers if answer.good)
        return max((later - earlier for earlier, later in pairwise(ends)), default=0.0)

    def run(self) -> None:
        """Send until stopped; every answer is in when this returns."""
        with ThreadPoolExecutor(min(WORKERS, int(self.rate * self.site.timeout) + 1)) as pool:
            start, number = time.monotonic(), 0
            while True:
                due = start + number / self.rate
                if self._stop.wait(max(0, due - time.monotonic())):
                    return
                pool.submit(self._send, number, due)
                number += 1

    def stop(self) -> None:
        self._stop.set()

    def _send(self, number: int, due: float) -> None:
        title = f"bench {number}" if number % self.writes == 0 else None
        status, ticket = request(self.site, self.path, title)
        self.answers.append(Answer(due, time.monotonic() - due, status, ticket))


def request(site: Site, path: str, title: str | None) -> tuple[int, str]:
    """Make a ticket, or get the path; the status (0: no answer) and the ticket's id."""
    try:
        if title is None:
            return site.ask("GET", path)[0], ""
        ticket = {"title": title, "description": "as steady as it goes", "priority": "low"}
        status, body = site.ask("POST", "/api/tickets/", ticket)
        return status, str(json.loads(body)["id"]) if status == http.HTTPStatus.CREATED else ""
    except FAILURES:
        return 0, ""


@contextmanager
def steady(site: Site, rate: float, writes: int = 5, path: str = "/api/tickets/") -> Iterator[Load]:
    """The load, for as long as the block lasts."""
    load = Load(site, rate, writes, path)
    thread = threading.Thread(target=load.run)
    thread.start()
    try:
        yield load
    finally:
        load.stop()
        thread.join()
