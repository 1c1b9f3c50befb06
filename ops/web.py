"""HTTP as this machine is set up for it."""

from __future__ import annotations

import ipaddress
import os
import urllib.request
from contextlib import suppress
from urllib.parse import urlsplit


def opener(url: str) -> urllib.request.OpenerDirector:
    """The machine's proxy, unless no_proxy names a network that holds the address: urllib itself reads only names."""
    with suppress(ValueError):
        address = ipaddress.ip_address(urlsplit(url).hostname or "")
        listed = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
        for network in listed:
            with suppress(ValueError):
                if address in ipaddress.ip_network(network.strip()):
                    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener()
