"""Names of inputs and of the S3 API: `noncurrentDays` here, `NoncurrentDays` there."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.plugins.codec import Properties

_IRREGULAR = {
    "id": "ID",
    "mfaDelete": "MFADelete",
    "sseAlgorithm": "SSEAlgorithm",
    "kmsMasterKeyId": "KMSMasterKeyID",
}
_REVERSE = {wire: name for name, wire in _IRREGULAR.items()}


def to_wire(value: Any) -> Any:
    """An input as the S3 API takes it; a map of tags becomes a list."""
    if isinstance(value, list):
        return [to_wire(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {_IRREGULAR.get(name, name[0].upper() + name[1:]): to_wire(item) for name, item in value.items()}
    if isinstance(value.get("tags"), dict):
        found["Tags"] = to_tags(value["tags"])
    return found


def from_wire(value: Any) -> Any:
    """An answer of the S3 API as inputs."""
    if isinstance(value, list):
        return [from_wire(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not isinstance(value, dict):
        return value
    found = {_REVERSE.get(name, name[0].lower() + name[1:]): from_wire(item) for name, item in value.items()}
    if isinstance(value.get("Tags"), list):
        found["tags"] = from_tags(value["Tags"])
    return found


def to_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as the API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def from_tags(tags: list[Mapping[str, str]]) -> dict[str, str]:
    """Tags as inputs."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def policy_text(policy: Any) -> str:
    """A policy document, given as text or as an object, as text."""
    return policy if isinstance(policy, str) else json.dumps(policy)


def policy_value(policy: Any) -> Any:
    """What a policy says, whatever its spaces and order, and whether a list of one is written as a list."""
    if isinstance(policy, str):
        try:
            policy = json.loads(policy)
        except ValueError:
            return policy
    return _unlisted(policy)


def _unlisted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unlisted(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [_unlisted(item) for item in value]
        return items[0] if len(items) == 1 else sorted(items, key=json.dumps)
    return value


def drop_empty(values: Mapping[str, Any]) -> Properties:
    """Without the entries that say nothing."""
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}
