"""The stand-in for the AWS plugin."""

from __future__ import annotations

from localcloud.plugins.aws import bucket, identity, session, setting
from localcloud.plugins.aws.functions import FUNCTIONS
from localcloud.plugins.base import StandIn

PACKAGES = ("pulumi_aws", "pulumi_aws.s3", "pulumi_aws.iam")

CODECS = [
    bucket.Bucket(),
    setting.BucketLifecycleConfiguration(),
    setting.BucketObjectLockConfiguration(),
    setting.BucketOwnershipControls(),
    setting.BucketPolicy(),
    setting.BucketPublicAccessBlock(),
    setting.BucketServerSideEncryptionConfiguration(),
    setting.BucketVersioning(),
    identity.AccessKey(),
    identity.User(),
    identity.UserPolicy(),
]


def provider(_engine: str) -> StandIn:
    """The provider for one run of the engine."""
    return StandIn("aws", CODECS, FUNCTIONS, session.connect, "pulumi_aws.provider:Provider")
