"""What every kind of vault hands to the backup jobs."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Offsite:
    """An off-site repository: where it is, and the credential with which the host reaches it.

    `credentials` is an env file's text and a secret. `guard` exists once the bucket's protection is complete: nothing
    is to be uploaded before it, because a lock holds only for objects that come after.
    """

    name: str
    bucket: pulumi.Output[str]
    region: str
    repository: pulumi.Output[str]
    credentials: pulumi.Output[str]
    guard: pulumi.Resource


def credentials(access_key: pulumi.Input[str], secret_key: pulumi.Input[str], region: str) -> pulumi.Output[str]:
    """The env file's text for an S3 client."""
    text = pulumi.Output.format(
        "AWS_ACCESS_KEY_ID={0}\nAWS_SECRET_ACCESS_KEY={1}\nAWS_DEFAULT_REGION={2}\n", access_key, secret_key, region
    )
    return pulumi.Output.secret(text)
