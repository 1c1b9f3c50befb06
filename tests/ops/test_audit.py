"""`tts audit` against an S3 server: each protection that is taken away is found. And `tts cost`."""

from __future__ import annotations

import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Fakes, Tts

_RETENTION = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 35}}}
_BLOCKED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
_AES = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two sound buckets, `b-aws` and `b-sp`, each with one fresh snapshot."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("SPACES_ENDPOINT_URL", server)
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1")
    _reset(server)
    for bucket in ("b-aws", "b-sp"):
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=bucket == "b-aws")
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object_lock_configuration(Bucket="b-aws", ObjectLockConfiguration=_RETENTION)
    client.put_public_access_block(Bucket="b-aws", PublicAccessBlockConfiguration=_BLOCKED)
    client.put_bucket_encryption(Bucket="b-aws", ServerSideEncryptionConfiguration=_AES)
    for bucket in ("b-aws", "b-sp"):
        client.put_object(Bucket=bucket, Key="restic/snapshots/abc", Body=b"x" * 10)
        client.put_object(Bucket=bucket, Key="restic/data/ab/abc", Body=b"x" * 90)
    return client


def _reset(server: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST"), timeout=10).close()


@pytest.fixture
def stack(deployed: Fakes, outputs: dict[str, Any]) -> Fakes:
    for offsite in outputs["backup"]["offsite"]:
        offsite["repository"] += "/restic"
    deployed.answer("pulumi", "stack output", outputs)
    return deployed


def test_sound_buckets_give_exit_code_0(stack: Fakes, tts: Tts, s3: Any) -> None:
    done = tts("audit", "--json")

    assert done.code == 0, done.stdout + done.stderr
    assert [bucket["snapshots"] for bucket in done.json["buckets"]] == [1, 1]
    assert [bucket["bytes"] for bucket in done.json["buckets"]] == [100, 100]
    assert stack.calls("ssh") == [], "an audit looks from outside"
    assert "sound" in tts("audit").stdout


def _suspend(s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="b-sp", VersioningConfiguration={"Status": "Suspended"})


def _retain_nothing(_: Any) -> None:
    """By the server's back door: the API refuses it for a bucket that is not empty."""
    bucket = s3_backends["123456789012"]["aws"].buckets["b-aws"]
    bucket.default_lock_days, bucket.default_lock_mode = 0, ""


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            lambda s3: s3.put_bucket_versioning(Bucket="b-sp", VersioningConfiguration={"Status": "Suspended"}),
            "suspended",
        ),
        (lambda s3: s3.delete_public_access_block(Bucket="b-aws"), "public access block is not configured"),
        (
            lambda s3: s3.put_public_access_block(
                Bucket="b-aws", PublicAccessBlockConfiguration={**_BLOCKED, "BlockPublicPolicy": False}
            ),
            "not blocked: BlockPublicPolicy",
        ),
        (lambda s3: s3.put_bucket_acl(Bucket="b-sp", ACL="public-read"), "lets the public in"),
        (_retain_nothing, "no default retention"),
        (lambda s3: s3.delete_bucket_encryption(Bucket="b-aws"), "encryption is not configured"),
        (lambda s3: s3.delete_object(Bucket="b-sp", Key="restic/snapshots/abc"), "holds no snapshot"),
    ],
)
def test_each_protection_that_is_gone_is_found(
    stack: Fakes, tts: Tts, s3: Any, harm: Callable[[Any], None], says: str
) -> None:
    harm(s3)

    done = tts("audit", "--json")

    assert done.code == 3
    assert done.json["findings"] == 1, done.stdout
    assert says in done.stdout
    assert says in tts("audit").stdout


def test_an_old_newest_snapshot_is_found(stack: Fakes, tts: Tts, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.audit.MAX_AGE", timedelta(seconds=-1))

    done = tts("audit")

    assert done.code == 3
    assert "newest snapshot is 0 h old" in done.stdout


def test_a_missing_bucket_is_a_finding_and_no_crash(stack: Fakes, tts: Tts, s3: Any, outputs: dict[str, Any]) -> None:
    outputs["backup"]["offsite"][0]["bucket"] = "b-gone"
    stack.answer("pulumi", "stack output", outputs)

    done = tts("audit")

    assert done.code == 3
    assert "NoSuchBucket" in done.stdout


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_named(
    stack: Fakes, tts: Tts, s3: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    if name.startswith("AWS"):
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    done = tts("audit")

    assert done.code == 78
    assert name in done.stderr


def test_a_stack_without_off_site_copies_is_a_finding(stack: Fakes, tts: Tts, outputs: dict[str, Any]) -> None:
    outputs["backup"]["offsite"] = []
    stack.answer("pulumi", "stack output", outputs)

    assert tts("audit").code == 3


def test_the_cost_is_listed_item_by_item(deployed: Fakes, tts: Tts) -> None:
    assert tts("cost", "--json").json["total"] == 26.6
    screen = tts("cost").stdout
    assert "18.00" in screen
    assert "26.60" in screen
    assert "2026-09-30" in screen
