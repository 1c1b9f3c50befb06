"""The primary off-site copy: a bucket on AWS S3 whose history the host cannot destroy."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import iam, s3

import naming
from components.base import Component
from components.offsite import Offsite, credentials

NEVER: Final = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObjectVersion",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
)
"""What the host's credential is denied outright, whatever policy somebody attaches to it later."""


@dataclass(frozen=True)
class BackupVaultArgs:
    """Days count from upload (lock, transition) or from the moment a version is overwritten (noncurrent)."""

    bucket: str
    region: str
    lock_mode: str
    lock_days: int
    cold_after_days: int
    noncurrent_days: int


class BackupVault(Component):
    """The bucket with all its protection, and a user that may add to it but not take away. See `offsite`."""

    def __init__(self, name: str, args: BackupVaultArgs) -> None:
        super().__init__("backup_vault:BackupVault", name)
        bucket = s3.Bucket(
            name,
            bucket=args.bucket,
            region=args.region,
            object_lock_enabled=True,
            force_destroy=False,
            opts=self.kept(),
        )
        self._close(name, bucket, args.region)
        self._keep_history(name, bucket, args)
        key = self._append_only_user(name, bucket)
        self.finish(bucket=bucket.bucket)
        self.offsite = Offsite(
            name=name,
            bucket=bucket.bucket,
            region=args.region,
            repository=bucket.bucket.apply(lambda bucket_name: naming.s3_repository(args.region, bucket_name)),
            credentials=credentials(key.id, key.secret, args.region),
            guard=self,
        )

    def _close(self, name: str, bucket: s3.Bucket, region: str) -> None:
        s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            region=region,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.kept(),
        )
        owner = s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced")
        s3.BucketOwnershipControls(name, bucket=bucket.bucket, region=region, rule=owner, opts=self.kept())
        aes = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256"
        )
        rule = s3.BucketServerSideEncryptionConfigurationRuleArgs(apply_server_side_encryption_by_default=aes)
        s3.BucketServerSideEncryptionConfiguration(
            name, bucket=bucket.bucket, region=region, rules=[rule], opts=self.kept()
        )

    def _keep_history(self, name: str, bucket: s3.Bucket, args: BackupVaultArgs) -> None:
        enabled = s3.BucketVersioningVersioningConfigurationArgs(status="Enabled")
        versioning = s3.BucketVersioning(
            name, bucket=bucket.bucket, region=args.region, versioning_configuration=enabled, opts=self.kept()
        )
        retention = s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
            mode=args.lock_mode.upper(), days=args.lock_days
        )
        s3.BucketObjectLockConfiguration(
            name,
            bucket=bucket.bucket,
            region=args.region,
            rule=s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention),
            opts=self.kept(after=[versioning]),
        )
        s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.bucket,
            region=args.region,
            rules=lifecycle(args.cold_after_days, args.noncurrent_days),
            opts=self.kept(after=[versioning]),
        )

    def _append_only_user(self, name: str, bucket: s3.Bucket) -> iam.AccessKey:
        user = iam.User(name, opts=self.child())
        document = pulumi.Output.json_dumps(bucket.arn.apply(append_only))
        iam.UserPolicy(name, user=user.name, policy=document, opts=self.child())
        return iam.AccessKey(name, user=user.name, opts=self.child())


def lifecycle(cold_after_days: int, noncurrent_days: int) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    """Data packs go to a colder class; leftovers of uploads and old versions go. A current object never expires."""
    cold = s3.BucketLifecycleConfigurationRuleArgs(
        id="cold-data",
        status="Enabled",
        filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{naming.REPOSITORY_PREFIX}/data/"),
        transitions=[
            s3.BucketLifecycleConfigurationRuleTransitionArgs(days=cold_after_days, storage_class="STANDARD_IA")
        ],
    )
    tidy = s3.BucketLifecycleConfigurationRuleArgs(
        id="tidy",
        status="Enabled",
        filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{naming.REPOSITORY_PREFIX}/"),
        abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=7
        ),
        noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=noncurrent_days
        ),
        expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
    )
    return [cold, tidy]


def append_only(bucket_arn: str) -> dict[str, Any]:
    """IAM policy for restic as a writer: put, get and list; delete under `locks/` alone."""
    repository = f"{bucket_arn}/{naming.REPOSITORY_PREFIX}"
    statements = [
        ("List", "Allow", ["s3:ListBucket", "s3:GetBucketLocation"], [bucket_arn]),
        ("Append", "Allow", ["s3:GetObject", "s3:PutObject"], [f"{repository}/*"]),
        ("Unlock", "Allow", ["s3:DeleteObject"], [f"{repository}/locks/*"]),
        ("Never", "Deny", list(NEVER), [bucket_arn, f"{bucket_arn}/*"]),
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": sid, "Effect": effect, "Action": action, "Resource": resource}
            for sid, effect, action, resource in statements
        ],
    }
