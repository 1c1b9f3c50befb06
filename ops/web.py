"""HTTP as this machine is set up for it."""

from __future__ import annotations

import http.client
import ipaddress
import os
import ssl
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ops import names

if TYPE_CHECKING:
    from urllib.request import BaseHandler, Request


def opener(url: str) -> urllib.request.OpenerDirector:
    """The machine's proxy, unless no_proxy names a network that holds the address: urllib itself reads only names."""
    ours: list[BaseHandler] = [_Http(), _Https()] if os.environ.get(names.VARIABLE) else []
    with suppress(ValueError):
        host = urlsplit(url).hostname or ""
        found = sorted(names.addresses(host)) if ours else []
        address = ipaddress.ip_address(found[0] if found else host)
        listed = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
        for network in listed:
            with suppress(ValueError):
                if address in ipaddress.ip_network(network.strip()):
                    return urllib.request.build_opener(urllib.request.ProxyHandler({}), *ours)
    return urllib.request.build_opener(*ours)


class _Plain(http.client.HTTPConnection):
    """A connection to a name that the environment's name server knows."""

    def connect(self) -> None:
        self.sock = names.connect((self.host, self.port), self.timeout or 30)


class _Secure(http.client.HTTPSConnection):
    """The same, over TLS."""

    def connect(self) -> None:
        plain = names.connect((self.host, self.port), self.timeout or 30)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_Secure, req)
