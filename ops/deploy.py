"""`pulumi refresh` and `pulumi up` as steps of longer work: their course is told, a dead run's lock is taken away."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.engine import Engine

_LOCKED = re.compile(r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\)")
_RESOURCE = re.compile(r"^\s*[+~-]+\s+\S+\s+(?P<name>\S+)\s+(?P<what>creating|created|updated|deleted|replaced)\b")
_WAIT = 1800  # seconds for a run that somebody killed `tts` over, but not the engine itself


@dataclass(frozen=True)
class Deployment:
    """The engine at work on one stack."""

    engine: Engine
    now: Callable[[str], None]

    def refresh(self) -> None:
        """Let the state follow what the provider has; what is gone there goes from the state, protected or not."""
        self._run("refresh", "--yes", "--skip-preview", "--clear-pending-creates")

    def up(self) -> None:
        """Make what the program asks for.

        Raises:
            OpsError: it failed; running it again goes on from there.
        """
        self._run("up", "--yes", "--skip-preview")

    def _run(self, *words: str) -> None:
        deadline = time.monotonic() + _WAIT
        while True:
            code, text = self._once(words)
            if code == 0:
                return
            held = _LOCKED.search(text)
            if not held or time.monotonic() > deadline:
                raise self._failed(words[0], text)
            self._wait_for_lock(held)

    def _once(self, words: Sequence[str]) -> tuple[int, str]:
        stack = ["--stack", self.engine.stack] if self.engine.stack else []
        command = ["pulumi", "--non-interactive", "--color", "never", *words, *stack]
        try:
            process = subprocess.Popen(
                command,
                cwd=self.engine.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except FileNotFoundError:
            raise OpsError("There is no `pulumi` on PATH.", fix="make shell", code=ExitCode.CONFIG) from None
        lines: list[str] = []
        with process:
            for line in process.stdout or ():
                lines.append(line)
                if shown := _RESOURCE.match(line):
                    self.now(f"{shown['what']} {shown['name']}")
        return process.returncode, "".join(lines)

    def _wait_for_lock(self, held: re.Match[str]) -> None:
        """A killed run may leave an engine that still works, or the lock of one that is dead."""
        if held["host"] != socket.gethostname():
            raise OpsError(
                "The stack is locked by a run on another machine.",
                where=f"{held['user']}@{held['host']}, process {held['pid']}",
                fix=f"Wait for it. If it is dead for certain: pulumi cancel --stack {self.engine.stack or 'STACK'}",
                code=ExitCode.BUSY,
            )
        if _is_alive(int(held["pid"])):
            self.now(f"an earlier run (process {held['pid']}) is still at work: waiting for its end")
            time.sleep(2)
        else:
            self.now("taking away the lock of a run that was killed")
            self._once(("cancel", "--yes"))

    def _failed(self, verb: str, text: str) -> OpsError:
        marked = [line.strip() for line in text.splitlines() if "error:" in line]
        plain = [line.strip() for line in text.splitlines() if line.strip()]
        return OpsError(
            f"`pulumi {verb}` failed.",
            where=" | ".join((marked or plain)[:4]) or "it gave no reason",
            fix="Put that right, then run the same tts command again: it goes on from here.",
        )


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
