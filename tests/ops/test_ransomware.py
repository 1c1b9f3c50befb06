"""What root on the host, with the host's credential, can do to history: a table of attempts and what the store answers.

On AWS all that would destroy history is denied; what is allowed (adding, writing over) leaves the version before.
Spaces denies less: what it allows and AWS does not is written down here as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.localcloud.objects_support import code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ops.vaults import Vaults

pytestmark = pytest.mark.docker  # real restic, whose key derivation alone takes a second each time

DENIED = "AccessDenied"
_SHORT = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(seconds=5)}
_OPEN = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}'
_EXPIRY = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
_GONE = {
    "Rules": [
        {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    ]
}
_NO_LOCK = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
Attempt = "Callable[[Any, dict[str, str], str], str]"


def _delete_all(s3: Any, place: dict[str, str], version: str) -> str:
    """The batch call answers 200 and names its refusals inside."""
    objects = [{"Key": place["Key"]}, {"Key": place["Key"], "VersionId": version}]
    answer = s3.delete_objects(Bucket=place["Bucket"], Delete={"Objects": objects})
    codes = {error["Code"] for error in answer.get("Errors", ())}
    return codes.pop() if len(codes) == 1 and len(answer["Errors"]) == 2 else f"deleted {answer.get('Deleted')}"


ATTEMPTS: dict[str, tuple[Callable[[Any, dict[str, str], str], str], str]] = {
    "delete": (lambda s3, at, _: code_of(s3.delete_object, **at), DENIED),
    "delete a version": (lambda s3, at, version: code_of(s3.delete_object, **at, VersionId=version), DENIED),
    "delete a version past governance": (
        lambda s3, at, version: code_of(s3.delete_object, **at, VersionId=version, BypassGovernanceRetention=True),
        DENIED,
    ),
    "delete in a batch": (_delete_all, DENIED),
    "shorten a retention": (
        lambda s3, at, version: code_of(s3.put_object_retention, **at, VersionId=version, Retention=_SHORT),
        DENIED,
    ),
    "shorten a retention past governance": (
        lambda s3, at, _: code_of(s3.put_object_retention, **at, Retention=_SHORT, BypassGovernanceRetention=True),
        DENIED,
    ),
    "write over with a short retention": (
        lambda s3, at, _: code_of(
            s3.put_object,
            **at,
            Body=b"x",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=_SHORT["RetainUntilDate"],
        ),
        DENIED,
    ),
    "hold": (lambda s3, at, _: code_of(s3.put_object_legal_hold, **at, LegalHold={"Status": "OFF"}), DENIED),
    "suspend versioning": (
        lambda s3, at, _: code_of(
            s3.put_bucket_versioning, Bucket=at["Bucket"], VersioningConfiguration={"Status": "Suspended"}
        ),
        DENIED,
    ),
    "expire current objects": (
        lambda s3, at, _: code_of(
            s3.put_bucket_lifecycle_configuration, Bucket=at["Bucket"], LifecycleConfiguration=_EXPIRY
        ),
        DENIED,
    ),
    "expire old versions": (
        lambda s3, at, _: code_of(
            s3.put_bucket_lifecycle_configuration, Bucket=at["Bucket"], LifecycleConfiguration=_GONE
        ),
        DENIED,
    ),
    "drop the lifecycle": (lambda s3, at, _: code_of(s3.delete_bucket_lifecycle, Bucket=at["Bucket"]), DENIED),
    "open the bucket by a policy": (
        lambda s3, at, _: code_of(s3.put_bucket_policy, Bucket=at["Bucket"], Policy=_OPEN),
        DENIED,
    ),
    "drop the policy": (lambda s3, at, _: code_of(s3.delete_bucket_policy, Bucket=at["Bucket"]), DENIED),
    "weaken the default lock": (
        lambda s3, at, _: code_of(
            s3.put_object_lock_configuration, Bucket=at["Bucket"], ObjectLockConfiguration=_NO_LOCK
        ),
        DENIED,
    ),
    "make it public": (lambda s3, at, _: code_of(s3.put_bucket_acl, Bucket=at["Bucket"], ACL="public-read"), DENIED),
    "unblock public access": (
        lambda s3, at, _: code_of(s3.delete_public_access_block, Bucket=at["Bucket"]),
        DENIED,
    ),
    "delete the bucket": (lambda s3, at, _: code_of(s3.delete_bucket, Bucket=at["Bucket"]), DENIED),
    "read old versions": (lambda s3, at, version: code_of(s3.get_object, **at, VersionId=version), DENIED),
    "list versions": (lambda s3, at, _: code_of(s3.list_object_versions, Bucket=at["Bucket"]), DENIED),
    "write outside the repository": (
        lambda s3, at, _: code_of(s3.put_object, Bucket=at["Bucket"], Key="elsewhere", Body=b"x"),
        DENIED,
    ),
    # Allowed, because IAM cannot tell a first write from a second: the version before stays.
    "write over": (lambda s3, at, _: code_of(s3.put_object, **at, Body=b"garbage"), "ok"),
}
# A Spaces key that may write may also delete, versions included: nothing there is the last copy.
SPACES_ALLOWS = {
    "delete",
    "delete a version",
    "delete in a batch",
    "read old versions",
    "list versions",
    "write outside the repository",
    "write over",
}


@pytest.fixture
def target(vaults: Vaults) -> tuple[dict[str, str], str, bytes]:
    """A pack on the primary, its version, its content."""
    place = {"Bucket": vaults.aws, "Key": f"restic/{vaults.names('aws', 'data/')[0]}"}
    found = vaults.admin().get_object(**place)
    return place, found["VersionId"], found["Body"].read()


def test_the_primary_denies_all_that_would_destroy_history_and_the_version_stays(
    vaults: Vaults, target: tuple[dict[str, str], str, bytes]
) -> None:
    place, version, content = target
    host = vaults.client("host")
    before = vaults.admin().get_object_retention(**place, VersionId=version)["Retention"]

    answers = {name: attempt(host, place, version) for name, (attempt, _) in ATTEMPTS.items()}

    assert answers == {name: expected for name, (_, expected) in ATTEMPTS.items()}
    admin = vaults.admin()
    assert admin.get_object(**place, VersionId=version)["Body"].read() == content
    assert admin.get_object_retention(**place, VersionId=version)["Retention"] == before
    assert admin.get_bucket_versioning(Bucket=vaults.aws)["Status"] == "Enabled"


def test_maintenance_can_neither_shorten_nor_destroy(vaults: Vaults, target: tuple[dict[str, str], str, bytes]) -> None:
    place, version, content = target
    keeper = vaults.client("maintenance")
    # What it writes over may have a short lock of its own; the version before keeps its own.
    may = {"delete", "write over", "write over with a short retention", "read old versions", "list versions"}
    attempts = {name: attempt for name, (attempt, _) in ATTEMPTS.items() if name not in {*may, "delete in a batch"}}

    answers = {name: attempt(keeper, place, version) for name, attempt in attempts.items()}

    assert set(answers.values()) == {DENIED}, answers
    assert code_of(keeper.delete_object, **place) == "ok", "which only adds a marker"
    assert vaults.admin().get_object(**place, VersionId=version)["Body"].read() == content


def test_the_audit_key_reads_and_changes_nothing(vaults: Vaults, target: tuple[dict[str, str], str, bytes]) -> None:
    place, version, _ = target
    attempts = {
        name: each for name, (each, _) in ATTEMPTS.items() if name not in {"read old versions", "list versions"}
    }

    answers = {name: attempt(vaults.client("audit"), place, version) for name, attempt in attempts.items()}

    assert set(answers.values()) == {DENIED}, answers


def test_spaces_allows_deletes_so_it_is_not_the_last_copy(vaults: Vaults) -> None:
    host = vaults.client("host", "spaces")
    packs = vaults.names("spaces", "data/")
    assert len(packs) >= 3
    answers: dict[str, str] = {}
    for number, (name, (attempt, _)) in enumerate(ATTEMPTS.items()):
        place = {"Bucket": vaults.spaces, "Key": f"restic/{packs[number % len(packs)]}"}
        vaults.admin("spaces").put_object(**place, Body=b"content")
        version = vaults.admin("spaces").head_object(**place)["VersionId"]
        answers[name] = attempt(host, place, version)

    allowed = {name for name, answer in answers.items() if answer == "ok" or answer.startswith("deleted")}
    assert allowed - {"hold", "shorten a retention", "delete a version past governance"} == SPACES_ALLOWS, answers
    assert "suspend versioning" not in allowed
    assert "expire old versions" not in allowed
