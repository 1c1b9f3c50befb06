"""What long work has done so far, on disk after every step, so that a killed run goes on where it was."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ops.engine import repository_directory

if TYPE_CHECKING:
    from collections.abc import Generator


class Step(msgspec.Struct):
    """One step. `seconds` is the time spent in all tries, `facts` what it found or made, for later steps."""

    name: str
    started: datetime
    finished: datetime | None = None
    seconds: float = 0
    tries: int = 1
    facts: dict[str, Any] = {}


class Record(msgspec.Struct):
    """The whole work. `choices` are what the person asked for when it began."""

    stack: str
    started: datetime
    choices: dict[str, Any] = {}
    steps: list[Step] = []
    finished: datetime | None = None

    def step(self, name: str) -> Step | None:
        """The step of that name, if it was begun."""
        return next((step for step in self.steps if step.name == name), None)


class Journal:
    """A record and the file it is kept in. No secret goes in."""

    def __init__(self, path: Path, record: Record) -> None:
        self.path = path
        self.record = record

    @classmethod
    def open(cls, work: str, stack: str) -> Journal | None:
        """The unfinished journal of this work on this stack, or None."""
        path = journal_directory() / f"{work}-{stack}.json"
        try:
            return cls(path, msgspec.json.decode(path.read_bytes(), type=Record))
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    @classmethod
    def begin(cls, work: str, stack: str, choices: dict[str, Any]) -> Journal:
        """A new journal; one of the same name that is there gives way."""
        journal = cls(journal_directory() / f"{work}-{stack}.json", Record(stack, _now(), choices))
        journal.save()
        return journal

    def facts(self, name: str) -> dict[str, Any]:
        """What a step left."""
        step = self.record.step(name)
        return step.facts if step else {}

    def is_done(self, name: str) -> bool:
        """Whether the step has ended well."""
        step = self.record.step(name)
        return bool(step and step.finished)

    @contextmanager
    def step(self, name: str) -> Generator[dict[str, Any]]:
        """Do a step: yields the facts to fill. It counts as done only when the block ends without an error."""
        step = self.record.step(name)
        if step:
            step.tries += 1
        else:
            step = Step(name, _now(), facts={})
            self.record.steps = [*self.record.steps, step]
        self.save()
        began = time.monotonic()
        try:
            yield step.facts
            step.finished = _now()
        finally:
            step.seconds += time.monotonic() - began
            self.save()

    def finish(self) -> Path:
        """Close the journal; it stays as a report under a name of its own. Returns that file."""
        self.record.finished = _now()
        self.save()
        report = self.path.with_name(f"{self.path.stem}-{self.record.started:%Y%m%dT%H%M%SZ}.json")
        self.path.replace(report)
        return report

    def save(self) -> None:
        """Write all of it or nothing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(self.record), indent=1) + b"\n")
        draft.replace(self.path)


def journal_directory() -> Path:
    """Beside the local cloud's state, or in the checkout: not in a temporary folder, it must outlive a restart."""
    base = os.environ.get("TTS_LOCAL_DIR")
    return (Path(base) if base else repository_directory() / ".local") / "journal"


def _now() -> datetime:
    return datetime.now(UTC)
