"""What a guard does with a droplet beside the provider: look at it, act on it, wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from guards.errors import RefusedError
from ops.errors import OpsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.api import Api

_T = TypeVar("_T")


@dataclass(frozen=True)
class Droplet:
    """What the API says of a droplet. While it is locked, an action is going on."""

    status: str
    size: str
    locked: bool


@dataclass(frozen=True)
class Droplets:
    """Droplets by the API. Whatever it does not do is a RefusedError."""

    api: Api

    def show(self, number: int) -> Droplet:
        """The droplet as it is now. Raises RefusedError if there is none, or if the API does not answer."""
        found = self._ask("GET", f"/v2/droplets/{number}")["droplet"]
        return Droplet(found["status"], found["size"]["slug"], bool(found["locked"]))

    def act(self, number: int, minutes: float, **action: Any) -> None:
        """Start an action, as the API's documentation calls it, and wait for its end.

        Raises RefusedError if it is refused, fails, or is not over after `minutes`.
        """
        started = self._ask("POST", f"/v2/droplets/{number}/actions", action)["action"]
        what = f"the action {action['type']} of droplet {number}"
        ended = self._until(
            lambda: self._ask("GET", f"/v2/actions/{started['id']}")["action"],
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
            time.sleep(self.api.pause)
        return found

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            found = self.api.ask(method, path, body)
        except OpsError as error:
            raise RefusedError(f"{error.what} {error.where}".strip()) from None
        if found is None:
            raise RefusedError(f"the provider has nothing at {path}")
        return found
