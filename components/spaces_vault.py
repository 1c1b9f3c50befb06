"""The second off-site copy: a bucket on DigitalOcean Spaces.

Spaces has neither append-only keys nor object lock: whoever holds the host's key can delete what is here. Versioning
brings back what was overwritten or deleted, unless the versions themselves are deleted too. It is the convenient copy,
not the last one.
"""

from dataclasses import dataclass

import pulumi_digitalocean as digitalocean

import naming
from components.base import Component
from components.offsite import Offsite, credentials, key_pair


@dataclass(frozen=True)
class SpacesVaultArgs:
    """The bucket's name never changes: the provider neither renames nor replaces, it loses the bucket."""

    bucket: str
    region: str
    noncurrent_days: int


class SpacesVault(Component):
    """A private, versioned bucket and keys that reach this bucket only. See `offsite`.

    `maintenance` and `audit` are keys for the operator: no host has them.
    """

    def __init__(self, name: str, args: SpacesVaultArgs) -> None:
        super().__init__("spaces_vault:SpacesVault", name)
        bucket = digitalocean.SpacesBucket(
            name,
            name=args.bucket,
            region=args.region,
            acl="private",
            force_destroy=False,
            versioning=digitalocean.SpacesBucketVersioningArgs(enabled=True),
            lifecycle_rules=[_tidy(args.noncurrent_days)],
            opts=self.kept(replace_on_changes=["name"]),  # the provider would lose a bucket of another name
        )
        key = self._key(name, bucket, "readwrite")
        maintenance = self._key(f"{name}-maintenance", bucket, "readwrite")
        audit = self._key(f"{name}-audit", bucket, "read")
        self.maintenance = key_pair(maintenance.access_key, maintenance.secret_key)
        self.audit = key_pair(audit.access_key, audit.secret_key)
        self.urn_in_project = bucket.bucket_urn
        self.finish(bucket=bucket.name)
        self.offsite = Offsite(
            name=name,
            bucket=bucket.name,
            region=args.region,
            repository=bucket.name.apply(lambda bucket_name: naming.spaces_repository(args.region, bucket_name)),
            credentials=credentials(key.access_key, key.secret_key, args.region),
            guard=self,
        )

    def _key(self, name: str, bucket: digitalocean.SpacesBucket, permission: str) -> digitalocean.SpacesKey:
        grant = digitalocean.SpacesKeyGrantArgs(bucket=bucket.name, permission=permission)
        return digitalocean.SpacesKey(name, grants=[grant], opts=self.child())


def _tidy(noncurrent_days: int) -> digitalocean.SpacesBucketLifecycleRuleArgs:
    """Leftovers of uploads and old versions go; a current object never expires."""
    return digitalocean.SpacesBucketLifecycleRuleArgs(
        id="tidy",
        enabled=True,
        prefix=f"{naming.REPOSITORY_PREFIX}/",
        abort_incomplete_multipart_upload_days=7,
        noncurrent_version_expiration=digitalocean.SpacesBucketLifecycleRuleNoncurrentVersionExpirationArgs(
            days=noncurrent_days
        ),
        expiration=digitalocean.SpacesBucketLifecycleRuleExpirationArgs(expired_object_delete_marker=True),
    )
