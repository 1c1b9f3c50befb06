"""Values that a deployed stack cannot change, and what a change would destroy. Pure: values in, problems out.

The engine itself would replace what holds data, lose a bucket, or lock everybody out; of some of it no preview tells.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from rules import Problem

LOSSES: Final[dict[str, str]] = {
    "region": "droplets, VPC, reserved IP and database cluster would be replaced by empty ones",
    "spacesRegion": "the Spaces buckets of backups and media would be replaced by empty ones",
    "awsRegion": "the AWS bucket of the backups would be replaced by an empty one",
    "vpcRange": "the VPC would be replaced, and with it the droplets and the database cluster in it",
    "bucketSuffix": "the buckets of backups and media would be left behind: the provider does not rename one",
    "sshPublicKey": "the droplets keep the key of their first boot: nobody could reach them any more",
    "hostPublicKey": "the droplets keep the key pair of their first boot: every connection would be refused",
}
"""What each fixed key names that would be lost."""


def changed(deployed: Mapping[str, str], wanted: Mapping[str, str], stack: str) -> Iterator[Problem]:
    """Every fixed key whose value is another one than that of the last deployment."""
    for key, loss in LOSSES.items():
        before = deployed.get(key)
        if before and wanted[key] and wanted[key] != before:
            rule = f"fixed since the first deployment, where it was '{_short(before)}': {loss}"
            yield Problem(key, _short(wanted[key]), rule, f"pulumi config set {key} '{before}' --stack {stack}")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
