"""Object lock: what is locked stays, whoever asks; a put over it is a new version; nobody shortens a lock."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.localcloud.objects_support import Store, code_of

SOON = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=2)
LATER = SOON + datetime.timedelta(days=2)


@pytest.fixture(scope="module")
def s3(store: Store) -> Any:
    client = store.client()
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    set_default(client, "GOVERNANCE", Days=1)
    return client


def set_default(s3: Any, mode: str, **period: int) -> None:
    rule = {"DefaultRetention": {"Mode": mode} | period}
    s3.put_object_lock_configuration(
        Bucket="locked", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )


def put(s3: Any, key: str, **options: Any) -> dict[str, str]:
    version = s3.put_object(Bucket="locked", Key=key, Body=b"first", **options)["VersionId"]
    return {"Bucket": "locked", "Key": key, "VersionId": version}


def test_the_default_retention_comes_back_and_can_change_while_objects_are_there(s3: Any) -> None:
    put(s3, "before")
    set_default(s3, "COMPLIANCE", Years=1)
    rule = s3.get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"]["Rule"]
    assert rule == {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}
    set_default(s3, "GOVERNANCE", Days=1)
    rule = s3.get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"]["Rule"]
    assert rule == {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}


def test_a_locked_version_survives_single_and_batch_deletes_and_overwriting(s3: Any) -> None:
    named = put(s3, "pack")
    assert s3.head_object(**named)["ObjectLockMode"] == "GOVERNANCE"
    assert code_of(s3.delete_object, **named) == "AccessDenied"
    item = {"Key": named["Key"], "VersionId": named["VersionId"]}
    errors = s3.delete_objects(Bucket="locked", Delete={"Objects": [item]})["Errors"]
    assert [(error["Code"], error["VersionId"]) for error in errors] == [("AccessDenied", named["VersionId"])]
    s3.put_object(Bucket="locked", Key="pack", Body=b"garbage")
    s3.delete_object(Bucket="locked", Key="pack")
    assert code_of(s3.get_object, Bucket="locked", Key="pack") == "NoSuchKey"
    assert s3.get_object(**named)["Body"].read() == b"first"


def test_governance_gives_way_to_the_bypass_and_only_with_the_right_to_it(store: Store, s3: Any) -> None:
    named = put(s3, "governed")
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "s3:BypassGovernanceRetention", "Resource": "*"}
    cleaner = store.client(keys=store.user("cleaner", allow, deny))
    assert code_of(cleaner.delete_object, **named, BypassGovernanceRetention=True) == "AccessDenied"
    item = {"Key": "governed", "VersionId": named["VersionId"]}
    answer = cleaner.delete_objects(Bucket="locked", Delete={"Objects": [item]}, BypassGovernanceRetention=True)
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert code_of(s3.delete_object, **named, BypassGovernanceRetention=False) == "AccessDenied"
    assert code_of(s3.delete_object, **named, BypassGovernanceRetention=True) == "ok"


def test_compliance_gives_way_to_nobody(s3: Any) -> None:
    named = put(s3, "complied", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=SOON)
    assert code_of(s3.delete_object, **named, BypassGovernanceRetention=True) == "AccessDenied"
    for mode, until in (("GOVERNANCE", LATER), ("COMPLIANCE", SOON - datetime.timedelta(hours=1))):
        retention = {"Mode": mode, "RetainUntilDate": until}
        change = named | {"Retention": retention, "BypassGovernanceRetention": True}
        assert code_of(s3.put_object_retention, **change) == "AccessDenied"
    s3.put_object_retention(**named, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": LATER})
    assert s3.get_object_retention(**named)["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": LATER}


def test_governance_is_extended_freely_and_shortened_with_the_bypass_only(s3: Any) -> None:
    named = put(s3, "extended")
    s3.put_object_retention(**named, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": LATER})
    shorter = named | {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": SOON}}
    assert code_of(s3.put_object_retention, **shorter) == "AccessDenied"
    assert code_of(s3.put_object_retention, **shorter, BypassGovernanceRetention=True) == "ok"
    assert s3.get_object_retention(**named)["Retention"]["RetainUntilDate"] == SOON


def test_a_legal_hold_holds_until_it_is_lifted(s3: Any) -> None:
    named = put(s3, "held")
    s3.put_object_legal_hold(**named, LegalHold={"Status": "ON"})
    assert code_of(s3.delete_object, **named, BypassGovernanceRetention=True) == "AccessDenied"
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    assert code_of(s3.delete_object, **named, BypassGovernanceRetention=True) == "ok"


def test_an_object_in_parts_and_a_copy_are_locked_by_default_too(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="locked", Key="big")["UploadId"]
    part = s3.upload_part(Bucket="locked", Key="big", UploadId=upload, PartNumber=1, Body=b"part")
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="locked", Key="big", UploadId=upload, MultipartUpload=done)
    assert s3.head_object(Bucket="locked", Key="big")["ObjectLockMode"] == "GOVERNANCE"
    s3.copy_object(Bucket="locked", Key="copy", CopySource="locked/big", ChecksumAlgorithm="SHA256")
    assert s3.head_object(Bucket="locked", Key="copy")["ObjectLockMode"] == "GOVERNANCE"


def test_versioning_of_a_locked_bucket_cannot_be_suspended(s3: Any) -> None:
    suspended = {"Status": "Suspended"}
    assert code_of(s3.put_bucket_versioning, Bucket="locked", VersioningConfiguration=suspended) == "InvalidBucketState"
    s3.create_bucket(Bucket="unversioned")
    config = {"ObjectLockEnabled": "Enabled"}
    refused = code_of(s3.put_object_lock_configuration, Bucket="unversioned", ObjectLockConfiguration=config)
    assert refused == "InvalidBucketState"
    assert code_of(s3.get_object_lock_configuration, Bucket="unversioned") == "ObjectLockConfigurationNotFoundError"
    put(s3, "kept")
    assert code_of(s3.delete_bucket, Bucket="locked") == "BucketNotEmpty"
