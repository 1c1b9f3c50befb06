"""A small JSON client of an HTTP API on this machine, with the real plugin's retries."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from localcloud.plugins.codec import CloudError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class ApiError(CloudError):
    """The API answered with an error."""

    def __init__(self, status: int, text: str, message: str) -> None:
        super().__init__(text)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Retry:
    """How often and how long (seconds) to try again after 429, 5xx except 501, and a lost connection."""

    limit: int = 4
    shortest: float = 1.0
    longest: float = 30.0

    @classmethod
    def from_environment(cls) -> Retry:
        """The real plugin's variables."""
        names = {"limit": "RETRY_MAX", "shortest": "RETRY_WAIT_MIN", "longest": "RETRY_WAIT_MAX"}
        found = {key: os.environ.get(f"DIGITALOCEAN_HTTP_{name}") for key, name in names.items()}
        given = {key: float(value) for key, value in found.items() if value}
        return cls(int(given.pop("limit", cls.limit)), **given)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead away from this machine."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class Api:
    """The API at `endpoint`; `cancelled` ends all waiting."""

    endpoint: str
    token: str = field(repr=False)
    cancelled: threading.Event
    retry: Retry = Retry()

    def get(self, path: str) -> Any:
        return self.send("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self.send("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        return self.send("PUT", path, body)

    def delete(self, path: str, body: Any = None) -> None:
        self.send("DELETE", path, body)

    def find(self, path: str) -> Any:
        """Like `get`, but None when the object does not exist."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def pages(self, path: str, key: str) -> Iterator[Any]:
        """All items of a list."""
        page = 1
        while True:
            answer = self.get(f"{path}?page={page}&per_page=200")
            yield from answer.get(key) or []
            if not ((answer.get("links") or {}).get("pages") or {}).get("next"):
                return
            page += 1

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """One call with its retries; raises ApiError, or CloudError when nothing answers."""
        attempt = 0
        while True:
            try:
                return self._once(method, path, body)
            except (ApiError, _UnreachableError) as error:
                attempt += 1
                pause = self._pause(error, attempt)
                if pause is None:
                    raise
                if attempt > self.retry.limit:
                    raise CloudError(f"{error}; giving up after {attempt} attempt(s)") from error
                if self.cancelled.wait(pause):
                    raise CloudError("cancelled") from error

    def _pause(self, error: CloudError, attempt: int) -> float | None:
        if self.retry.limit == 0:
            return None
        if isinstance(error, ApiError):
            if error.status != 429 and (error.status < 500 or error.status == 501):
                return None
            if isinstance(error, _LaterError):
                return error.seconds
        return min(self.retry.shortest * 2 ** (attempt - 1), self.retry.longest)

    def _once(self, method: str, path: str, body: Any) -> Any:
        url = f"{self.endpoint}{path}"
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if method != "GET":
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 (checked to be loopback)
        try:
            with _OPENER.open(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise _refusal(error, method, url) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise _UnreachableError(f"{method} {url}: {reason}; is the local cloud running?") from None
        return json.loads(text) if text.strip() else {}


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


class _UnreachableError(CloudError):
    pass


class _LaterError(ApiError):
    seconds: float = 0.0


def _refusal(error: urllib.error.HTTPError, method: str, url: str) -> ApiError:
    text = error.read().decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    details = body if isinstance(body, dict) else {"message": text}
    message = str(details.get("message", ""))
    request_id = details.get("request_id") or error.headers.get("X-Request-Id")
    mark = f' (request "{request_id}")' if request_id else ""
    wait = error.headers.get("Retry-After", "")
    kind = _LaterError if wait.isdigit() and error.code in {429, 503} else ApiError
    refusal = kind(error.code, f"{method} {url}: {error.code}{mark} {message}", message)
    if isinstance(refusal, _LaterError):
        refusal.seconds = float(wait)
    return refusal


def wait_for(
    look: Callable[[], T], done: Callable[[T], bool], what: str, cancelled: threading.Event, limit: float = 600.0
) -> T:
    """Look again and again, every 0.2 s at first and every second later, until it is done.

    Raises CloudError after `limit` seconds or when the engine cancels.
    """
    deadline, pause = time.monotonic() + limit, 0.2
    while True:
        found = look()
        if done(found):
            return found
        if time.monotonic() > deadline:
            raise CloudError(f"{what}: not done after {limit:.0f} s")
        if cancelled.wait(pause):
            raise CloudError(f"{what}: cancelled")
        pause = min(pause * 1.5, 1.0)
