"""Dumps from a repository to the server's tools; other bytes than the manifest's are refused."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from tts_host.log import Failure
from tts_host.process import end, pipe

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator
    from pathlib import Path

    from tts_host.postgres import Server
    from tts_host.restic import Repository, Snapshot

CHUNK = 1 << 20


@dataclass(frozen=True)
class Dumps:
    """The folder of a snapshot in which dumps lie."""

    repository: Repository
    snapshot: Snapshot
    folder: Path

    @contextmanager
    def stream(self, entry: dict[str, Any]) -> Generator[IO[bytes]]:
        """One dump. A Failure at the end of the block says that the repository did not give all of it."""
        process = self.repository.stream(self.snapshot.id, str(self.folder / entry["file"]))
        try:
            yield pipe(process.stdout)
        finally:
            words = _judged(process)
        if words is not None:
            raise Failure(f"{entry['name']} cannot be read from repository {self.repository.name}: {words}")

    def check(self, entry: dict[str, Any], digest: str) -> None:
        if digest != entry["sha256"]:
            raise Failure(
                f"{entry['name']}: the dump in snapshot {self.snapshot.id[:8]} does not have the checksum of its "
                "manifest. Use another snapshot"
            )


def fetch(server: Server, dumps: Dumps, entry: dict[str, Any], target: str) -> None:
    """One dump into a file where the server's tools can read it more than once."""
    with dumps.stream(entry) as content:
        sink = server.writer(target)
        try:
            digest = copy(content, sink)
            if sink.wait() != 0:
                raise BrokenPipeError
        except BrokenPipeError:
            raise Failure(
                f"{entry['name']} cannot be written to {target} on the database server: is its disk full?"
            ) from None
        finally:
            end(sink)
    dumps.check(entry, digest)


def copy(content: IO[bytes], sink: subprocess.Popen[bytes]) -> str:
    """Feed a stream to a process, whose input ends with it; returns the sha256 of what went through."""
    digest = hashlib.sha256()
    while chunk := content.read(CHUNK):
        digest.update(chunk)
        pipe(sink.stdin).write(chunk)
    pipe(sink.stdin).close()
    return digest.hexdigest()


def _judged(process: subprocess.Popen[bytes]) -> str | None:
    """What a reading that failed has said; None for one that ended well. One that still writes is cut off."""
    pipe(process.stdout).close()
    words = pipe(process.stderr).read().decode("utf-8", "replace").strip()
    code = process.wait()
    end(process)
    return None if code == 0 else words[-500:] or f"status {code}"
