"""Physical names that are addresses: buckets, tags, repositories, staging paths. All others are left to the engine.

A name made here must never change once something is deployed: a bucket's name is where the backups are.
"""

import re
from typing import Final

REPOSITORY_PREFIX: Final = "restic"
"""Key prefix of the restic repository inside every backup bucket."""

BUCKET_NAME_LIMIT: Final = 63
"""Longest bucket name that S3 and Spaces accept (Amazon S3 user guide, bucket naming rules)."""

GOOGLE_KEY_FILE_CONTENT: Final = "GOOGLE_APPLICATION_CREDENTIALS_JSON"
"""Variable of a destination that holds a whole JSON key file. restic wants its path, in the one without the ending."""

_BUCKET = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def bucket(project: str, stack: str, vault: str, suffix: str) -> str:
    """Name of the backup bucket of `vault`. Bucket names are global, hence project, stack and a suffix of chance."""
    return f"{project}-{stack}-backup-{vault}-{suffix}"


def media_bucket(project: str, stack: str, suffix: str) -> str:
    """Name of the bucket of uploaded files."""
    return f"{project}-{stack}-media-{suffix}"


def spaces_endpoint(region: str) -> str:
    """Address of the S3 protocol for buckets of a Spaces region."""
    return f"https://{region}.digitaloceanspaces.com"


def bucket_problem(name: str) -> str | None:
    """What S3 or Spaces would refuse in `name`, or None. Dots are legal but break TLS on virtual hosts: refused too."""
    if len(name) > BUCKET_NAME_LIMIT:
        return f"a bucket name has at most {BUCKET_NAME_LIMIT} characters, this one has {len(name)}"
    if len(name) < 3 or not _BUCKET.fullmatch(name):
        return "a bucket name has at least 3 lower-case letters, digits and hyphens, and no hyphen at its ends"
    return None


def tag(project: str, stack: str, role: str) -> str:
    """Tag that joins the droplets of one role. Tags are shared by the whole account, hence project and stack."""
    return f"{project}-{stack}-{role}"


def project_title(project: str, stack: str) -> str:
    """Name of the provider's project that groups the stack's resources in the console."""
    return f"{project}-{stack}"


def s3_repository(region: str, bucket_name: str) -> str:
    """restic's address of the repository in an AWS bucket."""
    return f"s3:https://s3.{region}.amazonaws.com/{bucket_name}/{REPOSITORY_PREFIX}"


def spaces_repository(region: str, bucket_name: str) -> str:
    """restic's address of the repository in a Spaces bucket."""
    return f"s3:{spaces_endpoint(region)}/{bucket_name}/{REPOSITORY_PREFIX}"
