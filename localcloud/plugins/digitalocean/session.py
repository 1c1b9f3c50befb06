"""The connection to DigitalOcean's API and to Spaces, on this machine."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from localcloud.plugins.api import Api, Retry
from localcloud.plugins.codec import CloudError, Properties
from localcloud.plugins.loopback import require_loopback


@dataclass(frozen=True)
class SpacesAccess:
    """How to reach the object store; `region` fills the template of the endpoint."""

    endpoint: str | None
    access_key: str | None
    secret_key: str | None = field(repr=False)


@dataclass
class Session:
    """What the codecs of this provider work with."""

    api: Api
    spaces_access: SpacesAccess
    cancelled: threading.Event

    @cached_property
    def spaces(self) -> Any:
        """An S3 client for Spaces (boto3 is slow to import, so only when needed).

        Raises CloudError without credentials, or for an endpoint that is not on this machine.
        """
        access = self.spaces_access
        if not access.access_key or not access.secret_key:
            raise CloudError("Spaces credentials not configured: set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY")
        from localcloud.plugins import s3  # noqa: PLC0415

        endpoint = require_loopback(access.endpoint, "the Spaces endpoint (SPACES_ENDPOINT_URL)")
        return s3.Client("s3", endpoint, access.access_key, access.secret_key, "us-east-1")


def connect(settings: Properties) -> Session:
    """Open the session of a provider configuration, with the environment for what it leaves out."""
    cancelled = threading.Event()
    endpoint = require_loopback(
        _setting(settings, "apiEndpoint", "DIGITALOCEAN_API_URL"), "the DigitalOcean endpoint (DIGITALOCEAN_API_URL)"
    )
    token = _setting(settings, "token", "DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN") or ""
    spaces = SpacesAccess(
        _setting(settings, "spacesEndpoint", "SPACES_ENDPOINT_URL"),
        _setting(settings, "spacesAccessId", "SPACES_ACCESS_KEY_ID"),
        _setting(settings, "spacesSecretKey", "SPACES_SECRET_ACCESS_KEY"),
    )
    if spaces.endpoint:
        require_loopback(spaces.endpoint, "the Spaces endpoint (SPACES_ENDPOINT_URL)")
    return Session(Api(endpoint, token, cancelled, Retry.from_environment()), spaces, cancelled)


def _setting(settings: Properties, name: str, *variables: str) -> str | None:
    value = settings.get(name)
    if isinstance(value, str) and value:
        return value
    return next((os.environ[variable] for variable in variables if os.environ.get(variable)), None)
