"""Dumps from a repository to where the server's tools can read them; other bytes than the manifest's are refused."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tts_host.log import Failure
from tts_host.process import end, pipe

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tts_host.postgres import Server
    from tts_host.restic import Repository, Snapshot

CHUNK = 1 << 20


@dataclass(frozen=True)
class Source:
    """The folder of a snapshot in which `dumps` databases lie."""

    repository: Repository
    snapshot: Snapshot
    folder: Path
    dumps: int

    def fetched(
        self, server: Server, entries: list[dict[str, Any]], place: str
    ) -> Iterator[tuple[dict[str, Any], str]]:
        """Each entry with the path of its dump in `place`, as soon as it is there. When all are wanted, one reading of
        the repository brings them: each opening of it costs a second of key derivation.
        """
        targets = {entry["file"]: f"{place}/{number}" for number, entry in enumerate(entries)}
        if len(entries) > 1 and len(entries) == self.dumps:
            yield from self._in_one_go(server, {entry["file"]: entry for entry in entries}, targets)
            return
        for entry in entries:
            target = targets[entry["file"]]
            fetch(server, self.repository, self.snapshot, str(self.folder / entry["file"]), entry, target)
            yield entry, target

    def _in_one_go(
        self, server: Server, missing: dict[str, dict[str, Any]], targets: dict[str, str]
    ) -> Iterator[tuple[dict[str, Any], str]]:
        """restic gives a folder as a tar stream."""
        process = self.repository.stream(self.snapshot.id, str(self.folder))
        broken = ""
        try:
            with tarfile.open(fileobj=pipe(process.stdout), mode="r|") as archive:
                for member in archive:
                    entry = missing.get(Path(member.name).name)
                    content = archive.extractfile(member) if entry else None
                    if entry and content:
                        target = targets[entry["file"]]
                        check(entry, self.snapshot, write(server, content, entry, target))
                        del missing[entry["file"]]
                        yield entry, target
            drain(process)
        except tarfile.TarError as error:
            broken = str(error)
        finally:
            words = judged(process)
        if words is not None or missing:
            names = ", ".join(entry["name"] for entry in missing.values()) or "the dumps"
            reason = words or broken or "the snapshot does not hold them"
            raise Failure(f"{names} cannot be read from repository {self.repository.name}: {reason}")


def fetch(
    server: Server, repository: Repository, snapshot: Snapshot, path: str, entry: dict[str, Any], target: str
) -> None:
    """Stream one dump from the repository to `target`."""
    process = repository.stream(snapshot.id, path)
    try:
        digest = write(server, pipe(process.stdout), entry, target)
    finally:
        words = judged(process)
    if words is not None:
        raise Failure(f"{entry['name']} cannot be read from repository {repository.name}: {words}")
    check(entry, snapshot, digest)


def write(server: Server, content: IO[bytes], entry: dict[str, Any], target: str) -> str:
    """Copy a stream to a file on the database server; returns the sha256 of what went through."""
    digest = hashlib.sha256()
    sink = server.writer(target)
    try:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            pipe(sink.stdin).write(chunk)
        pipe(sink.stdin).close()
        if sink.wait() != 0:
            raise Failure(f"{entry['name']} cannot be written to {target} on the database server")
    except BrokenPipeError:
        raise Failure(
            f"{entry['name']} cannot be written to {target} on the database server: is its disk full?"
        ) from None
    finally:
        end(sink)
    return digest.hexdigest()


def drain(process: subprocess.Popen[bytes]) -> None:
    """Read the padding at the end of a stream, without which its writer would fail."""
    while pipe(process.stdout).read(CHUNK):
        pass


def judged(process: subprocess.Popen[bytes]) -> str | None:
    """What a reading that failed has said; None for one that ended well. One that still writes is cut off."""
    pipe(process.stdout).close()
    words = pipe(process.stderr).read().decode("utf-8", "replace").strip()
    code = process.wait()
    end(process)
    return None if code == 0 else words[-500:] or f"status {code}"


def check(entry: dict[str, Any], snapshot: Snapshot, digest: str) -> None:
    if digest != entry["sha256"]:
        raise Failure(
            f"{entry['name']}: the dump in snapshot {snapshot.id[:8]} does not have the checksum of its manifest. "
            "Use another snapshot"
        )
