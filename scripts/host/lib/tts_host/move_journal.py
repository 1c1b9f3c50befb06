"""How far a move has come, so that whoever comes next knows: go back, or go on.

Until `switching` everything that runs is as it was, and a killed move is taken back by starting the application. From
`switching` on the new side is whole and counts: a killed move is ended, never taken back.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_host import state
from tts_host.log import Failure, log, stamp
from tts_host.state import keep_entry, replace

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

STATE = "move"
# In the order in which they are entered. The application runs until `closing`; `switching` is the point of no return.
STEPS = (
    "checking",
    "copying",
    "closing",
    "closed",
    "drained",
    "stopped",
    "copied",
    "switching",
    "marked",
    "configured",
    "recorded",
    "started",
)
NOTE = "quiesced"  # the note of tts-quiesce: this host starts the application by itself
NOTE_S = 60  # a move that lives holds the lock for which the start has to wait
LOCK_WITHIN_S = 1800


@dataclass
class Journal:
    """One move. Every change is on the disk before the step begins."""

    home: state.Home
    origin: str
    goal: str
    since: str
    step: str

    def enter(self, step: str) -> None:
        self.step = step
        self.save()
        log("info", move=step)

    def save(self) -> None:
        document = {"from": self.origin, "to": self.goal, "since": self.since, "step": self.step}
        state.write(self.home, STATE, {**document, "committed": self.is_past("switching")})

    def is_past(self, step: str) -> bool:
        """Whether this step has been entered."""
        return STEPS.index(self.step) >= STEPS.index(step)

    def end(self) -> None:
        path = self.home.state_dir / "state" / f"{STATE}.json"
        path.unlink(missing_ok=True)
        keep_entry(path.parent)


def begin(home: state.Home, origin: str, goal: str) -> Journal:
    journal = Journal(home, origin, goal, stamp(), STEPS[0])
    journal.save()
    return journal


def find(home: state.Home) -> Journal | None:
    """The move that was begun and has not ended, or None."""
    found = shown(home)
    if found is None:
        return None
    return Journal(home, found["from"], found["to"], found["since"], found["step"])


def shown(home: state.Home) -> dict[str, Any] | None:
    """The same as a document, for a report."""
    found = state.read(home, STATE)
    return found if found.get("step") in STEPS else None


def note(home: state.Home) -> Path:
    return home.state_dir / "state" / NOTE


def promise_start(home: state.Home) -> None:
    """From now on this host starts the application by itself if nobody else does."""
    replace(note(home), f"{int(time.time()) + NOTE_S}\n", 0o600)


@contextmanager
def jobs_wait(home: state.Home) -> Generator[None]:
    """No backup runs inside this block; one that runs already is waited for."""
    home.state_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_WITHIN_S
    with open(home.state_dir / "lock", "ab") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failure("a backup job has held the lock for half an hour: see /var/log/tts") from None
                time.sleep(1)
        holder = home.state_dir / "lock.holder"
        holder.write_text(f"job=move since={stamp()}\n", encoding="ascii")
        yield
