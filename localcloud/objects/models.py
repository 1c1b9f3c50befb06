"""moto's S3 models with their bytes on disk: an object version, a delete marker, a multipart upload, a bucket.

Differences from moto's own: a value is a file of `bodies`, pickling never touches it, nothing is tracked for moto's
dashboard (that list is never emptied), and dropping a version does not drop its file: the database does, after its
commit.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from moto.core.utils import utcnow
from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML, NoSuchUpload
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, FakeMultipart, MultipartDict, s3_backends
from moto.s3.utils import _VersionedKeyStore, compute_checksum
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from localcloud.objects.bodies import Body, BodyFiles, Upload

# Said for one request and checked there; moto would store them as metadata and send them with every GET.
_TRANSIENT_METADATA = ("content-md5", "x-amz-content-sha256", "x-amz-checksum-algorithm", "x-amz-checksum-type")
NULL_VERSION = "null"


class _Untracked:
    """First base of the models: moto's own `__new__` keeps every instance ever made."""

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        return object.__new__(cls)


def bodies_of(account_id: str) -> BodyFiles:
    """The body files of the process's store (moto's models know only their account)."""
    return s3_backends[account_id]["aws"].bodies  # pyright: ignore[reportAttributeAccessIssue]


class StoredKey(_Untracked, FakeKey):
    """One version of an object."""

    body_id: str
    checksums: dict[str, str]

    def __init__(self, name: Any, value: Upload, **options: Any) -> None:
        super().__init__(name, value, **options)  # pyright: ignore[reportArgumentType]
        del self._value_buffer

    @property
    def value(self) -> Body:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The content, unread."""
        return bodies_of(self.account_id).body(self.body_id, self.contentsize)

    @value.setter
    def value(self, upload: Upload) -> None:
        self.body_id = upload.id
        self.contentsize = upload.size
        self.checksums = upload.checksums
        self._etag = self._etag or upload.md5

    def set_metadata(self, metadata: Any, replace: bool = False) -> None:
        super().set_metadata(metadata, replace)
        for name in _TRANSIENT_METADATA:
            self._metadata.pop(name, None)

    def dispose(self, garbage: bool = False) -> None: ...

    def __del__(self) -> None: ...

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"lock", "is_latest"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.lock = threading.Lock()


class Marker(_Untracked, FakeDeleteMarker):
    """A delete marker; moto's holds on to the version that it hides."""

    def __init__(self, name: str, version_id: str | None) -> None:
        self.name = name
        super().__init__(self)  # pyright: ignore[reportArgumentType]
        del self.key
        self._version_id = version_id or self._version_id

    def dispose(self) -> None: ...


class StoredMultipart(_Untracked, FakeMultipart):
    """An upload in parts; each part is a file, and completing joins them into one."""

    def set_part(self, part_id: int, value: Upload) -> StoredKey:  # pyright: ignore[reportIncompatibleMethodOverride]
        if part_id < 1:
            raise NoSuchUpload(upload_id=part_id)
        part = StoredKey(part_id, value, account_id=self.account_id, region_name=self.region_name)
        self.parts[part_id] = part
        self.partlist = sorted(self.parts)
        return part

    def complete(self, body: Iterator[tuple[int, str]]) -> Any:
        parts = [self._part(number, etag) for number, etag in body]
        if not parts:
            raise MalformedXML
        if any(part.size < S3_UPLOAD_PART_MIN_SIZE for part in parts[:-1]):
            raise EntityTooSmall
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts), usedforsecurity=False)
        blocks = chain.from_iterable(part.value.blocks() for part in parts)
        upload = bodies_of(self.account_id).write(blocks)
        return upload, f"{digest.hexdigest()}-{len(parts)}", self._composite_checksum(parts)

    def _part(self, number: int, etag: str) -> StoredKey:
        part = self.parts.get(number)
        if not isinstance(part, StoredKey) or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        return part

    def _composite_checksum(self, parts: list[StoredKey]) -> tuple[str, str, int] | None:
        """A checksum of the parts' checksums, as S3 forms it; None when the client did not send one per part."""
        algorithm = self.metadata.get("x-amz-checksum-algorithm") or ""
        values = [part.checksums.get(algorithm) for part in parts]
        if None in values or self.metadata.get("x-amz-checksum-type") == "FULL_OBJECT":
            return None
        joined = b"".join(base64.b64decode(value) for value in values if value)
        return "COMPOSITE", compute_checksum(joined, algorithm).decode(), len(parts)

    def dispose(self) -> None: ...


class Bucket(_Untracked, FakeBucket):
    """A bucket. Its keys and uploads are rows of their own in the database and no part of its pickle."""

    lifecycle_document: bytes | None = None

    def __init__(self, name: str, account_id: str, region_name: str) -> None:
        super().__init__(name, account_id, region_name)
        # moto's shared namespace: here AWS and Spaces each have their own, as in the world outside.
        s3_backends.bucket_accounts.pop(name, None)

    def get_permission(self, action: str, resource: str) -> Any:  # noqa: ARG002
        """Neutral: `policy` has decided before moto is asked, and moto misreads a Condition that does not apply."""
        return PermissionResult.NEUTRAL

    def default_retention(self) -> str:
        days = (self.default_lock_days or 0) + 365 * (self.default_lock_years or 0)
        return (utcnow() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def set_lifecycle(self, rules: list[dict[str, Any]]) -> None:
        self.lifecycle_document = None
        super().set_lifecycle(rules)

    def delete_lifecycle(self) -> None:
        self.set_lifecycle([])

    def versions(self, key: str) -> list[Any]:
        """All versions and markers of a key, oldest first."""
        return list(self.keys.getlist(key, []))

    def set_versions(self, key: str, versions: Iterable[Any]) -> None:
        """Replace the versions of a key; none removes the key."""
        kept = list(versions)
        if kept:
            self.keys.setlist(key, kept)
        elif key in self.keys:
            self.keys.pop(key)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"keys", "multiparts"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.keys = _VersionedKeyStore()
        self.multiparts = MultipartDict()


def parse_until(text: str) -> datetime:
    """A retention date as clients write it, in UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def format_until(text: str) -> str:
    """The one spelling of a retention date that moto reads everywhere; raises MalformedXML."""
    try:
        return parse_until(text).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError as error:
        raise MalformedXML from error
