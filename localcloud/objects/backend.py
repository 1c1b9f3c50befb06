"""moto's S3 backend over the models on disk, with S3's rules for versions and locks where moto's differ."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import (
    AccessDeniedByLock,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    InvalidBucketName,
    InvalidBucketState,
    InvalidStorageClass,
    MalformedXML,
    MissingBucket,
    MissingKey,
    NoSuchUpload,
)
from moto.s3.models import FakeKey, S3Backend
from moto.s3.utils import STORAGE_CLASS

from localcloud.objects.bodies import Body, Upload
from localcloud.objects.listing import Page, list_versions
from localcloud.objects.models import (
    NULL_VERSION,
    Bucket,
    Marker,
    StoredKey,
    StoredMultipart,
    format_until,
    parse_until,
)

if TYPE_CHECKING:
    from localcloud.objects.bodies import BodyFiles

_BUCKET_NAME = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_TOKEN = "after-"  # noqa: S105 (a prefix of a listing token, no secret)


class _ListingTokens(dict[str, str]):
    """Continuation tokens that carry their key, so that a listing goes on after a restart; moto's live in memory."""

    def get(self, token: str, default: Any = None) -> Any:
        try:
            return (
                base64.urlsafe_b64decode(token.removeprefix(_TOKEN)).decode() if token.startswith(_TOKEN) else default
            )
        except (binascii.Error, UnicodeDecodeError):
            return default


class DurableBackend(S3Backend):
    """The buckets of one account."""

    buckets: dict[str, Bucket]  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, account_id: str, bodies: BodyFiles, *, reuse_own_bucket: bool) -> None:
        """`reuse_own_bucket`: creating a bucket that one has succeeds, as in AWS's us-east-1 and not in Spaces."""
        super().__init__("aws", account_id)
        self.bodies = bodies
        self._reuse_own_bucket = reuse_own_bucket
        self._pagination_tokens = _ListingTokens()

    def log_incoming_request(self, request: Any, bucket_name: str) -> None:
        """Nothing: access logs would be objects that appear by themselves."""

    def get_bucket(self, bucket_name: str) -> Bucket:
        if bucket_name not in self.buckets:
            raise MissingBucket(bucket=bucket_name)
        return self.buckets[bucket_name]

    def create_bucket(self, bucket_name: str, region_name: str, bucket_namespace: str | None = None) -> Bucket:  # noqa: ARG002
        if bucket_name in self.buckets:
            raise BucketAlreadyExists(bucket_name) if self._reuse_own_bucket else BucketAlreadyOwnedByYou(bucket_name)
        if not _BUCKET_NAME.match(bucket_name):
            raise InvalidBucketName
        bucket = Bucket(bucket_name, self.account_id, region_name)
        self.buckets[bucket_name] = bucket
        return bucket

    def put_object(self, bucket_name: str, key_name: str, value: Any, **options: Any) -> StoredKey:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Store a version. moto drops every version when versioning is suspended, and locks no multipart object."""
        bucket = self.get_bucket(bucket_name)
        storage = options.get("storage")
        if storage is not None and storage not in STORAGE_CLASS:
            raise InvalidStorageClass(storage=storage)
        if options.get("lock_until"):
            options["lock_until"] = format_until(options["lock_until"])
        for unused in ("multipart", "request_method", "disable_notification"):
            options.pop(unused, None)
        _apply_bucket_defaults(bucket, options)
        key = StoredKey(
            key_name,
            self._upload(value),
            bucket_name=bucket_name,
            account_id=self.account_id,
            region_name=self.region_name,
            is_versioned=bucket.is_versioned,
            version_id=str(uuid.uuid4()) if bucket.is_versioned else NULL_VERSION,
            **options,
        )
        bucket.set_versions(key_name, [*_kept(bucket, key_name), key])
        return key

    def _upload(self, value: Upload | Body | bytes) -> Upload:
        if isinstance(value, Upload):
            return value
        return self.bodies.write(value.blocks() if isinstance(value, Body) else [value])

    def delete_object(
        self, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        """Delete a version, or hide the key. moto deletes every version when versioning is suspended."""
        bucket = self.get_bucket(bucket_name)
        if version_id is not None:
            return self._delete_version(bucket, key_name, version_id, bypass=bool(bypass))
        if bucket.versioning_status is None:
            bucket.set_versions(key_name, [])
            return True, {}
        marker = Marker(key_name, None if bucket.is_versioned else NULL_VERSION)
        bucket.set_versions(key_name, [*_kept(bucket, key_name), marker])
        return True, {"version-id": marker.version_id, "delete-marker": "true"}

    @staticmethod
    def _delete_version(bucket: Bucket, key: str, version_id: str, *, bypass: bool) -> tuple[bool, dict[str, Any]]:
        versions = bucket.versions(key)
        found = next((version for version in versions if str(version.version_id) == version_id), None)
        if isinstance(found, FakeKey) and found.is_locked(governance_bypass=bypass):
            raise AccessDeniedByLock
        bucket.set_versions(key, [version for version in versions if version is not found])
        meta = {"version-id": version_id}
        return found is not None, meta | ({"delete-marker": "true"} if isinstance(found, Marker) else {})

    def put_bucket_versioning(self, bucket_name: str, status: str) -> None:
        if self.get_bucket(bucket_name).object_lock_enabled and status != "Enabled":
            raise InvalidBucketState("Versioning cannot be suspended on a bucket with object lock")
        super().put_bucket_versioning(bucket_name, status)

    def put_object_lock_configuration(
        self,
        bucket_name: str,
        lock_enabled: bool,
        mode: str | None = None,
        days: int | None = None,
        years: int | None = None,
    ) -> None:
        """Set the default retention. moto refuses it once the bucket holds an object; S3 does not."""
        bucket = self.get_bucket(bucket_name)
        if not bucket.is_versioned:
            raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
        if not lock_enabled or (mode and (mode not in {"GOVERNANCE", "COMPLIANCE"} or not (days or years))):
            raise MalformedXML
        bucket.object_lock_enabled = True
        bucket.default_lock_mode, bucket.default_lock_days, bucket.default_lock_years = (
            mode,
            days or None,
            years or None,
        )

    def check_retention(self, key: FakeKey | None, mode: str | None, until: str | None, *, bypass: bool) -> None:
        """Refuse to weaken a running retention (moto lets anyone): COMPLIANCE never, GOVERNANCE with bypass only."""
        if key is None:
            raise MissingKey
        asked = parse_until(format_until(until)) if until else None
        if (mode is None) != (asked is None) or mode not in {None, "GOVERNANCE", "COMPLIANCE"}:
            raise MalformedXML
        if not key.lock_mode or not key.lock_until or parse_until(key.lock_until) <= datetime.now(UTC):
            return
        shorter = asked is None or asked < parse_until(key.lock_until)
        weaker = shorter or (key.lock_mode == "COMPLIANCE" and mode != "COMPLIANCE")
        if weaker and not (bypass and key.lock_mode == "GOVERNANCE"):
            raise AccessDeniedByLock

    def create_multipart_upload(self, bucket_name: str, key_name: str, metadata: Any, *rest: Any) -> StoredMultipart:  # pyright: ignore[reportIncompatibleMethodOverride]
        storage, tags, acl, encryption, kms_key = rest
        upload = StoredMultipart(
            key_name, metadata, self.account_id, self.region_name, storage, tags, acl, encryption, kms_key
        )
        self.get_bucket(bucket_name).multiparts[upload.id] = upload
        return upload

    def upload_part(self, bucket_name: str, multipart_id: str, part_id: int, value: Any) -> Any:
        self._require_upload(bucket_name, multipart_id)
        return super().upload_part(bucket_name, multipart_id, part_id, self._upload(value))  # pyright: ignore[reportArgumentType]

    def upload_part_copy(self, dest_bucket_name: str, multipart_id: str, part_id: int, **source: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._require_upload(dest_bucket_name, multipart_id)
        key = self.get_object(source["src_bucket_name"], source["src_key_name"], version_id=source["src_version_id"])
        if key is None:
            raise MissingKey
        start, end = source["start_byte"], source["end_byte"]
        content: Any = key.value if start is None else key.value[start : end + 1]
        return self.upload_part(dest_bucket_name, multipart_id, part_id, content)

    def complete_multipart_upload(self, bucket_name: str, multipart_id: str, body: Any) -> Any:
        self._require_upload(bucket_name, multipart_id)
        return super().complete_multipart_upload(bucket_name, multipart_id, body)

    def _require_upload(self, bucket_name: str, upload_id: str) -> None:
        if upload_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=upload_id)

    def list_object_versions(self, bucket_name: str, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A page of versions; moto copies every object for it and loses the rest when a marker was deleted."""
        page = Page(
            prefix=options.get("prefix") or "",
            delimiter=options.get("delimiter"),
            key_marker=options.get("key_marker"),
            version_marker=options.get("version_id_marker"),
            size=options["max_keys"],
        )
        return list_versions(self.get_bucket(bucket_name), page)

    def _truncate_result(self, result_keys: Any, max_keys: int) -> Any:
        if max_keys == 0 or len(result_keys) <= max_keys:
            return result_keys[:max_keys], False, None
        last = result_keys[max_keys - 1]
        name = last.name if isinstance(last, FakeKey) else last
        return result_keys[:max_keys], True, _TOKEN + base64.urlsafe_b64encode(name.encode()).decode()


def _kept(bucket: Bucket, key: str) -> list[Any]:
    """The versions that stay when a new one comes: all, or all but the null version."""
    versions = bucket.versions(key)
    return versions if bucket.is_versioned else [v for v in versions if str(v.version_id) != NULL_VERSION]


def _apply_bucket_defaults(bucket: Bucket, options: dict[str, Any]) -> None:
    if bucket.encryption:
        rule = bucket.encryption["Rule"]
        default = rule["ApplyServerSideEncryptionByDefault"]
        options["bucket_key_enabled"] = options.get("bucket_key_enabled") or rule.get("BucketKeyEnabled", False)
        options["kms_key_id"] = options.get("kms_key_id") or default.get("KMSMasterKeyID")
        options["encryption"] = options.get("encryption") or default["SSEAlgorithm"]
    if bucket.has_default_lock and not options.get("lock_mode"):
        options["lock_mode"], options["lock_until"] = bucket.default_lock_mode, bucket.default_retention()
