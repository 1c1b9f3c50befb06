"""Who may do what in the AWS bucket: three identities, each with one IAM policy. Pure: an ARN in, a document out.

The host adds and takes nothing away. `maintenance` prunes and prolongs locks, and `audit` looks; the keys of these two
are for the operator and never on a host. What could undo the protection is denied outright to every one of them, so
that a policy somebody attaches later cannot grant it.
"""

from typing import Any, Final

import naming

UNDOING: Final = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObjectVersion",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectLegalHold",
)
"""What would undo the bucket's protection. Without the bypass, a retention can be prolonged but never shortened."""

NEVER: Final = (*UNDOING, "s3:PutObjectRetention")
"""What the host's credential is denied outright."""

_Statement = tuple[str, list[str], list[str]]


def append_only(bucket_arn: str) -> dict[str, Any]:
    """For restic as a writer on the host: put, get and list; delete under `locks/` alone."""
    repository = f"{bucket_arn}/{naming.REPOSITORY_PREFIX}"
    allowed: list[_Statement] = [
        ("List", ["s3:ListBucket", "s3:GetBucketLocation"], [bucket_arn]),
        ("Append", ["s3:GetObject", "s3:PutObject"], [f"{repository}/*"]),
        ("Unlock", ["s3:DeleteObject"], [f"{repository}/locks/*"]),
    ]
    return _document(allowed, _denied(NEVER, bucket_arn))


def maintenance(bucket_arn: str) -> dict[str, Any]:
    """For pruning and for prolonging locks, from outside: a delete only adds a marker, the locked version stays."""
    reading = [
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:GetBucketLocation",
        "s3:GetBucketVersioning",
        "s3:GetBucketObjectLockConfiguration",
    ]
    keeping = [
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:GetObjectRetention",
        "s3:PutObject",
        "s3:PutObjectRetention",
        "s3:DeleteObject",
    ]
    allowed: list[_Statement] = [
        ("Look", reading, [bucket_arn]),
        ("Keep", keeping, [f"{bucket_arn}/{naming.REPOSITORY_PREFIX}/*"]),
    ]
    return _document(allowed, _denied(UNDOING, bucket_arn))


def audit(bucket_arn: str) -> dict[str, Any]:
    """For looking from outside: the bucket's settings and every version, and nothing that is not reading."""
    settings = [
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:GetBucketLocation",
        "s3:GetBucketAcl",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketOwnershipControls",
        "s3:GetBucketPolicy",
        "s3:GetBucketPolicyStatus",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
    ]
    objects = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention"]
    allowed: list[_Statement] = [("Settings", settings, [bucket_arn]), ("Objects", objects, [f"{bucket_arn}/*"])]
    only_reading = {"Sid": "Never", "Effect": "Deny", "NotAction": ["s3:Get*", "s3:List*"], "Resource": ["*"]}
    return _document(allowed, only_reading)


def _denied(actions: tuple[str, ...], bucket_arn: str) -> dict[str, Any]:
    return {"Sid": "Never", "Effect": "Deny", "Action": list(actions), "Resource": [bucket_arn, f"{bucket_arn}/*"]}


def _document(allowed: list[_Statement], denied: dict[str, Any]) -> dict[str, Any]:
    statements = [
        {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource} for sid, action, resource in allowed
    ]
    return {"Version": "2012-10-17", "Statement": [*statements, denied]}
