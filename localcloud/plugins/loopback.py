"""The one guard of all stand-ins: they work on this machine only."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from localcloud.plugins.codec import CloudError

_WHY = "this is a stand-in for trying the program; install the real plugin for a real cloud"


def require_loopback(url: str | None, what: str) -> str:
    """The URL, if it is on this machine; without a URL the real cloud would be meant.

    Raises CloudError if any address of its host is not loopback, or the host has none.
    """
    if not url:
        raise CloudError(f"{what} is not set, so the real cloud is meant: {_WHY}")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CloudError(f"{what} is '{url}', which is not an http or https URL")
    addresses = _addresses(parts.hostname)
    if not addresses or not all(address.is_loopback for address in addresses):
        raise CloudError(f"{what} is '{url}', which is not on this machine: {_WHY}")
    return url.rstrip("/")


def require_private(host: str, what: str) -> str:
    """The host, if all its addresses are private or reserved for documentation, so that no public host is meant."""
    addresses = _addresses(host)
    if not addresses:
        raise CloudError(f"{what} '{host}' has no address")
    if any(address.is_global for address in addresses):
        raise CloudError(f"{what} '{host}' is on the public internet: {_WHY}")
    return host


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found]
