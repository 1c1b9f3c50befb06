"""One HTTP request as the store sees it: address, query, signer's claim, and its body once it is received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus, urlsplit

from localcloud.objects.actions import Call
from localcloud.objects.address import parse_address
from localcloud.objects.bodies import BLOCK, Expected, Upload, verify
from localcloud.objects.errors import RefusalError
from localcloud.objects.reading import ChunkedBody, plain_blocks
from localcloud.objects.signature import ChunkSigner, read_claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.objects.bodies import BodyFiles

_MAX_DOCUMENT = 8 * 1024 * 1024  # XML and form bodies; a batch delete of 1,000 long keys is under 2 MiB
_ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
_SIGNED_CHUNKS = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
_STREAMS = (*_SIGNED_CHUNKS, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
UNSIGNED = "UNSIGNED-PAYLOAD"


class Question:
    """What a request is about, signed or not."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        raw: str = environ.get("REQUEST_URI") or environ["PATH_INFO"]
        # Through a proxy the whole URL comes. (A path that begins with two slashes is a key that begins with one.)
        self.raw_path = urlsplit(raw).path or "/" if raw.startswith(("http://", "https://")) else raw.partition("?")[0]
        self.raw_query = raw.partition("?")[2]
        self.pairs = [
            (unquote_plus(name), unquote_plus(value))
            for name, _, value in (part.partition("=") for part in filter(None, self.raw_query.split("&")))
        ]
        self.query = dict(self.pairs)
        self.address = parse_address(self.header("host"), self.raw_path)

    def header(self, name: str) -> str:
        """A header's value, or ""; `name` in lower case."""
        key = name.upper().replace("-", "_")
        return self.environ.get(key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}", "")


class Request(Question):
    """A parsed request. Raises RefusalError from the constructor when it is not signed or not readable."""

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__(environ)
        self.claim = read_claim(self.header, self.pairs)
        self.call = Call(self.method, self.address.bucket, self.address.key, self.query, self.header)

    @property
    def payload_hash(self) -> str:
        """What the signature covers as the body's hash: the header, or UNSIGNED-PAYLOAD in a presigned URL."""
        return self.header("x-amz-content-sha256") or (UNSIGNED if self.claim.expires is not None else "")

    @property
    def carries_object(self) -> bool:
        """Whether the body is an object or a part, to be stored as it is."""
        parts = {"acl", "legal-hold", "retention", "tagging"} & self.query.keys()
        return self.method == "PUT" and bool(self.address.key) and not parts and not self.header("x-amz-copy-source")

    def receive_object(self, bodies: BodyFiles, signing_key: bytes) -> Upload:
        """Store the body; RefusalError when it is cut or does not have the hashes that were promised."""
        blocks, chunked = self._blocks(signing_key)
        upload = bodies.write(blocks, self._expected(), self._checksum_name())
        try:
            promised = self._promised_checksum(chunked.trailers if chunked else {})
        except RefusalError:
            bodies.remove([upload.id])
            raise
        for algorithm, value in promised.items():
            if upload.checksums.get(algorithm, value) != value:
                bodies.remove([upload.id])
                raise RefusalError(400, "BadDigest", f"the body does not have the {algorithm} that was promised")
        return Upload(upload.id, upload.size, upload.md5, upload.checksums | promised)

    def receive_document(self, signing_key: bytes) -> bytes:
        """The body of any other request, in memory."""
        blocks, _ = self._blocks(signing_key)
        content = bytearray()
        for block in blocks:
            content += block
            if len(content) > _MAX_DOCUMENT:
                raise RefusalError(400, "EntityTooLarge", "the document in the request is over 8 MiB")
        verify(bytes(content), self._expected())
        return bytes(content)

    def _expected(self) -> Expected:
        promised = self.payload_hash
        sha256 = promised if promised not in {"", UNSIGNED, *_STREAMS} else None
        return Expected(sha256=sha256, md5=self.header("content-md5") or None)

    def _blocks(self, signing_key: bytes) -> tuple[Iterator[bytes], ChunkedBody | None]:
        stream = self.environ["wsgi.input"]
        try:
            if self.payload_hash in _STREAMS:
                signer = ChunkSigner(signing_key, self.claim) if self.payload_hash in _SIGNED_CHUNKS else None
                chunked = ChunkedBody(stream, int(self.header("x-amz-decoded-content-length")), signer)
                return chunked.blocks(), chunked
            length = self.header("content-length")
            coded = "chunked" in self.header("transfer-encoding").lower()
            return plain_blocks(stream, None if coded else int(length or 0)), None
        except ValueError as error:
            raise RefusalError(411, "MissingContentLength", "the length of the body is missing") from error

    def _checksum_name(self) -> str:
        named = self.header("x-amz-trailer").upper().removeprefix("X-AMZ-CHECKSUM-")
        names = [name for name in _ALGORITHMS if self.header(f"x-amz-checksum-{name.lower()}")]
        return names[0] if names else (named or self.header("x-amz-sdk-checksum-algorithm").upper())

    def _promised_checksum(self, trailers: dict[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in _ALGORITHMS:
            field = f"x-amz-checksum-{name.lower()}"
            value = self.header(field) or trailers.get(field, "")
            if value:
                found[name] = value
        return found


def discard_body(environ: dict[str, Any]) -> None:
    """Read what is left of the body, so that a refused client gets its answer and can use the connection again."""
    try:
        while environ["wsgi.input"].read(BLOCK):
            pass
    except (OSError, ValueError):
        return
