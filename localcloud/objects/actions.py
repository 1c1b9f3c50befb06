"""Which rights an S3 request needs: (action, resource) pairs, all of which must be allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from localcloud.objects.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Sub-resource -> (right to read, right to write and to delete), named as in AWS's service authorization reference.
_BUCKET_PARTS = {
    "accelerate": ("GetAccelerateConfiguration", "PutAccelerateConfiguration"),
    "acl": ("GetBucketAcl", "PutBucketAcl"),
    "cors": ("GetBucketCORS", "PutBucketCORS"),
    "encryption": ("GetEncryptionConfiguration", "PutEncryptionConfiguration"),
    "inventory": ("GetInventoryConfiguration", "PutInventoryConfiguration"),
    "lifecycle": ("GetLifecycleConfiguration", "PutLifecycleConfiguration"),
    "location": ("GetBucketLocation", ""),
    "logging": ("GetBucketLogging", "PutBucketLogging"),
    "notification": ("GetBucketNotification", "PutBucketNotification"),
    "object-lock": ("GetBucketObjectLockConfiguration", "PutBucketObjectLockConfiguration"),
    "ownershipControls": ("GetBucketOwnershipControls", "PutBucketOwnershipControls"),
    "policy": ("GetBucketPolicy", "PutBucketPolicy"),
    "policyStatus": ("GetBucketPolicyStatus", ""),
    "publicAccessBlock": ("GetBucketPublicAccessBlock", "PutBucketPublicAccessBlock"),
    "replication": ("GetReplicationConfiguration", "PutReplicationConfiguration"),
    "tagging": ("GetBucketTagging", "PutBucketTagging"),
    "uploads": ("ListBucketMultipartUploads", ""),
    "versioning": ("GetBucketVersioning", "PutBucketVersioning"),
    "versions": ("ListBucketVersions", ""),
    "website": ("GetBucketWebsite", "PutBucketWebsite"),
}
_KEY_PARTS = {
    "acl": ("GetObjectAcl", "PutObjectAcl", ""),
    "attributes": ("GetObjectAttributes", "", ""),
    "legal-hold": ("GetObjectLegalHold", "PutObjectLegalHold", ""),
    "retention": ("GetObjectRetention", "PutObjectRetention", ""),
    "tagging": ("GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging"),
}
# Sub-resources that other stores have and moto would take for a plain GET or PUT of the bucket or object.
_UNKNOWN_PARTS = frozenset(
    {"analytics", "intelligent-tiering", "metadataTable", "metrics", "requestPayment", "restore", "select", "torrent"}
)
# What Spaces answers with NotImplemented: a program that uses it must fail here as it fails there.
_NOT_IN_SPACES = frozenset(
    {"accelerate", "encryption", "inventory", "legal-hold", "notification", "object-lock", "ownershipControls"}
    | {"policyStatus", "publicAccessBlock", "replication", "retention"}
)


@dataclass(frozen=True)
class Need:
    """One right: an action with its `s3:` and a resource ARN."""

    action: str
    resource: str


@dataclass(frozen=True)
class Call:
    """The parts of a request that decide what it needs. `header` maps a lower-case name to its value or ""."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    header: Callable[[str], str]

    @property
    def is_batch_delete(self) -> bool:
        """POST /bucket?delete."""
        return self.method == "POST" and not self.key and "delete" in self.query


def arn(bucket: str, key: str = "") -> str:
    """The ARN of a bucket or of an object."""
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"


def refuse_unsupported(call: Call, *, spaces: bool) -> None:
    """501 for what the store does not do, rather than moto's silent second meaning."""
    unknown = _UNKNOWN_PARTS & call.query.keys()
    if not call.key and call.method == "POST" and not call.is_batch_delete:
        unknown = frozenset({"POST on a bucket"})
    if spaces:
        unknown |= _NOT_IN_SPACES & call.query.keys()
        unknown |= {
            name for name in ("x-amz-bucket-object-lock-enabled", "x-amz-object-lock-mode") if call.header(name)
        }
    if unknown:
        raise RefusalError(501, "NotImplemented", f"not implemented here: {', '.join(sorted(unknown))}")


def needs(call: Call) -> list[Need]:
    """The rights that the request needs; those of a batch delete are asked per key with `delete_needs`."""
    if not call.bucket:
        return [Need("s3:ListAllMyBuckets", "*")]
    if call.is_batch_delete:
        return []
    names = _key_actions(call) if call.key else [_bucket_action(call)]
    found = [Need(f"s3:{name}", arn(call.bucket, call.key)) for name in names]
    source = call.header("x-amz-copy-source")
    if source:
        path, _, version = source.partition("?versionId=")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        found.append(Need("s3:GetObjectVersion" if version else "s3:GetObject", arn(bucket, key)))
    return found


def delete_needs(call: Call, key: str, version: str | None) -> list[Need]:
    """The rights to delete one key, or one version of it."""
    names = ["DeleteObjectVersion" if version else "DeleteObject"]
    if call.header("x-amz-bypass-governance-retention"):
        names.append("BypassGovernanceRetention")
    return [Need(f"s3:{name}", arn(call.bucket, key)) for name in names]


def _bucket_action(call: Call) -> str:
    reading = call.method in {"GET", "HEAD"}
    for part, (read, write) in _BUCKET_PARTS.items():
        if part in call.query:
            if part == "policy" and call.method == "DELETE":
                return "DeleteBucketPolicy"
            return _or_refuse(read if reading else write, call)
    default = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
    return _or_refuse(default.get(call.method, ""), call)


def _key_actions(call: Call) -> list[str]:
    versioned = "Version" if call.query.get("versionId") else ""
    for part, (read, write, delete) in _KEY_PARTS.items():
        if part in call.query:
            action = {"GET": read, "HEAD": read, "PUT": write, "DELETE": delete}.get(call.method, "")
            named = _or_refuse(action, call)
            # Retention and legal hold have one right for all versions; the others have a second one with "Version".
            if part not in {"legal-hold", "retention"}:
                named = named.replace("Object", f"Object{versioned}")
            return [named, *_bypass(call)]
    if call.method in {"GET", "HEAD"}:
        return ["ListMultipartUploadParts" if "uploadId" in call.query else f"GetObject{versioned}"]
    if call.method == "DELETE":
        if "uploadId" in call.query:
            return ["AbortMultipartUpload"]
        return [need.action.removeprefix("s3:") for need in delete_needs(call, call.key, call.query.get("versionId"))]
    return _write_actions(call)


def _write_actions(call: Call) -> list[str]:
    """PUT, and the POSTs of a multipart upload: extra headers need extra rights."""
    if call.method not in {"PUT", "POST"} or (
        call.method == "POST" and not {"uploads", "uploadId"} & call.query.keys()
    ):
        raise RefusalError(405, "MethodNotAllowed", f"{call.method} is not possible here")
    extra = {
        "x-amz-tagging": "PutObjectTagging",
        "x-amz-acl": "PutObjectAcl",
        "x-amz-object-lock-mode": "PutObjectRetention",
        "x-amz-object-lock-legal-hold": "PutObjectLegalHold",
    }
    return ["PutObject", *(action for header, action in extra.items() if call.header(header))]


def _bypass(call: Call) -> list[str]:
    return ["BypassGovernanceRetention"] if call.header("x-amz-bypass-governance-retention") else []


def _or_refuse(action: str, call: Call) -> str:
    if not action:
        raise RefusalError(405, "MethodNotAllowed", f"{call.method} is not possible here")
    return action
