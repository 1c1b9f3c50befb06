"""The log lines of host commands: `TIME level=.. job=.. key=value ...`, one event a line."""

from __future__ import annotations

import shlex


def fields(line: str) -> dict[str, str]:
    """The `key=value` pairs of a line; empty for a line that is not of this shape."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def words(line: str) -> str:
    """A line as a person reads it while work goes on: the job and its step, else what happened."""
    found = fields(line)
    if not found:
        return line
    job = found.pop("job", "-").removeprefix("backup-")
    found.pop("level", None)
    text = found.pop("step", "") or " ".join(f"{key} {value}" for key, value in found.items())
    return text if job == "-" else f"{job}: {text}"


def reason(log: str) -> str:
    """Why a job failed, from its log: the last line that holds an error, else the last line."""
    lines = [line for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        if error := fields(line).get("error"):
            return error
    return lines[-1] if lines else "it gave no reason"
