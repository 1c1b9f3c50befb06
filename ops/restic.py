"""restic on the operator's machine: looked at by its results, because its exit status alone proves little."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDED = (0, 17)  # the first whose exit codes tell a wrong password from a missing repository
QUICK = 900  # seconds for what reads metadata only; restic itself would go on retrying without end
SLOW = 24 * 3600  # seconds for what reads or rewrites data
WRONG_PASSWORD = 12
_MEANING = {
    10: "there is no repository at this address",
    11: "another process has locked it: a backup is being copied there. Run it again in a while",
    12: "the passphrase does not open it",
}


@dataclass(frozen=True)
class Snapshot:
    """One snapshot, its tags read. `uploaded` is the store's own clock, and None where the store tells none."""

    id: str
    time: datetime
    host: str
    tags: tuple[str, ...]
    uploaded: datetime | None = None

    def tag(self, name: str) -> str:
        """The value of a tag `name=value`, empty when there is none."""
        return next((tag.partition("=")[2] for tag in self.tags if tag.startswith(f"{name}=")), "")

    @property
    def kind(self) -> str:
        """databases, media or config; empty for a snapshot that is none of this product's."""
        return self.tag("kind")


@dataclass(frozen=True)
class Done:
    """How a call of restic ended."""

    code: int
    out: str
    words: str


@dataclass(frozen=True)
class Repository:
    """One repository and what opens it. Secrets go to restic in its environment, never in its arguments."""

    name: str
    location: str
    password: str = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    def try_run(self, *arguments: str, timeout: float = QUICK) -> Done:
        """Run restic and hand back what it said, whatever its exit status.

        Raises:
            OpsError: no restic on PATH, or no end within `timeout` seconds.
        """
        own = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "RESTIC_"))}
        if "RESTIC_CACHE_DIR" in os.environ:
            own["RESTIC_CACHE_DIR"] = os.environ["RESTIC_CACHE_DIR"]
        environment = {
            **own,
            **self.environment,
            "RESTIC_REPOSITORY": self.location,
            "RESTIC_PASSWORD": self.password,
            "RESTIC_PROGRESS_FPS": "0.1",
        }
        return call(*arguments, environment=environment, timeout=timeout, where=self.name)

    def run(self, *arguments: str, timeout: float = QUICK) -> str:
        """Run restic; any status but 0 is an error that names the repository. Returns its standard output."""
        done = self.try_run(*arguments, timeout=timeout)
        if done.code:
            raise self.failed(arguments[0], done)
        return done.out

    def opens(self, password: str | None = None) -> bool:
        """Whether this password (else its own) opens it; any other trouble is an error."""
        candidate = self if password is None else self.with_password(password)
        done = candidate.try_run("cat", "config", "--no-lock")
        if done.code not in {0, WRONG_PASSWORD}:
            raise self.failed("cat", done)
        return done.code == 0

    def with_password(self, password: str) -> Repository:
        """The same repository, opened with another passphrase."""
        return Repository(self.name, self.location, password, self.environment)

    def snapshots(self) -> list[Snapshot]:
        """All of them, oldest first, without a lock of ours."""
        found = msgspec.json.decode(
            self.run("snapshots", "--json", "--no-lock") or "[]", type=list[dict[str, Any]] | None
        )
        return sorted(map(_snapshot, found or []), key=lambda item: item.time)

    def failed(self, verb: str, done: Done) -> OpsError:
        """A failure of restic as the error that a person reads."""
        return OpsError(
            f"`restic {verb}` failed on repository {self.name}.",
            where=f"exit status {done.code}: {_MEANING.get(done.code) or done.words or 'no message'}",
            fix="Look at the repository: tts audit, tts keys verify",
            code=ExitCode.BUSY if done.code == 11 else ExitCode.FAILED,
        )


def call(*arguments: str, environment: Mapping[str, str], timeout: float, where: str = "") -> Done:
    """One run of the `restic` on PATH."""
    try:
        done = subprocess.run(
            ["restic", *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise OpsError(
            "There is no `restic` on PATH.",
            fix="For the local stack: make shell. Else install 0.17 or newer: https://restic.net",
            code=ExitCode.CONFIG,
        ) from None
    except subprocess.TimeoutExpired:
        raise OpsError(
            f"`restic {arguments[0]}` did not end in {timeout:.0f} seconds.",
            where=f"repository {where}",
            fix="Does the store answer? Then run it again.",
        ) from None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return Done(done.returncode, done.stdout, " | ".join(lines[-3:]))


def check_version() -> None:
    """Refuse a restic that is missing or too old to be believed.

    Raises:
        OpsError: as said.
    """
    text = call("version", environment=os.environ, timeout=60).out
    found = re.search(r"restic (\d+)\.(\d+)", text)
    if not found or tuple(map(int, found.groups())) < NEEDED:
        raise OpsError(
            f"This restic is too old: {text.strip() or 'it does not say its version'}.",
            fix=f"Install {'.'.join(map(str, NEEDED))} or newer: https://restic.net",
            code=ExitCode.CONFIG,
        )


def _snapshot(item: dict[str, Any]) -> Snapshot:
    # Nine digits after the second are more than Python reads.
    moment = re.sub(r"(\.\d{6})\d+", r"\1", str(item["time"]))
    moment = re.sub(r"\.(\d{1,5})(?!\d)", lambda match: "." + match[1].ljust(6, "0"), moment)
    time = datetime.fromisoformat(moment)
    return Snapshot(str(item["id"]), time, str(item.get("hostname", "")), tuple(item.get("tags") or ()))
