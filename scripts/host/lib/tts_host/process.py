"""Child processes: bounded in time, with their words captured, and never outliving this one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from tts_host.log import Failure, redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PIPE = 1 << 20  # bytes that a pipe holds: with the kernel's 64 KiB a stream spends its time on waking the other end
TAIL = 2000  # characters of a program's stderr that an error repeats


@dataclass(frozen=True)
class Done:
    """A finished child process."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """The end of what the program said on stderr, on one line."""
        whole = redact(self.err[-20 * TAIL :])  # before the cut, which could leave half a secret
        return " | ".join(line.strip() for line in whole[-TAIL:].splitlines() if line.strip())


def tied(argv: Sequence[str]) -> list[str]:
    """The command, to be ended by the kernel when the process that started it dies."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *argv]


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
    cwd: str | None = None,
) -> Done:
    """Run to the end. A time-out is a Failure; a status other than 0 is for the caller to judge."""
    process = subprocess.Popen(
        tied(argv),
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=cwd,
    )
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        end(process)
        raise Failure(
            f"{argv[0]} {argv[1] if len(argv) > 1 else ''} did not end within {timeout:.0f} s".replace("  ", " ")
        ) from None
    except BaseException:
        end(process)
        raise
    return Done(process.returncode, out, err)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child for streaming; the caller ends it with `end`."""
    return subprocess.Popen(
        tied(argv), env={**os.environ, **(env or {})}, stdin=stdin, stdout=stdout, stderr=stderr, pipesize=PIPE
    )


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """A stream that the child was started with."""
    if stream is None:
        raise RuntimeError("the child was not started with this pipe")
    return stream


def end(process: subprocess.Popen[Any], grace: float = 10) -> None:
    """End a child: politely, then for good."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()
