"""What a person sees while the toolchain works: one line a step, a clock while it runs, one message when it fails."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from toolchain.layout import relative

NAME_WIDTH = 16
DETAIL_WIDTH = 62
LAST_LINES = 12  # of a log that are shown when its step fails
QUIET_SECONDS = 30  # between two progress lines where there is no terminal to redraw
SHORT_SECONDS = 3  # a step that takes less needs no progress line there


class FailureError(Exception):
    """A step could not be done: what was wrong, what to do about it, and the log that knows more."""

    def __init__(self, problem: str, fix: str = "", log: Path | None = None) -> None:
        super().__init__(problem)
        self.problem, self.fix, self.log = problem, fix, log

    def __str__(self) -> str:
        lines = [self.problem]
        if self.log and self.log.exists():
            last = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            lines += [*(f"  | {line}" for line in last), f"  log: {relative(self.log)}"]
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


def elapsed(seconds: float) -> str:
    """Write a duration for a person: 4.2 s, 3 min 07 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


@dataclass
class Screen:
    """Draws the steps on a terminal, or as plain lines where there is none."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    note: str = ""

    @property
    def redraws(self) -> bool:
        return self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def mark(self, done: bool) -> str:
        unicode = "utf" in (self.stream.encoding or "").lower()
        return ("✓" if done else "…") if unicode else ("+" if done else ".")

    def show(self, mark: str, name: str, detail: str, seconds: float | None, end: str = "\n") -> None:
        clock = "" if seconds is None else elapsed(seconds)
        line = f" {mark} {name:<{NAME_WIDTH}}{detail:<{DETAIL_WIDTH}} {clock:>12}".rstrip()
        self.stream.write(line + end)
        self.stream.flush()

    def done(self, name: str, detail: str, seconds: float | None = None) -> None:
        """Write the line of a finished step; without a duration it had been done before."""
        self.show(self.mark(done=True), name, detail, seconds)

    @contextmanager
    def working(self, name: str, doing: str) -> Iterator[None]:
        """Show a step with a running clock until the block ends; `self.note` adds what it is at."""
        self.note, over, started = "", threading.Event(), time.monotonic()
        clock = threading.Thread(target=self._tick, args=(name, doing, started, over), daemon=True)
        clock.start()
        try:
            yield
        finally:
            over.set()
            clock.join()

    def _tick(self, name: str, doing: str, started: float, over: threading.Event) -> None:
        wait = 0.5 if self.redraws else QUIET_SECONDS
        start, end = ("\r\033[K", "") if self.redraws else ("", "\n")
        if not self.redraws and over.wait(SHORT_SECONDS):
            return
        while True:
            detail = f"{doing}: {self.note}" if self.note else doing
            self.stream.write(start)
            self.show(self.mark(done=False), name, detail[:DETAIL_WIDTH], time.monotonic() - started, end)
            if over.wait(wait):
                break
        if self.redraws:
            self.stream.write("\r\033[K")


@dataclass(frozen=True)
class Log:
    """The log file of one step, to which its commands write."""

    path: Path

    @classmethod
    def start(cls, directory: Path, name: str) -> "Log":
        directory.mkdir(parents=True, exist_ok=True)
        log = cls(directory / f"{name}.log")
        log.path.write_text("")
        return log

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        problem: str,
        fix: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Run a command with its output in the log; FailureError with `problem` if it fails or is too slow."""
        with self.path.open("a") as output:
            output.write(f"$ {' '.join(map(str, argv))}\n")
            output.flush()
            try:
                subprocess.run(
                    list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                    cwd=cwd, env=env, timeout=timeout, check=True,
                )  # fmt: skip
            except (subprocess.SubprocessError, OSError) as error:
                raise FailureError(problem, fix, self.path) from error


def capture(argv: Sequence[str | Path], env: Mapping[str, str] | None = None, timeout: float = 60) -> str | None:
    """Give a command's output, stripped, or None if it is missing, fails or is too slow."""
    try:
        done = subprocess.run(
            list(map(str, argv)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=env,
            timeout=timeout,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.strip()
