"""Request bodies off the wire: plain, and in the `aws-chunked` coding with or without signed chunks and trailers."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any, Protocol

from localcloud.objects.bodies import BLOCK
from localcloud.objects.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.objects.signature import ChunkSigner

_MAX_CHUNK = 64 * 1024 * 1024  # clients send 64 KiB to 1 MiB; a chunk is held in memory to check its signature


class Stream(Protocol):
    """wsgi.input."""

    def read(self, size: int, /) -> bytes: ...


class _Raw(io.RawIOBase):
    """A stream below Python's own buffer: cheroot's readline on a body in HTTP chunks never returns."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _incomplete() -> RefusalError:
    return RefusalError(400, "IncompleteBody", "the connection ended before the whole body had come")


def plain_blocks(stream: Stream, length: int | None) -> Iterator[bytes]:
    """Blocks of a body of `length` bytes, or up to its end when the transfer is chunked by HTTP (None)."""
    left = length
    while left is None or left > 0:
        block = stream.read(BLOCK if left is None else min(BLOCK, left))
        if not block:
            if left:
                raise _incomplete()
            return
        left = None if left is None else left - len(block)
        yield block


class ChunkedBody:
    """An `aws-chunked` body. `trailers` (lower-case names) are known once `blocks` is exhausted."""

    def __init__(self, stream: Stream, decoded_length: int, signer: ChunkSigner | None) -> None:
        self._stream = io.BufferedReader(_Raw(stream), BLOCK)
        self._length = decoded_length
        self._signer = signer
        self.trailers: dict[str, str] = {}

    def blocks(self) -> Iterator[bytes]:
        """The decoded content; RefusalError when it is cut, malformed, or a chunk's signature is wrong."""
        total = 0
        while chunk := self._chunk():
            total += len(chunk)
            yield chunk
        if total != self._length:
            raise _incomplete()
        self._read_trailers()

    def _chunk(self) -> bytes:
        size_text, _, extension = self._stream.readline().strip().partition(b";")
        try:
            size = int(size_text, 16)
        except ValueError as error:
            raise _incomplete() from error
        if not 0 <= size <= _MAX_CHUNK:
            raise RefusalError(400, "InvalidRequest", "a chunk of the body has an impossible size")
        data = self._exactly(size)
        if size:
            self._exactly(2)  # the line end behind the data
        if self._signer:
            signature = extension.decode("ascii", "replace").removeprefix("chunk-signature=")
            self._signer.check(hashlib.sha256(data).hexdigest(), signature)
        return data

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise _incomplete()
        return data

    def _read_trailers(self) -> None:
        while line := self._stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()
