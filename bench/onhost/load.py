"""A light steady load on the application, between and during runs of a command. Standard library only.

    load.py RATE QUIET ROUNDS COMMAND

RATE requests a second, a fifth of them tickets, each at its time whether or not the one before was answered. Every
round is QUIET seconds of nothing else, then the command. Prints the seconds of all requests as JSON, a list for each
round: `quiet`, `busy`; and how many `failed`.

It runs on the host itself: a client on the machine below would compete with the host as a whole for the processors,
as no client of a droplet does.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

WRITES = 5
TICKET = json.dumps({"title": "bench", "description": "as steady as it goes", "priority": "low"})


@dataclass
class Load:
    """`answers` are pairs: when a request was due, and how long from then its answer took; None for a failure."""

    rate: float
    answers: list[tuple[float, float | None]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        start, number, waiting = time.monotonic(), 0, list[threading.Thread]()
        while not self.stop.wait(max(0, start + number / self.rate - time.monotonic())):
            one = threading.Thread(target=self.send, args=(number, start + number / self.rate))
            one.start()
            waiting.append(one)
            number += 1
        for one in waiting:
            one.join()

    def send(self, number: int, due: float) -> None:
        good = False
        connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
        try:
            if number % WRITES:
                connection.request("GET", "/api/tickets/")
            else:
                connection.request("POST", "/api/tickets/", TICKET, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            good = answer.status < 300
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        self.answers.append((due, time.monotonic() - due if good else None))

    def between(self, start: float, end: float) -> list[float]:
        return [took for due, took in self.answers if start <= due < end and took is not None]


def main(words: list[str]) -> int:
    rate, quiet, rounds, command = float(words[0]), float(words[1]), int(words[2]), words[3]
    load, spans = Load(rate), list[tuple[float, float, float]]()
    thread = threading.Thread(target=load.run)
    thread.start()
    try:
        for _ in range(rounds):
            begun = time.monotonic()
            time.sleep(quiet)  # the measurement itself
            middle = time.monotonic()
            subprocess.run(["bash", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            spans.append((begun, middle, time.monotonic()))
    finally:
        load.stop.set()
        thread.join()
    found = {
        "quiet": [load.between(begun, middle) for begun, middle, _ in spans],
        "busy": [load.between(middle, end) for _, middle, end in spans],
        "failed": sum(took is None for _, took in load.answers),
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
