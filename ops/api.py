"""DigitalOcean's v2 API over HTTP: one request, repeated where that is harmless, with an error to act on."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from ops.errors import ExitCode, OpsError
from ops.web import opener

PRODUCTION: Final = "https://api.digitalocean.com"
VARIABLES: Final = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")  # in the order in which the provider reads them
_SECONDS: Final = 60  # for one request
_TRIES: Final = 6
_PER_PAGE: Final = 200
_PASSING: Final = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass(frozen=True)
class Api:
    """The API at `address`. The token is sent and never shown. `pause` is the time between two looks, in seconds."""

    address: str
    token: str = field(repr=False)
    pause: float = 3

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """One request; None for what is not there.

        A limit of the API's is waited out, and a look that fails is repeated; an order that may have been carried out
        is not.

        Raises:
            OpsError: it is refused, or nobody answers.
        """
        for left in reversed(range(_TRIES)):
            try:
                return self._once(method, path, body)
            except urllib.error.HTTPError as refused:
                with refused:
                    if refused.code == HTTPStatus.NOT_FOUND:
                        return None
                    harmless = method == "GET" or refused.code == HTTPStatus.TOO_MANY_REQUESTS
                    if refused.code not in _PASSING or not harmless or not left:
                        raise _refused(method, path, refused) from None
                    time.sleep(_seconds(refused.headers.get("Retry-After"), self.pause))
            except (OSError, ValueError) as failed:
                if method != "GET" or not left:
                    raise OpsError(
                        f"DigitalOcean's API does not answer at {self.address}.",
                        where=str(getattr(failed, "reason", failed)),
                        fix="Check this machine's network, then run this again.",
                        code=ExitCode.UNREACHABLE,
                    ) from None
                time.sleep(self.pause)
        raise AssertionError("unreachable: the last try returns or raises")

    def pages(self, path: str, key: str) -> list[dict[str, Any]]:
        """Every page of a list. The path ends with `?` or `&`."""
        found: list[dict[str, Any]] = []
        page = 1
        while answer := self.ask("GET", f"{path}page={page}&per_page={_PER_PAGE}"):
            found += answer[key]
            if not answer[key] or len(found) >= answer.get("meta", {}).get("total", 0):
                break
            page += 1
        return found

    def _once(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310  # the provider's address, or the local cloud's
            self.address.rstrip("/") + path,
            data=json.dumps(body).encode() if body else None,
            method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "User-Agent": "tts"},
        )
        with opener(self.address).open(request, timeout=_SECONDS) as answer:
            return json.loads(answer.read() or b"{}")


def _seconds(header: str | None, otherwise: float) -> float:
    return min(float(header), 60) if header and header.isdigit() else otherwise


def _refused(method: str, path: str, refused: urllib.error.HTTPError) -> OpsError:
    try:
        reason = json.loads(refused.read()).get("message", "")
    except ValueError:
        reason = ""
    denied = refused.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    return OpsError(
        f"DigitalOcean's API refuses {method} {path.partition('?')[0]}.",
        where=f"{refused.code} {reason}".strip(),
        fix="The token needs the scopes to read and change droplets." if denied else "Run this again later.",
        code=ExitCode.CONFIG if denied else ExitCode.FAILED,
    )
