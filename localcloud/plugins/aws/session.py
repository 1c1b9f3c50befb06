"""The connection to the object store's S3, IAM and STS, on this machine."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from localcloud.plugins.codec import CloudError, Properties
from localcloud.plugins.loopback import require_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.plugins.s3 import Client


@dataclass
class Session:
    """What the codecs of this provider work with; boto3 is slow to import, so clients are made when needed."""

    endpoints: Mapping[str, str]
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    cancelled: threading.Event

    @cached_property
    def s3(self) -> Client:
        return self._client("s3")

    @cached_property
    def iam(self) -> Client:
        return self._client("iam")

    @cached_property
    def sts(self) -> Client:
        return self._client("sts")

    @cached_property
    def account(self) -> str:
        """The account's number."""
        return self.sts("get_caller_identity")["Account"]

    def _client(self, service: str) -> Client:
        from localcloud.plugins.s3 import Client  # noqa: PLC0415

        endpoint = require_loopback(self.endpoints.get(service), f"the AWS endpoint for {service} (AWS_ENDPOINT_URL)")
        return Client(service, endpoint, self.access_key, self.secret_key, self.region)


def connect(settings: Properties) -> Session:
    """Open the session of a provider configuration, with the environment for what it leaves out.

    Raises CloudError for an endpoint that is not on this machine, or for missing credentials.
    """
    endpoints = {service: url for service in ("s3", "iam", "sts") if (url := _environment_endpoint(service))}
    endpoints |= _configured_endpoints(settings.get("endpoints"))
    for service in ("s3", "iam", "sts"):
        require_loopback(endpoints.get(service), f"the AWS endpoint for {service} (AWS_ENDPOINT_URL)")
    access_key = settings.get("accessKey") or os.environ.get("AWS_ACCESS_KEY_ID")
    secret_key = settings.get("secretKey") or os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        raise CloudError("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    region = settings.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise CloudError("no AWS region: set aws:region or AWS_REGION")
    return Session(endpoints, access_key, secret_key, region, threading.Event())


def _environment_endpoint(service: str) -> str | None:
    return os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")


def _configured_endpoints(value: Any) -> dict[str, str]:
    """The provider's `endpoints`: a list of maps, which arrives as JSON."""
    try:
        found = json.loads(value) if isinstance(value, str) else value or []
    except ValueError as error:
        raise CloudError("the AWS provider's endpoints are not a list") from error
    return {service: url for entry in found for service, url in entry.items() if isinstance(url, str) and url}
