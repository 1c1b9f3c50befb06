"""Object bodies as files: received in one pass with their checksums, read back in ranges; never whole in memory."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from localcloud.objects.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

BLOCK = 256 * 1024


class Hasher(Protocol):
    """The part of hashlib's objects that is used here."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = binascii.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def checksum_hasher(algorithm: str) -> Hasher | None:
    """A hasher for an `x-amz-checksum-*` name, or None for those that need a library (CRC32C, CRC64NVME)."""
    if algorithm == "CRC32":
        return _Crc32()
    if algorithm == "SHA1":
        return hashlib.sha1(usedforsecurity=False)
    return hashlib.sha256() if algorithm == "SHA256" else None


@dataclass(frozen=True)
class Body:
    """A range of a stored file that behaves like bytes where moto measures and slices them."""

    path: Path
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def __getitem__(self, part: slice) -> Body:
        start, stop, _ = part.indices(len(self))
        return Body(self.path, self.start + start, self.start + max(start, stop))

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks. The file is opened at once, so that a delete meanwhile does not cut the answer."""
        file = self.path.open("rb")
        file.seek(self.start)
        left = len(self)

        def read() -> Iterator[bytes]:
            nonlocal left
            with file:
                while left and (block := file.read(min(BLOCK, left))):
                    left -= len(block)
                    yield block

        return read()


@dataclass(frozen=True)
class Upload:
    """A body on disk that no object owns yet. `checksums`: base64 by algorithm, sent and, where possible, checked."""

    id: str
    size: int
    md5: str
    checksums: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.size

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True)
class Expected:
    """What the client said about its body; None is not said."""

    sha256: str | None = None
    md5: str | None = None


class BodyFiles:
    """The directory of bodies: `ab/abcdef...` by id. A body is written once and never changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for number in range(256):
            (directory / f"{number:02x}").mkdir(parents=True, exist_ok=True)

    def path(self, body_id: str) -> Path:
        """Where a body is."""
        return self._directory / body_id[:2] / body_id

    def body(self, body_id: str, size: int) -> Body:
        """The whole of a stored body."""
        return Body(self.path(body_id), 0, size)

    def write(self, blocks: Iterable[bytes], expected: Expected | None = None, algorithm: str = "") -> Upload:
        """Store blocks as a new body; nothing stays behind when reading or checking fails (RefusalError, OSError)."""
        body_id = uuid.uuid4().hex
        path = self.path(body_id)
        try:
            with path.open("xb") as file:
                return self._receive(file.write, blocks, expected or Expected(), (body_id, algorithm))
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    @staticmethod
    def _receive(
        write: Callable[[bytes], int], blocks: Iterable[bytes], expected: Expected, named: tuple[str, str]
    ) -> Upload:
        body_id, algorithm = named
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = hashlib.sha256() if expected.sha256 else None
        checksum = checksum_hasher(algorithm) if algorithm else None
        hashers: list[Hasher] = [hasher for hasher in (md5, sha256, checksum) if hasher]
        size = 0
        for block in blocks:
            write(block)
            size += len(block)
            for hasher in hashers:
                hasher.update(block)
        _compare(expected, md5, sha256)
        found = {algorithm: base64.b64encode(checksum.digest()).decode()} if checksum else {}
        return Upload(body_id, size, md5.hexdigest(), found)

    def remove(self, body_ids: Iterable[str]) -> None:
        """Delete bodies that nothing refers to any more."""
        for body_id in body_ids:
            self.path(body_id).unlink(missing_ok=True)

    def sweep(self, keep: set[str]) -> int:
        """Delete what a killed process left unowned; returns how many."""
        lost = [path for path in self._directory.glob("??/*") if path.name not in keep]
        for path in lost:
            path.unlink()
        return len(lost)


def verify(content: bytes, expected: Expected) -> None:
    """Check a body that is in memory; raises RefusalError."""
    _compare(expected, hashlib.md5(content, usedforsecurity=False), hashlib.sha256(content))


def _compare(expected: Expected, md5: Hasher, sha256: Hasher | None) -> None:
    if expected.sha256 and sha256 and sha256.digest().hex() != expected.sha256:
        raise RefusalError(
            400, "XAmzContentSHA256Mismatch", "the body does not have the SHA-256 that its header promises"
        )
    if expected.md5 and base64.b64encode(md5.digest()).decode() != expected.md5:
        raise RefusalError(400, "BadDigest", "the body does not have the MD5 that its header promises")
