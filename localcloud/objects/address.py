"""Which bucket and key a request means: path style, virtual-host style, and the hosts of AWS, Spaces and loopback."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_AWS_HOST = re.compile(r"^(?:(?P<bucket>.+)\.)?s3[.-](?:dualstack\.)?(?:(?P<region>[a-z0-9-]+)\.)?amazonaws\.com$")
# DigitalOcean's region slugs: fra1, nyc3, sgp1 ...
_SLUG = re.compile(r"^[a-z]{3}\d$")


@dataclass(frozen=True)
class Address:
    """`region` is what the host says (a slug of Spaces or a region of AWS), or None where it says nothing."""

    bucket: str
    key: str
    region: str | None
    provider: str | None  # "aws", "spaces", or None on loopback, where the access key alone decides


def parse_address(host: str, raw_path: str) -> Address:
    """Split a request. `raw_path` is percent-encoded, as it came; `host` may carry a port."""
    name = host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host
    host_bucket, region, provider = _from_host(name)
    path = unquote(raw_path)[1:]
    if host_bucket:
        return Address(host_bucket, path, region, provider)
    bucket, _, key = path.partition("/")
    return Address(bucket, key, region, provider)


def _from_host(name: str) -> tuple[str, str | None, str | None]:
    aws = _AWS_HOST.match(name)
    if aws:
        return aws["bucket"] or "", aws["region"], "aws"
    labels = name.split(".")
    provider = "spaces" if name.endswith(".digitaloceanspaces.com") else None
    for index, label in enumerate(labels[:-1]):
        if _SLUG.match(label):
            return ".".join(labels[:index]), label, provider
    if len(labels) > 1 and labels[-1] == "localhost":
        return ".".join(labels[:-1]), None, None
    return "", None, provider
