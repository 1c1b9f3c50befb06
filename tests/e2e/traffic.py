"""Those who use the application while it climbs: they look its name up each time, and remember what they were told."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from bench.site import FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.site import Site

READ = "/"  # the front page: cheap on the host, and in nginx's log, so that it can be told which host gave it


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
            except FAILURES:
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
        except FAILURES as error:
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
