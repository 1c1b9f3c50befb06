"""S3 buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins.aws.session import Session
from localcloud.plugins.aws.wire import from_tags, to_tags
from localcloud.plugins.codec import Codec, Properties, Work
from localcloud.plugins.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

_ELSEWHERE = {
    "accelerationStatus": "BucketAccelerateConfiguration",
    "acl": "BucketAcl",
    "corsRules": "BucketCorsConfiguration",
    "grants": "BucketAcl",
    "lifecycleRules": "BucketLifecycleConfiguration",
    "logging": "BucketLogging",
    "objectLockConfiguration": "BucketObjectLockConfiguration",
    "policy": "BucketPolicy",
    "replicationConfiguration": "BucketReplicationConfig",
    "requestPayer": "BucketRequestPaymentConfiguration",
    "serverSideEncryptionConfiguration": "BucketServerSideEncryptionConfiguration",
    "versioning": "BucketVersioning",
    "website": "BucketWebsiteConfiguration",
}
"""Inputs of Bucket that the real plugin deprecates, or whose drift it does not see."""


class Bucket(Codec[Session]):
    kind = "aws:s3/bucket:Bucket"
    sdk = "pulumi_aws.s3.bucket:Bucket"
    label = "S3 Bucket"
    replaces = frozenset({"bucket", "bucketNamespace", "bucketPrefix", "objectLockEnabled", "region"})
    autoname, autoname_limit = "bucket", 63
    defaults: ClassVar[Mapping[str, Any]] = {"forceDestroy": False, "objectLockEnabled": False}

    def check(self, inputs: Properties) -> list[Problem]:
        found = [
            Problem(name, f"'{name}' of a bucket is deprecated; use the resource aws.s3.{resource}")
            for name, resource in _ELSEWHERE.items()
            if name in inputs
        ]
        name = inputs.get("bucket")
        if isinstance(name, str) and not 3 <= len(name) <= 63:
            found.append(Problem("bucket", f"'{name}' has {len(name)} characters; a bucket name has 3 to 63"))
        return found

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        region = it.inputs.get("region", it.session.region)
        arguments: dict[str, Any] = {"Bucket": it.inputs["bucket"]}
        if region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
        if it.inputs.get("objectLockEnabled"):
            arguments["ObjectLockEnabledForBucket"] = True
        it.session.s3("create_bucket", **arguments)
        return it.inputs["bucket"], {}

    def settle(self, it: Work[Session]) -> None:
        if it.inputs.get("tags"):
            self._tag(it.session, it.id, it.inputs["tags"])

    def read(self, it: Work[Session]) -> Properties | None:
        if it.session.s3.find("head_bucket", "NoSuchBucket", Bucket=it.id) is None:
            return None
        location = it.session.s3("get_bucket_location", Bucket=it.id).get("LocationConstraint")
        region = location or "us-east-1"
        lock = it.session.s3.find("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError", Bucket=it.id)
        tags = it.session.s3.find("get_bucket_tagging", "NoSuchTagSet", Bucket=it.id)
        found_tags = from_tags((tags or {}).get("TagSet", []))
        return {
            "bucket": it.id,
            "arn": f"arn:aws:s3:::{it.id}",
            "region": region,
            "bucketRegion": region,
            "bucketDomainName": f"{it.id}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{it.id}.s3.{region}.amazonaws.com",
            "objectLockEnabled": (lock or {}).get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled",
            "tags": found_tags,
            "tagsAll": found_tags,
        }

    def update(self, it: Work[Session]) -> None:
        if "tags" in it.changed:
            self._tag(it.session, it.id, it.inputs.get("tags") or {})

    def delete(self, it: Work[Session]) -> None:
        if it.state.get("forceDestroy"):
            from localcloud.plugins.s3 import empty_bucket  # noqa: PLC0415

            empty_bucket(it.session.s3, it.id)
        it.session.s3("delete_bucket", Bucket=it.id)

    @staticmethod
    def _tag(session: Session, bucket: str, tags: Mapping[str, str]) -> None:
        if tags:
            session.s3("put_bucket_tagging", Bucket=bucket, Tagging={"TagSet": to_tags(tags)})
        else:
            session.s3("delete_bucket_tagging", Bucket=bucket)
