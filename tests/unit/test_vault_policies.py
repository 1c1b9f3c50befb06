"""The three identities of the AWS bucket, judged by the rules that IAM applies: Deny wins, then Allow, else refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from components.vault_policies import append_only, audit, maintenance
from localcloud.objects.actions import Need
from localcloud.objects.policy import Effect, evaluate

BUCKET = "arn:aws:s3:::vault"
PACK, LOCK = f"{BUCKET}/restic/data/00/pack", f"{BUCKET}/restic/locks/1"
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}


def may(document: Callable[[str], dict[str, Any]], action: str, resource: str, *more: dict[str, Any]) -> bool:
    texts = [json.dumps(each) for each in (document(BUCKET), *more)]
    return evaluate(texts, Need(f"s3:{action}", resource), {}) is Effect.ALLOW


# Right and resource; then what the host, maintenance and audit may.
RIGHTS: list[tuple[str, str, tuple[bool, bool, bool]]] = [
    ("ListBucket", BUCKET, (True, True, True)),
    ("ListBucketVersions", BUCKET, (False, True, True)),
    ("GetObject", PACK, (True, True, True)),
    ("GetObjectVersion", PACK, (False, True, True)),
    ("GetObjectRetention", PACK, (False, True, True)),
    ("PutObject", PACK, (True, True, False)),
    ("PutObject", f"{BUCKET}/elsewhere", (False, False, False)),
    ("DeleteObject", PACK, (False, True, False)),
    ("DeleteObject", LOCK, (True, True, False)),
    ("PutObjectRetention", PACK, (False, True, False)),
    ("DeleteObjectVersion", PACK, (False, False, False)),
    ("DeleteObjectVersion", LOCK, (False, False, False)),
    ("BypassGovernanceRetention", PACK, (False, False, False)),
    ("PutObjectLegalHold", PACK, (False, False, False)),
    ("PutBucketPolicy", BUCKET, (False, False, False)),
    ("DeleteBucketPolicy", BUCKET, (False, False, False)),
    ("PutBucketVersioning", BUCKET, (False, False, False)),
    ("PutBucketObjectLockConfiguration", BUCKET, (False, False, False)),
    ("PutLifecycleConfiguration", BUCKET, (False, False, False)),
    ("DeleteBucket", BUCKET, (False, False, False)),
    ("GetBucketVersioning", BUCKET, (False, True, True)),
    ("GetBucketObjectLockConfiguration", BUCKET, (False, True, True)),
    ("GetEncryptionConfiguration", BUCKET, (False, False, True)),
    ("GetBucketPublicAccessBlock", BUCKET, (False, False, True)),
    ("GetBucketAcl", BUCKET, (False, False, True)),
    ("GetLifecycleConfiguration", BUCKET, (False, False, True)),
]


@pytest.mark.parametrize(("action", "resource", "expected"), RIGHTS, ids=[f"{e[0]} {e[1][17:]}" for e in RIGHTS])
def test_each_identity_may_what_its_work_needs_and_no_more(
    action: str, resource: str, expected: tuple[bool, bool, bool]
) -> None:
    assert tuple(may(document, action, resource) for document in (append_only, maintenance, audit)) == expected


@pytest.mark.parametrize("document", [append_only, maintenance, audit])
@pytest.mark.parametrize(
    ("action", "resource"),
    [(each[0], each[1]) for each in RIGHTS if each[2] == (False, False, False) and each[0] != "PutObject"],
)
def test_a_policy_that_is_added_later_gives_nobody_the_right_to_undo(
    document: Callable[[str], dict[str, Any]], action: str, resource: str
) -> None:
    assert not may(document, action, resource, ANYTHING)


def test_an_audit_stays_read_only_whatever_is_added() -> None:
    assert not may(audit, "PutObject", PACK, ANYTHING)
    assert not may(audit, "DeleteObject", LOCK, ANYTHING)


def test_a_right_that_is_given_would_be_seen() -> None:
    assert may(lambda _: ANYTHING, "DeleteObjectVersion", PACK)
