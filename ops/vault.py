"""The off-site buckets as the operator reaches them: where they are, and with which key.

Three keys open a bucket: the host's, which only adds; `maintenance`, for pruning; `audit`, for looking. The last two
are secret outputs of the stack and on no host.
"""

# boto3 has no types of its own.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import boto3
import msgspec
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.engine import Engine
    from ops.stack import Media, OffSite

CONNECTIONS = 16  # to one store at the same time
STORE_ERRORS = (ClientError, BotoCoreError)


class KeyPair(msgspec.Struct, frozen=True, rename="camel"):
    """An access key. The secret half stays out of `repr`, and so out of tracebacks."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        """Name the key by its public half."""
        return f"KeyPair({self.access_key_id})"


@dataclass(frozen=True)
class Vault:
    """One bucket with a restic repository under `prefix`, and the key it is opened with."""

    name: str
    bucket: str
    region: str
    repository: str
    key: KeyPair | None = field(repr=False)

    @property
    def prefix(self) -> str:
        """The repository's folder in the bucket, with a slash at its end unless it is the whole bucket."""
        folder = urlsplit(self.repository.partition(":")[2]).path.strip("/").partition("/")[2]
        return f"{folder}/" if folder else ""

    @property
    def location(self) -> str:
        """The repository's address for restic from here: another one where the environment names an endpoint."""
        endpoint = self._endpoint()
        return f"s3:{endpoint}/{self.bucket}/{self.prefix}".rstrip("/") if endpoint else self.repository

    def environment(self) -> dict[str, str]:
        """The variables by which restic opens the bucket."""
        if self.key is None:
            return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return {
            "AWS_ACCESS_KEY_ID": self.key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.key.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, *, anonymous: bool = False) -> Any:
        """boto3's S3 client for this bucket; `anonymous` is what the whole world can do."""
        endpoint = self._endpoint() or (self._spaces() if self.name == "spaces" else None)
        style = "path" if endpoint and urlsplit(endpoint).hostname in {"127.0.0.1", "localhost"} else "auto"
        config = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"max_attempts": 3},
            max_pool_connections=CONNECTIONS,
            s3={"addressing_style": style},
            signature_version=UNSIGNED if anonymous else "s3v4",
        )
        keys: dict[str, Any] = {}
        if self.key:
            keys = {
                "aws_access_key_id": self.key.access_key_id,
                "aws_secret_access_key": self.key.secret_access_key,
            }
        return cast(
            "Any", boto3.Session().client("s3", region_name=self.region, endpoint_url=endpoint, config=config, **keys)
        )

    def _endpoint(self) -> str | None:
        if self.name == "spaces":
            return self._spaces() if os.environ.get("SPACES_ENDPOINT_URL") else None
        return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None

    def _spaces(self) -> str:
        template = os.environ.get("SPACES_ENDPOINT_URL") or "https://{{.Region}}.digitaloceanspaces.com"
        return template.replace("{{.Region}}", self.region)


def read_keys(engine: Engine, role: str) -> dict[str, KeyPair]:
    """The keys of `role` (`maintenance` or `audit`) by name of the destination; empty when the stack has none.

    Raises:
        OpsError: the stack's secrets cannot be opened.
    """
    try:
        return msgspec.convert(engine.secret_output(role) or {}, dict[str, KeyPair])
    except msgspec.ValidationError as error:
        raise OpsError(
            f"The stack's output `{role}` is not what this tts reads.",
            where=str(error),
            fix="Deploy with the program of this checkout: pulumi up",
            code=ExitCode.CONFIG,
        ) from None


def media_store(media: Media, key: KeyPair) -> Vault:
    """The bucket of the media, which is no repository, with the key that the hosts have."""
    return Vault("spaces", media.bucket, media.region, "", key)


def open_vault(destination: OffSite, keys: Mapping[str, KeyPair]) -> Vault | None:
    """The destination as a bucket of this program with one of these keys; None when it is no such bucket.

    Raises:
        OpsError: the bucket is one of this program, and no key for it is among these.
    """
    if destination.bucket is None or destination.region is None:
        return None
    if destination.name not in keys:
        raise OpsError(
            f"The stack has no key of the operator's for {destination.name}.",
            where=f"stack output `maintenance`, entry {destination.name}",
            fix="Deploy with the program of this checkout, which makes it: pulumi up",
            code=ExitCode.CONFIG,
        )
    return Vault(
        destination.name, destination.bucket, destination.region, destination.repository, keys[destination.name]
    )


def reason(error: Exception) -> str:
    """What a store said, as one code or one sentence."""
    if isinstance(error, ClientError):
        answer = cast("dict[str, dict[str, str]]", error.response)
        return answer["Error"].get("Code", "unknown")
    return str(error)


def store_failed(vault: Vault, doing: str, error: Exception) -> OpsError:
    """A store's refusal as the error that a person reads."""
    return OpsError(
        f"{doing} failed at {vault.name}.",
        where=f"bucket {vault.bucket}: {reason(error)}",
        fix=f"Can the key of {vault.name} do that, and does the store answer? Then run it again: tts audit",
    )
