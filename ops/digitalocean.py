"""What Pulumi has no word for, asked of DigitalOcean's API: is a droplet there, images of its disk.

Waiting is for an action to end; its state is asked for every few seconds, as the API wants it.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ops.errors import ExitCode, OpsError
from ops.web import opener

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.engine import Engine

_ADDRESS = "https://api.digitalocean.com"
_VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")  # in the order in which the provider reads them
_SECONDS = 60  # for one request
_TRIES = 5
_AGAIN = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
PAUSE = 3  # seconds between two looks at an action
_PER_PAGE = 200


class Droplet(msgspec.Struct, frozen=True):
    """A droplet as the API shows it. `status` is new, active, off or archive."""

    id: int
    name: str
    status: str


class Image(msgspec.Struct, frozen=True):
    """An image of a droplet's disk. `type` is `snapshot` for one made by hand, `backup` for one of the schedule."""

    id: int
    name: str
    created_at: str
    size_gigabytes: float
    type: str = "snapshot"


@dataclass(frozen=True)
class DigitalOcean:
    """The API at `address`. The token is sent and never shown."""

    address: str
    token: str

    @classmethod
    def of(cls, engine: Engine) -> DigitalOcean:
        """The API with the token of the environment, else of the stack's configuration.

        Raises:
            OpsError: there is neither.
        """
        address = (os.environ.get("DIGITALOCEAN_API_URL") or _ADDRESS).rstrip("/")
        for name in _VARIABLES:
            if token := os.environ.get(name):
                return cls(address, token.strip())
        try:
            return cls(address, engine.secret("digitalocean:token").strip())
        except OpsError:
            raise OpsError(
                "There is no token for DigitalOcean's API.",
                fix="Set DIGITALOCEAN_TOKEN, or: pulumi config set digitalocean:token --secret",
                code=ExitCode.CONFIG,
            ) from None

    def droplet(self, number: str | int) -> Droplet | None:
        """The droplet of that id; None when the provider has none."""
        found = self._ask("GET", f"/v2/droplets/{number}")
        return None if found is None else msgspec.convert(found["droplet"], Droplet)

    def tagged(self, tag: str) -> tuple[Droplet, ...]:
        """The droplets that bear a tag."""
        return msgspec.convert(self._all(f"/v2/droplets?tag_name={quote(tag)}&", "droplets"), tuple[Droplet, ...])

    def delete_droplet(self, number: str | int, now: Callable[[str], None]) -> None:
        """Delete a droplet and its disk, and wait until it is gone."""
        self._ask("DELETE", f"/v2/droplets/{number}")
        while self.droplet(number) is not None:
            now("waiting until the droplet is gone")
            time.sleep(PAUSE)

    def droplet_at(self, address: str) -> int | None:
        """The droplet that a reserved IP leads to, or None."""
        found = self._ask("GET", f"/v2/reserved_ips/{address}")
        droplet = (found or {}).get("reserved_ip", {}).get("droplet")
        return droplet and int(droplet["id"])

    def make_snapshot(self, number: str | int, name: str, now: Callable[[str], None]) -> Image:
        """Take an image of the droplet's disk as it is now, and wait until the provider has all of it.

        Raises:
            OpsError: there is no such droplet, or the provider gave up.
        """
        order = self._ask("POST", f"/v2/droplets/{number}/actions", {"type": "snapshot", "name": name})
        if order is None:
            raise OpsError(f"The provider has no droplet {number}.", fix="tts status")
        action: dict[str, Any] = order["action"]
        while action["status"] == "in-progress":
            now(f"{name}: in progress")
            time.sleep(PAUSE)
            action = (self._ask("GET", f"/v2/actions/{action['id']}") or order)["action"]
        made = [image for image in self.snapshots(name) if image.name == name]
        if action["status"] != "completed" or not made:
            raise OpsError(
                f"The provider did not complete the snapshot {name}.",
                where=f"action {action['id']} is {action['status']}",
                fix="Nothing was deleted. Try again, or see the droplet's history in the control panel.",
            )
        return made[0]

    def snapshots(self, prefix: str) -> tuple[Image, ...]:
        """Images made by hand whose name begins like this, newest first; also those of droplets that are gone."""
        found = self._all("/v2/snapshots?resource_type=droplet&", "snapshots")
        mine = [{**one, "id": int(one["id"])} for one in found if one["name"].startswith(prefix)]
        return _newest_first(mine)

    def backups(self, number: str | int) -> tuple[Image, ...]:
        """The images that the provider's schedule made of a droplet, newest first."""
        return _newest_first(
            [{**one, "type": "backup"} for one in self._all(f"/v2/droplets/{number}/backups?", "backups")]
        )

    def delete_image(self, number: int) -> None:
        """Delete an image of either type."""
        self._ask("DELETE", f"/v2/images/{number}")

    def _all(self, path: str, key: str) -> list[dict[str, Any]]:
        """Every page of a list."""
        found: list[dict[str, Any]] = []
        page = 1
        while answer := self._ask("GET", f"{path}page={page}&per_page={_PER_PAGE}"):
            found += answer[key]
            if not answer[key] or len(found) >= answer.get("meta", {}).get("total", 0):
                break
            page += 1
        return found

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """One request; None for what is not there. What may be repeated is, when the API is busy."""
        request = urllib.request.Request(  # noqa: S310  # the provider's address, or the local cloud's
            self.address + path,
            data=json.dumps(body).encode() if body else None,
            method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        for left in range(_TRIES - 1, -1, -1):
            try:
                with opener(self.address).open(request, timeout=_SECONDS) as answer:
                    return json.loads(answer.read() or b"{}")
            except urllib.error.HTTPError as refused:
                with refused:
                    if refused.code == HTTPStatus.NOT_FOUND:
                        return None
                    if refused.code not in _AGAIN or not left:
                        raise self._refused(method, path, refused) from None
                    time.sleep(min(int(refused.headers.get("Retry-After") or 1), 60))
            except (OSError, ValueError) as failed:
                if method != "GET" or not left:
                    raise OpsError(
                        f"DigitalOcean's API does not answer at {self.address}.",
                        where=str(getattr(failed, "reason", failed)),
                        fix="Check this machine's network, then run this again.",
                        code=ExitCode.UNREACHABLE,
                    ) from None
                time.sleep(1)
        raise AssertionError("unreachable")

    @staticmethod
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


def _newest_first(found: list[dict[str, Any]]) -> tuple[Image, ...]:
    images = msgspec.convert(found, tuple[Image, ...])
    return tuple(sorted(images, key=lambda image: image.created_at, reverse=True))
