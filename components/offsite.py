"""What every kind of off-site destination hands to the backup jobs, and to the operator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from naming import GOOGLE_KEY_FILE_CONTENT

SECRETS_DIRECTORY: Final = "/etc/tts/secrets"

KeyPair = Mapping[str, pulumi.Output[str]]


@dataclass(frozen=True)
class Offsite:
    """An off-site repository: where it is, and the credential with which the host reaches it.

    `credentials` is an env file's text and a secret; None where the destination needs none. `files` are further secret
    files by name, which the credentials refer to. `guard` exists once the bucket's protection is complete: nothing is
    to be uploaded before it, because a lock holds only for objects that come after. A destination that is not made
    here has neither bucket nor region nor guard.
    """

    name: str
    repository: pulumi.Input[str]
    credentials: pulumi.Output[str] | None
    bucket: pulumi.Output[str] | None = None
    region: str | None = None
    guard: pulumi.Resource | None = None
    files: pulumi.Output[dict[str, str]] | None = None


def credentials(
    access_key: pulumi.Input[str], secret_key: pulumi.Input[str], region: pulumi.Input[str]
) -> pulumi.Output[str]:
    """The env file's text for an S3 client."""
    text = pulumi.Output.format(
        "AWS_ACCESS_KEY_ID={0}\nAWS_SECRET_ACCESS_KEY={1}\nAWS_DEFAULT_REGION={2}\n", access_key, secret_key, region
    )
    return pulumi.Output.secret(text)


def key_pair(access_key: pulumi.Output[str], secret_key: pulumi.Output[str]) -> KeyPair:
    """A key for the operator, as the stack's secret outputs name its halves."""
    return {"accessKeyId": access_key, "secretAccessKey": secret_key}


def further(name: str, repository: str, variables: pulumi.Output[dict[str, str]] | None) -> Offsite:
    """A destination that somebody else keeps: any repository of restic, and the variables that open it."""
    if variables is None:
        return Offsite(name, repository, credentials=None)
    secret = pulumi.Output.secret(variables)
    text = secret.apply(lambda known: env_text(name, known))
    return Offsite(name, repository, text, files=secret.apply(lambda known: key_files(name, known)))


def env_text(name: str, variables: Mapping[str, str]) -> str:
    """The env file's text of destination `name`; the content of a key file is replaced by the file's path."""
    lines = {key: value for key, value in variables.items() if key != GOOGLE_KEY_FILE_CONTENT}
    if GOOGLE_KEY_FILE_CONTENT in variables:
        lines[GOOGLE_KEY_FILE_CONTENT.removesuffix("_JSON")] = f"{SECRETS_DIRECTORY}/{_key_file(name)}"
    return "".join(f"{key}={value}\n" for key, value in sorted(lines.items()))


def key_files(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The key file of destination `name`, by the name of its secret; empty when it has none."""
    content = variables.get(GOOGLE_KEY_FILE_CONTENT)
    return {_key_file(name): content} if content else {}


def _key_file(name: str) -> str:
    return f"google-{name}.json"
