"""Before the world is led elsewhere: the new entry answers; before the old one closes: nobody is led there any more."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from guards.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

STEADY: Final = 5
"""Good answers in a row after which an entry counts as healthy."""
PATIENCE_SECONDS: Final = 600
_TIMEOUT: Final = 10


@dataclass(frozen=True)
class Probe:
    """One request straight to an address: for the name `domain`, over TLS under that name if `tls`."""

    address: str
    domain: str
    path: str
    tls: bool

    def look(self) -> str:
        """Why the entry does not answer as it should; empty when it does."""
        host = self.domain or self.address
        try:
            connection = self._connect(host)
            try:
                connection.request("GET", self.path, headers={"Host": host, "User-Agent": "tts"})
                status = connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            return str(error) or type(error).__name__
        return "" if status == HTTPStatus.OK else f"answers {status}"

    def _connect(self, host: str) -> http.client.HTTPConnection:
        if not self.tls:
            return http.client.HTTPConnection(self.address, timeout=_TIMEOUT)
        plain = socket.create_connection((self.address, 443), _TIMEOUT)
        connection = http.client.HTTPSConnection(host, timeout=_TIMEOUT)
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        return connection


@dataclass(frozen=True)
class Passage:
    """What leads the world to the stack: `domain` if it has one, whose record is the stack's own with a `ttl`.

    With `ttl` 0 somebody else keeps the record. `say` tells the person what is going on.
    """

    domain: str
    ttl: int
    say: Callable[[str], None]
    pause: float = 1
    patience: float = PATIENCE_SECONDS

    def await_healthy(self, probe: Probe) -> None:
        """Return once the entry has answered well for a while.

        Raises RefusedError when that does not come: nothing was led there.
        """
        end, good = time.monotonic() + self.patience, 0
        self.say(f"waiting until {probe.address} answers {probe.path}")
        while good < STEADY:
            reason = probe.look()
            good = 0 if reason else good + 1
            if reason and time.monotonic() > end:
                kept = "The world is still led to where it was"
                raise RefusedError(f"{probe.address}{probe.path}: {reason}. {kept}; mend that, then run it again.")
            time.sleep(self.pause)

    def await_old_answers(self, leaving: str, resolve: Callable[[str], Collection[str]]) -> None:
        """Return once nobody is led to the address `leaving` any more, as far as that can be known.

        Raises RefusedError where somebody else keeps the record and it still leads there.
        """
        if not self.domain:
            return
        if self.ttl:
            self.say(f"waiting {self.ttl} s: so long an old answer for {self.domain} may live")
            time.sleep(self.ttl)
        elif leaving in resolve(self.domain):
            raise RefusedError(
                f"{self.domain} still leads to {leaving}, which is about to close. Lead it to the entry's new address, "
                "wait for the record's lifetime, then run `pulumi up` again. Until then both answer."
            )
