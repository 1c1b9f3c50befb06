"""The settings of a bucket that its history depends on, each as a check that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ops.history import current
from ops.vault import STORE_ERRORS, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.history import History
    from ops.vault import Vault

_PUBLIC = "http://acs.amazonaws.com/groups/global/"
_PUBLIC_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
# boto3 answers "there is none" as an error of these codes.
_ABSENT = {
    "ServerSideEncryptionConfigurationNotFoundError",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchPublicAccessBlockConfiguration",
}
_DENIED = "AccessDenied"


def settings(client: Any, vault: Vault, history: History) -> Iterator[str]:
    """What is wrong with the bucket's settings. A setting that cannot be read is wrong.

    A limited key of Spaces reads no settings: there, what can be seen from outside is judged instead.
    """
    checks = (*_COMMON, *(_AWS if vault.name == "aws" else ()))
    for name, check in checks:
        try:
            found = check(client, vault.bucket)
        except STORE_ERRORS as error:
            code = reason(error)
            if code == _DENIED and vault.name == "spaces" and name in _FROM_OUTSIDE:
                found = _FROM_OUTSIDE[name](vault, history)
            elif code in _ABSENT:
                found = f"{name} is not configured"
            else:
                found = f"{name} cannot be read: {code}"
        if found:
            yield found


def _versioning(client: Any, bucket: str) -> str | None:
    state = client.get_bucket_versioning(Bucket=bucket).get("Status", "off")
    return None if state == "Enabled" else f"versioning is {str(state).lower()}"


def _encryption(client: Any, bucket: str) -> str | None:
    rules = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    return None if rules else "encryption is not configured"


def _lock(client: Any, bucket: str) -> str | None:
    found = client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    if found.get("ObjectLockEnabled") != "Enabled":
        return "object lock is off"
    retention = found.get("Rule", {}).get("DefaultRetention", {})
    return None if retention.get("Days") or retention.get("Years") else "object lock has no default retention"


def _public_block(client: Any, bucket: str) -> str | None:
    found = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    missing = [name for name in _PUBLIC_BLOCKS if not found.get(name)]
    return f"public access is not blocked: {', '.join(missing)}" if missing else None


def _acl(client: Any, bucket: str) -> str | None:
    grants = client.get_bucket_acl(Bucket=bucket)["Grants"]
    public = any(str(grant["Grantee"].get("URI", "")).startswith(_PUBLIC) for grant in grants)
    return "its access list lets the public in" if public else None


def _versions_seen(_: Vault, history: History) -> str | None:
    without = sum(1 for item in current(history).values() if item.version_id == "null")
    return f"versioning is off, or was: {without} objects have no version" if without else None


def _open_to_all(vault: Vault, history: History) -> str | None:
    """Try it without any key."""
    stranger = vault.client(anonymous=True)
    name = next(iter(history), "config")
    for call, more in ((stranger.list_objects_v2, {}), (stranger.get_object, {"Key": vault.prefix + name})):
        try:
            call(Bucket=vault.bucket, **more)
        except STORE_ERRORS:
            continue
        return "it lets the public in: it answers without a key"
    return None


_Check = Callable[[Any, str], "str | None"]
_COMMON: tuple[tuple[str, _Check], ...] = (("versioning", _versioning), ("the access list", _acl))
_AWS: tuple[tuple[str, _Check], ...] = (
    ("encryption", _encryption),
    ("object lock", _lock),
    ("public access block", _public_block),
)
_FROM_OUTSIDE: dict[str, Callable[[Any, Any], str | None]] = {
    "versioning": _versions_seen,
    "the access list": _open_to_all,
}
