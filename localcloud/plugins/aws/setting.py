"""The resources that set one thing of a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins.aws.session import Session
from localcloud.plugins.aws.wire import from_wire, policy_text, policy_value, to_wire
from localcloud.plugins.codec import Codec, Properties, Work
from localcloud.plugins.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


class BucketSetting(Codec[Session]):
    """One setting of a bucket, whose id is the bucket's name.

    `put`, `get`, `remove` are boto3's operations, `argument` the one that `put` takes (and the key that `get` answers
    with, unless `answer` names another, or none), `absent` the codes that mean the setting is not there.
    """

    put: ClassVar[str]
    get: ClassVar[str]
    remove: ClassVar[str]
    argument: ClassVar[str]
    answer: ClassVar[str | None]
    absent: ClassVar[tuple[str, ...]] = ()

    def body(self, inputs: Properties) -> Any:
        """What `put` takes."""
        raise NotImplementedError

    def state(self, found: Any) -> Properties | None:
        """What `get` tells; None when the setting is not there."""
        raise NotImplementedError

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        self._put(it.session, it.inputs["bucket"], self.body(it.inputs))
        return it.inputs["bucket"], {"region": it.inputs.get("region", it.session.region)}

    def read(self, it: Work[Session]) -> Properties | None:
        found = it.session.s3.find(self.get, *self.absent, "NoSuchBucket", Bucket=it.id)
        told = None if found is None else self.state(found.get(self.answer, {}) if self.answer else found)
        return None if told is None else {"bucket": it.id, **told}

    def update(self, it: Work[Session]) -> None:
        self._put(it.session, it.id, self.body(it.inputs))

    def delete(self, it: Work[Session]) -> None:
        it.session.s3.find(self.remove, *self.absent, "NoSuchBucket", Bucket=it.id)

    def _put(self, session: Session, bucket: str, body: Any) -> None:
        session.s3(self.put, Bucket=bucket, **{self.argument: body})


class BucketVersioning(BucketSetting):
    kind = "aws:s3/bucketVersioning:BucketVersioning"
    sdk = "pulumi_aws.s3.bucket_versioning:BucketVersioning"
    label = "S3 Bucket Versioning"
    required = frozenset({"bucket", "versioningConfiguration"})
    replaces = frozenset({"bucket", "expectedBucketOwner", "region"})
    put, get = "put_bucket_versioning", "get_bucket_versioning"
    argument, answer = "VersioningConfiguration", None

    def check(self, inputs: Properties) -> list[Problem]:
        return one_of(inputs, "versioningConfiguration", "status", "Enabled", "Suspended", "Disabled")

    def body(self, inputs: Properties) -> Any:
        return to_wire(inputs["versioningConfiguration"])

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        """A new bucket is not versioned, and the API has no word for that."""
        if it.inputs["versioningConfiguration"]["status"] == "Disabled":
            return it.inputs["bucket"], {"region": it.inputs.get("region", it.session.region)}
        return super().create(it)

    def state(self, found: Any) -> Properties | None:
        configuration = {"status": found.get("Status", "Disabled")}
        if found.get("MFADelete") == "Enabled":
            configuration["mfaDelete"] = "Enabled"
        return {"versioningConfiguration": configuration}

    def delete(self, it: Work[Session]) -> None:
        """Versioning cannot be removed, only suspended, and not even that on a bucket with object lock."""
        if it.state["versioningConfiguration"]["status"] == "Enabled":
            codes = ("NoSuchBucket", "InvalidBucketState")
            it.session.s3.find(self.put, *codes, Bucket=it.id, VersioningConfiguration={"Status": "Suspended"})


class BucketObjectLockConfiguration(BucketSetting):
    kind = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    sdk = "pulumi_aws.s3.bucket_object_lock_configuration:BucketObjectLockConfiguration"
    label = "S3 Bucket Object Lock Configuration"
    required = frozenset({"bucket"})
    replaces = frozenset({"bucket", "expectedBucketOwner", "objectLockEnabled", "region"})
    secrets = frozenset({"token"})
    defaults: ClassVar[Mapping[str, Any]] = {"objectLockEnabled": "Enabled"}
    put, get = "put_object_lock_configuration", "get_object_lock_configuration"
    argument = answer = "ObjectLockConfiguration"
    absent = ("ObjectLockConfigurationNotFoundError",)

    def check(self, inputs: Properties) -> list[Problem]:
        retention = (inputs.get("rule") or {}).get("defaultRetention")
        if not isinstance(retention, dict):
            return []
        found = one_of({"rule": retention}, "rule", "mode", "GOVERNANCE", "COMPLIANCE")
        if (retention.get("days") is None) == (retention.get("years") is None):
            found.append(Problem("rule.defaultRetention", "give exactly one of days and years"))
        return found

    def body(self, inputs: Properties) -> Any:
        return to_wire({"objectLockEnabled": "Enabled", **({"rule": inputs["rule"]} if inputs.get("rule") else {})})

    def state(self, found: Any) -> Properties | None:
        told = from_wire(found)
        for name in ("days", "years"):
            retention = (told.get("rule") or {}).get("defaultRetention") or {}
            if retention.get(name) == 0:
                del retention[name]
        return told

    def delete(self, it: Work[Session]) -> None:
        """The lock itself cannot be turned off; its default retention can."""
        body = {"ObjectLockEnabled": "Enabled"}
        it.session.s3.find(self.put, *self.absent, "NoSuchBucket", Bucket=it.id, ObjectLockConfiguration=body)


class BucketLifecycleConfiguration(BucketSetting):
    kind = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    sdk = "pulumi_aws.s3.bucket_lifecycle_configuration:BucketLifecycleConfiguration"
    label = "S3 Bucket Lifecycle Configuration"
    required = frozenset({"bucket"})
    replaces = frozenset({"bucket", "expectedBucketOwner", "region"})
    sets = frozenset({"rules", "transitions", "noncurrentVersionTransitions"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "transitionDefaultMinimumObjectSize": "all_storage_classes_128K",
    }
    put, get, remove = (
        "put_bucket_lifecycle_configuration",
        "get_bucket_lifecycle_configuration",
        "delete_bucket_lifecycle",
    )
    argument, answer = "LifecycleConfiguration", "Rules"
    absent = ("NoSuchLifecycleConfiguration",)

    def check(self, inputs: Properties) -> list[Problem]:
        rules = inputs.get("rules") or []
        return [
            problem
            for rule in rules
            if isinstance(rule, dict)
            for problem in one_of({"rules": rule}, "rules", "status", "Enabled", "Disabled")
        ]

    def body(self, inputs: Properties) -> Any:
        rules = [{"filter": {"prefix": ""}, **rule} for rule in inputs.get("rules") or []]
        return {"Rules": to_wire(rules)}

    def state(self, found: Any) -> Properties | None:
        return {"rules": from_wire(found)}


class BucketServerSideEncryptionConfiguration(BucketSetting):
    kind = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    sdk = "pulumi_aws.s3.bucket_server_side_encryption_configuration:BucketServerSideEncryptionConfiguration"
    label = "S3 Bucket Server-side Encryption Configuration"
    required = frozenset({"bucket", "rules"})
    replaces = frozenset({"bucket", "expectedBucketOwner", "region"})
    sets = frozenset({"rules"})
    put, get, remove = "put_bucket_encryption", "get_bucket_encryption", "delete_bucket_encryption"
    argument = answer = "ServerSideEncryptionConfiguration"
    absent = ("ServerSideEncryptionConfigurationNotFoundError",)

    def body(self, inputs: Properties) -> Any:
        return {"Rules": to_wire(inputs["rules"])}

    def state(self, found: Any) -> Properties | None:
        rules: list[Properties] = from_wire(found.get("Rules", []))
        for rule in rules:
            if rule.get("bucketKeyEnabled") is False:
                del rule["bucketKeyEnabled"]
        return {"rules": rules}

    def canonical(self, value: Any, name: str = "") -> Any:
        """A bucket key that is off is one that was not asked for."""
        if isinstance(value, dict) and value.get("bucketKeyEnabled") is False:
            value = {key: item for key, item in value.items() if key != "bucketKeyEnabled"}
        return super().canonical(value, name)


class BucketPublicAccessBlock(BucketSetting):
    kind = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    sdk = "pulumi_aws.s3.bucket_public_access_block:BucketPublicAccessBlock"
    label = "S3 Bucket Public Access Block"
    required = frozenset({"bucket"})
    replaces = frozenset({"bucket", "region"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "blockPublicAcls": False,
        "blockPublicPolicy": False,
        "ignorePublicAcls": False,
        "restrictPublicBuckets": False,
    }
    put, get, remove = "put_public_access_block", "get_public_access_block", "delete_public_access_block"
    argument = answer = "PublicAccessBlockConfiguration"
    absent = ("NoSuchPublicAccessBlockConfiguration",)

    def body(self, inputs: Properties) -> Any:
        return to_wire({name: bool(inputs.get(name, False)) for name in self.defaults})

    def state(self, found: Any) -> Properties | None:
        return from_wire(found)

    def delete(self, it: Work[Session]) -> None:
        if not it.state.get("skipDestroy"):
            super().delete(it)


class BucketOwnershipControls(BucketSetting):
    kind = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    sdk = "pulumi_aws.s3.bucket_ownership_controls:BucketOwnershipControls"
    label = "S3 Bucket Ownership Controls"
    required = frozenset({"bucket", "rule"})
    replaces = frozenset({"bucket", "region"})
    put, get, remove = (
        "put_bucket_ownership_controls",
        "get_bucket_ownership_controls",
        "delete_bucket_ownership_controls",
    )
    argument = answer = "OwnershipControls"
    absent = ("OwnershipControlsNotFoundError",)

    def check(self, inputs: Properties) -> list[Problem]:
        allowed = ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")
        return one_of(inputs, "rule", "objectOwnership", *allowed)

    def body(self, inputs: Properties) -> Any:
        return {"Rules": [to_wire(inputs["rule"])]}

    def state(self, found: Any) -> Properties | None:
        rules = from_wire(found.get("Rules", []))
        return {"rule": rules[0]} if rules else None


class BucketPolicy(BucketSetting):
    kind = "aws:s3/bucketPolicy:BucketPolicy"
    sdk = "pulumi_aws.s3.bucket_policy:BucketPolicy"
    label = "S3 Bucket Policy"
    required = frozenset({"bucket", "policy"})
    replaces = frozenset({"bucket", "region"})
    put, get, remove = "put_bucket_policy", "get_bucket_policy", "delete_bucket_policy"
    argument = answer = "Policy"
    absent = ("NoSuchBucketPolicy",)

    def canonical(self, value: Any, name: str = "") -> Any:
        return policy_value(value) if name == "policy" else super().canonical(value, name)

    def body(self, inputs: Properties) -> Any:
        return policy_text(inputs["policy"])

    def state(self, found: Any) -> Properties | None:
        return {"policy": found}


def one_of(inputs: Properties, group: str, name: str, *allowed: str) -> list[Problem]:
    """A problem unless the named text of a group is one of the allowed."""
    values = inputs.get(group)
    value = values.get(name) if isinstance(values, dict) else None
    if isinstance(value, str) and value not in allowed:
        return [Problem(f"{group}.{name}", f"expected one of {', '.join(map(repr, allowed))}, got {value!r}")]
    return []
