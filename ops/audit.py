"""Looking at the off-site buckets from outside, read-only: would what lies there survive the loss of the host?

It uses the operator's own credentials, never the host's, and needs nothing but `Get*` and `List*`.
"""

# boto3 has no types of its own; `Store` below gives them to the calls that are made.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ops.stack import OffSite

# A day between two backups and two hours for the run itself.
MAX_AGE = timedelta(hours=26)
_PUBLIC = "http://acs.amazonaws.com/groups/global/"
_PUBLIC_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
# boto3 answers "there is none" as an error of these codes.
_ABSENT = {
    "ServerSideEncryptionConfigurationNotFoundError",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchPublicAccessBlockConfiguration",
}


class Store(Protocol):
    """The calls of boto3's S3 client that an audit makes."""

    def get_bucket_versioning(self, *, Bucket: str) -> dict[str, Any]: ...  # noqa: N803  # boto3's own names
    def get_bucket_encryption(self, *, Bucket: str) -> dict[str, Any]: ...  # noqa: N803
    def get_object_lock_configuration(self, *, Bucket: str) -> dict[str, Any]: ...  # noqa: N803
    def get_public_access_block(self, *, Bucket: str) -> dict[str, Any]: ...  # noqa: N803
    def get_bucket_acl(self, *, Bucket: str) -> dict[str, Any]: ...  # noqa: N803
    def get_paginator(self, name: str) -> Any: ...


class BucketReport(msgspec.Struct, frozen=True):
    """What was seen in one bucket. `findings` are what a person must look at."""

    name: str
    bucket: str
    newest_snapshot: datetime | None
    snapshots: int
    objects: int
    bytes: int
    findings: tuple[str, ...]


def audit(offsite: Iterable[OffSite], now: Callable[[str], None]) -> tuple[BucketReport, ...]:
    """Look at every bucket. What cannot be read is a finding.

    Raises:
        OpsError: the operator's credentials for a store are not in the environment.
    """
    reports: list[BucketReport] = []
    for destination in offsite:
        now(destination.bucket)
        reports.append(_look(destination, _client(destination)))
    return tuple(reports)


def _look(destination: OffSite, store: Store) -> BucketReport:
    checks = _CHECKS.get(destination.name, _COMMON)
    findings = [text for name, check in checks if (text := _ask(name, check, store, destination.bucket))]
    prefix = urlsplit(destination.repository.partition(":")[2]).path.strip("/").partition("/")[2]
    newest: datetime | None = None
    snapshots = objects = size = 0
    try:
        for item in _objects(store, destination.bucket, prefix):
            objects += 1
            size += int(item["Size"])
            if f"/{item['Key']}".rpartition("/")[0].endswith("/snapshots"):
                snapshots += 1
                newest = max(newest or item["LastModified"], item["LastModified"])
        findings += _freshness(newest)
    except (ClientError, BotoCoreError) as error:
        findings.append(f"its objects cannot be listed: {_reason(error)}")
    return BucketReport(destination.name, destination.bucket, newest, snapshots, objects, size, tuple(findings))


def _ask(name: str, check: Callable[[Store, str], str | None], store: Store, bucket: str) -> str | None:
    try:
        return check(store, bucket)
    except ClientError as error:
        absent = _reason(error) in _ABSENT
        return f"{name} is not configured" if absent else f"{name} cannot be read: {_reason(error)}"
    except BotoCoreError as error:
        return f"{name} cannot be read: {_reason(error)}"


def _reason(error: Exception) -> str:
    if isinstance(error, ClientError):
        answer = cast("dict[str, dict[str, str]]", error.response)
        return answer["Error"].get("Code", "unknown")
    return str(error)


def _objects(store: Store, bucket: str, prefix: str) -> Iterable[dict[str, Any]]:
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", ())


def _freshness(newest: datetime | None) -> list[str]:
    if newest is None:
        return ["it holds no snapshot"]
    age = datetime.now(UTC) - newest
    return [f"its newest snapshot is {age.total_seconds() / 3600:.0f} h old"] if age > MAX_AGE else []


def _versioning(store: Store, bucket: str) -> str | None:
    state = store.get_bucket_versioning(Bucket=bucket).get("Status", "off")
    return None if state == "Enabled" else f"versioning is {str(state).lower()}"


def _encryption(store: Store, bucket: str) -> str | None:
    rules = store.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    return None if rules else "encryption is not configured"


def _lock(store: Store, bucket: str) -> str | None:
    found = store.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    if found.get("ObjectLockEnabled") != "Enabled":
        return "object lock is off"
    retention = found.get("Rule", {}).get("DefaultRetention", {})
    return None if retention.get("Days") or retention.get("Years") else "object lock has no default retention"


def _public_block(store: Store, bucket: str) -> str | None:
    found = store.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    missing = [name for name in _PUBLIC_BLOCKS if not found.get(name)]
    return f"public access is not blocked: {', '.join(missing)}" if missing else None


def _acl(store: Store, bucket: str) -> str | None:
    grants = store.get_bucket_acl(Bucket=bucket)["Grants"]
    public = any(str(grant["Grantee"].get("URI", "")).startswith(_PUBLIC) for grant in grants)
    return "its access list lets the public in" if public else None


_COMMON = (("versioning", _versioning), ("the access list", _acl))
_CHECKS = {
    "aws": (
        *_COMMON,
        ("encryption", _encryption),
        ("object lock", _lock),
        ("public access block", _public_block),
    )
}


def _client(destination: OffSite) -> Store:
    if destination.name == "spaces":
        template = os.environ.get("SPACES_ENDPOINT_URL") or "https://{{.Region}}.digitaloceanspaces.com"
        endpoint = template.replace("{{.Region}}", destination.region)
        key, secret = _credentials("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY")
    else:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        key = secret = None
        if boto3.Session().get_credentials() is None:
            raise _no_credentials("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    style = "path" if endpoint and "127.0.0.1" in endpoint else "auto"
    config = Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3}, s3={"addressing_style": style})
    client = boto3.client(
        "s3",
        region_name=destination.region,
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config,
    )
    return cast("Store", client)


def _credentials(*names: str) -> tuple[str, ...]:
    values = tuple(os.environ.get(name, "") for name in names)
    if not all(values):
        raise _no_credentials(*names)
    return values


def _no_credentials(*names: str) -> OpsError:
    return OpsError(
        "The buckets cannot be looked at without credentials.",
        fix=f"Set {' and '.join(names)}; a read-only key is enough. For the local stack: make shell.",
        code=ExitCode.CONFIG,
    )
