"""The few calls of DigitalOcean's v2 API that a guard makes beside the provider: look at a droplet, act on it, wait."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from guards.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTION: Final = "https://api.digitalocean.com"
_T = TypeVar("_T")
_TRIES: Final = 6
_PASSING: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Droplet:
    """What the API says of a droplet. While it is locked, an action is going on."""

    status: str
    size: str
    locked: bool


@dataclass(frozen=True)
class Droplets:
    """The API at `url`. `pause` is the time between two looks, in seconds."""

    url: str
    token: str = field(repr=False)
    pause: float = 3

    def show(self, number: int) -> Droplet:
        """The droplet as it is now. Raises RefusedError if there is none, or if the API does not answer."""
        found = self._call("GET", f"/v2/droplets/{number}")["droplet"]
        return Droplet(found["status"], found["size"]["slug"], bool(found["locked"]))

    def act(self, number: int, minutes: float, **action: Any) -> None:
        """Start an action, as the API's documentation calls it, and wait for its end.

        Raises RefusedError if it is refused, fails, or is not over after `minutes`.
        """
        started = self._call("POST", f"/v2/droplets/{number}/actions", action)["action"]
        what = f"the action {action['type']} of droplet {number}"
        ended = self._until(
            lambda: self._call("GET", f"/v2/actions/{started['id']}")["action"],
            lambda found: found.get("completed_at") is not None or found["status"] == "errored",
            minutes,
            what,
        )
        if ended["status"] == "errored":
            raise RefusedError(f"{what} failed at the provider")

    def settled(self, number: int, minutes: float = 60) -> Droplet:
        """The droplet once nothing is going on with it."""
        still = f"the action that droplet {number} is busy with"
        return self._until(lambda: self.show(number), lambda found: not found.locked, minutes, still)

    def _until(self, look: Callable[[], _T], good: Callable[[_T], bool], minutes: float, what: str) -> _T:
        end = time.monotonic() + 60 * minutes
        while not good(found := look()):
            if time.monotonic() > end:
                raise RefusedError(f"{what} is not over after {minutes:.0f} minutes")
            time.sleep(self.pause)
        return found

    def _call(self, method: str, path: str, body: object = None) -> Any:
        """One call; a limit of the API's is waited out, and a look that finds nobody is repeated."""
        for left in reversed(range(_TRIES)):
            try:
                return self._once(method, path, body)
            except urllib.error.HTTPError as error:
                if left and error.code in _PASSING and (method == "GET" or error.code == HTTPStatus.TOO_MANY_REQUESTS):
                    time.sleep(_seconds(error.headers.get("Retry-After"), self.pause))
                    continue
                raise RefusedError(f"{method} {path}: {error.code} {_message(error)}") from None
            except OSError as error:
                if left and method == "GET":
                    time.sleep(self.pause)
                    continue
                raise RefusedError(f"{self.url} does not answer: {getattr(error, 'reason', error)}") from None
        raise AssertionError("unreachable: the last try returns or raises")

    def _once(self, method: str, path: str, body: object) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "User-Agent": "tts"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.rstrip("/") + path, data, headers, method=method)  # noqa: S310  # the provider's own address
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)


def _seconds(header: str | None, otherwise: float) -> float:
    return float(header) if header and header.isdigit() else otherwise


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return error.reason
