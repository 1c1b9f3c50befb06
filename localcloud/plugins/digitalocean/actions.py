"""Actions of droplets, and waiting for what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcloud.plugins.api import wait_for
from localcloud.plugins.codec import CloudError, Properties

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.plugins.digitalocean.session import Session


def act(session: Session, droplet_id: str, body: Properties, *, wait: bool = True) -> Any:
    """Start an action of a droplet and, if told so, wait for its end; the answer to the start."""
    action = session.api.post(f"/v2/droplets/{droplet_id}/actions", body)["action"]
    if wait:
        wait_action(session, action["id"], f"{body['type']} of droplet {droplet_id}")
    return action


def wait_action(session: Session, action_id: int, what: str) -> None:
    """Wait until an action has an end; raises CloudError if it failed."""
    done = wait_for(
        lambda: session.api.get(f"/v2/actions/{action_id}")["action"],
        lambda action: action.get("completed_at") is not None or action["status"] == "errored",
        what,
        session.cancelled,
        3600,
    )
    if done["status"] == "errored":
        raise CloudError(f"{what}: unexpected state 'errored', wanted target 'completed'")


def wait_state(session: Session, droplet_id: str, pending: set[str], target: str) -> None:
    """Wait until a droplet is unlocked and in a state; raises CloudError for any state that is not on the way."""

    def status() -> str:
        answer = session.api.find(f"/v2/droplets/{droplet_id}")
        return "locked" if answer is None or answer["droplet"]["locked"] else answer["droplet"]["status"]

    waiting = pending | {"locked"}
    what = f"waiting for droplet {droplet_id} to be {target}"
    found = wait_for(status, lambda now: now not in waiting, what, session.cancelled)
    if found != target:
        raise CloudError(f"unexpected state '{found}', wanted target '{target}' (droplet {droplet_id})")


def retag(session: Session, resource_id: str, kind: str, old: list[str], new: list[str]) -> None:
    """Take away and add tags, which have a life of their own in the API."""
    body = {"resources": [{"resource_id": resource_id, "resource_type": kind}]}
    for tag in sorted(set(old) - set(new)):
        session.api.delete(f"/v2/tags/{tag}/resources", body)
    for tag in sorted(set(new) - set(old)):
        session.api.post("/v2/tags", {"name": tag})
        session.api.post(f"/v2/tags/{tag}/resources", body)


def wait_droplet(session: Session, droplet_id: str, done: Callable[[Any], bool], what: str) -> None:
    """Wait until a look at the droplet satisfies `done`."""
    wait_for(lambda: session.api.get(f"/v2/droplets/{droplet_id}")["droplet"], done, what, session.cancelled)
