"""Grants of a Spaces key as a policy: read, readwrite (which deletes), fullaccess; on one bucket or on all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_READ = ("s3:GetObject*", "s3:ListBucket*", "s3:GetBucketLocation", "s3:ListMultipartUploadParts")
_WRITE = ("s3:PutObject*", "s3:DeleteObject*", "s3:AbortMultipartUpload")
_ACTIONS = {"read": _READ, "readwrite": _READ + _WRITE, "fullaccess": ("s3:*",)}


def spaces_policy(name: str, grants: Iterable[Mapping[str, str]]) -> str:
    """The policy document of a key called `name`. Raises ValueError for an unknown permission."""
    statements = [_statement(grant.get("bucket", ""), grant.get("permission", "")) for grant in grants]
    return json.dumps({"Version": "2012-10-17", "Id": name, "Statement": statements})


def _statement(bucket: str, permission: str) -> dict[str, object]:
    if permission not in _ACTIONS:
        raise ValueError(f"grant permission {permission!r} is not one of {', '.join(_ACTIONS)}")
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"] if bucket else ["*"]
    actions = [*_ACTIONS[permission], *(["s3:ListAllMyBuckets"] if not bucket else [])]
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
