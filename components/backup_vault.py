"""The primary off-site copy: a bucket on AWS S3 whose history the host cannot destroy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import iam, s3

import naming
from components import vault_policies
from components.base import Component
from components.offsite import Offsite, credentials, key_pair


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
    """The bucket with all its protection, and a user that may add to it but not take away. See `offsite`.

    `maintenance` and `audit` are keys for the operator: no host has them.
    """

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
        key = self._user(name, bucket, vault_policies.append_only)
        maintenance = self._user(f"{name}-maintenance", bucket, vault_policies.maintenance)
        audit = self._user(f"{name}-audit", bucket, vault_policies.audit)
        self.maintenance = key_pair(maintenance.id, maintenance.secret)
        self.audit = key_pair(audit.id, audit.secret)
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

    def _user(self, name: str, bucket: s3.Bucket, policy: Callable[[str], dict[str, Any]]) -> iam.AccessKey:
        user = iam.User(name, opts=self.child())
        document = pulumi.Output.json_dumps(bucket.arn.apply(policy))
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
