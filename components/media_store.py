"""Uploaded files outside the hosts: a private bucket on Spaces and one key that reaches it and nothing else."""

from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

import naming
from components.base import Component


@dataclass(frozen=True)
class MediaStoreArgs:
    """The bucket's name never changes: the provider would neither rename nor replace it, but lose it. So the engine is
    told to take another name for a replacement, which the protection refuses.

    `origins` are the addresses whose pages may read from it. `releasing` takes the protection away, as the step before
    the removal of the bucket and everything in it.
    """

    bucket: str
    region: str
    origins: list[pulumi.Input[str]]
    noncurrent_days: int
    releasing: bool = False


class MediaStore(Component):
    """Bucket, CORS rules, key. `side` is what a move and the application need to know of it."""

    def __init__(self, name: str, args: MediaStoreArgs) -> None:
        super().__init__("media_store:MediaStore", name)
        bucket = digitalocean.SpacesBucket(
            name,
            name=args.bucket,
            region=args.region,
            acl="private",
            force_destroy=args.releasing,
            versioning=digitalocean.SpacesBucketVersioningArgs(enabled=True),
            lifecycle_rules=[_tidy(args.noncurrent_days)],
            opts=self.child() if args.releasing else self.kept(replace_on_changes=["name"]),
        )
        cors = digitalocean.SpacesBucketCorsConfiguration(
            name, bucket=bucket.name, region=args.region, cors_rules=[_reading(args.origins)], opts=self.child()
        )
        key = digitalocean.SpacesKey(
            name,
            grants=[digitalocean.SpacesKeyGrantArgs(bucket=bucket.name, permission="readwrite")],
            opts=self.child(),
        )
        self.ready = (self, cors)
        self.bucket = bucket.name
        self.urn_in_project = bucket.bucket_urn
        self.side = pulumi.Output.secret(
            pulumi.Output.all(
                endpoint=naming.spaces_endpoint(args.region),
                region=args.region,
                bucket=bucket.name,
                access_key=key.access_key,
                secret_key=key.secret_key,
            )
        )
        self.finish(bucket=bucket.name)


def _reading(origins: list[pulumi.Input[str]]) -> digitalocean.SpacesBucketCorsConfigurationCorsRuleArgs:
    return digitalocean.SpacesBucketCorsConfigurationCorsRuleArgs(
        allowed_methods=["GET", "HEAD"], allowed_origins=origins, allowed_headers=["*"], max_age_seconds=3600
    )


def _tidy(noncurrent_days: int) -> digitalocean.SpacesBucketLifecycleRuleArgs:
    """Leftovers of uploads and old versions go; a current file never expires."""
    return digitalocean.SpacesBucketLifecycleRuleArgs(
        id="tidy",
        enabled=True,
        abort_incomplete_multipart_upload_days=7,
        noncurrent_version_expiration=digitalocean.SpacesBucketLifecycleRuleNoncurrentVersionExpirationArgs(
            days=noncurrent_days
        ),
        expiration=digitalocean.SpacesBucketLifecycleRuleExpirationArgs(expired_object_delete_marker=True),
    )
