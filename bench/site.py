"""The application as its users find it: by a name that they look up each time, or by its address."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import dns.exception
import dns.resolver

REDIRECTS = (301, 302, 307, 308)
FAILURES = (OSError, http.client.HTTPException, dns.exception.DNSException, ValueError)


@dataclass(frozen=True)
class Site:
    """`nameserver` knows the name of the host; without one, the host is an address. `authority`: who is believed.

    `timeout` is how many seconds a user waits.
    """

    host: str
    nameserver: str = ""
    authority: str = ""
    timeout: float = 30

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """One request on a connection of its own; a redirect to its own HTTPS is followed. Raises one of FAILURES."""
        status, answer, location = self._send("http", method, path, body)
        if status in REDIRECTS and location.startswith(f"https://{self.host}/"):
            status, answer, _ = self._send("https", method, urlsplit(location).path, body)
        return status, answer

    def address(self) -> str:
        """Where the name leads now: nothing of an earlier answer is remembered."""
        if not self.nameserver:
            return self.host
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [self.nameserver]
        return str(next(iter(resolver.resolve(self.host, "A", lifetime=self.timeout))))

    def _send(self, scheme: str, method: str, path: str, body: Any) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection(self.host, timeout=self.timeout)
        connection.sock = self._connect(scheme)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Location", "")
        finally:
            connection.close()

    def _connect(self, scheme: str) -> socket.socket:
        plain = socket.create_connection((self.address(), 443 if scheme == "https" else 80), self.timeout)
        if scheme == "http":
            return plain
        return ssl.create_default_context(cafile=self.authority).wrap_socket(plain, server_hostname=self.host)
