"""Actions: what happens to a resource after the answer, and how far it is."""

import logging
from collections.abc import Callable
from typing import Any

from localcloud.cloud import Cloud, Kind, now
from localcloud.kinds.catalog import region
from localcloud.store import Record
from localcloud.web import Call, Routes, invalid

LOG = logging.getLogger(__name__)
routes = Routes()
KEPT = 500


def begin(cloud: Cloud, word: str, resource: tuple[str, int], slug: str) -> Record:
    """Record an action that starts now; `resource` is its type and number. Old ended actions are forgotten."""
    every = cloud.store.kind("actions")
    ended = [key for key, one in every.items() if one["completed_at"]]
    for key in ended[: max(len(every) - KEPT, 0)]:
        del every[key]
    identity = cloud.store.next_id()
    every[str(identity)] = {
        "id": identity,
        "status": "in-progress",
        "type": word,
        "started_at": now(),
        "completed_at": None,
        "resource_id": resource[1],
        "resource_type": resource[0],
        "region_slug": slug,
    }
    return every[str(identity)]


Ending = Callable[[], None]


def perform(cloud: Cloud, action: Record, work: Callable[[], Ending | None], otherwise: Ending = lambda: None) -> None:
    """Do an action's work and end it. What the work returns is run together with the end, in one transaction.

    If the work fails, `otherwise` is run in its place.
    """
    identity, word = action["id"], action["type"]
    problem: BaseException | None = None
    finish: Ending | None = otherwise
    try:
        cloud.faults.fail_action(word)
        finish = work()
    except Exception as error:
        LOG.exception("action %s %s failed", word, identity)
        problem = error
    with cloud.store.transaction():
        if finish:
            finish()
        if found := cloud.store.kind("actions").get(str(identity)):
            found |= {"status": "errored" if problem else "completed", "completed_at": now()}
    cloud.reconcile()


def of(cloud: Cloud, kind: str, number: int) -> list[Record]:
    """Give the actions of one resource, newest first."""
    found = [one for one in cloud.records("actions") if (one["resource_type"], one["resource_id"]) == (kind, number)]
    return found[::-1]


def busy(cloud: Cloud, kind: str, number: int) -> bool:
    return any(one["status"] == "in-progress" for one in of(cloud, kind, number))


def refuse_if_busy(cloud: Cloud, kind: str, number: int) -> None:
    if busy(cloud, kind, number):
        raise invalid("Droplet already has a pending event.")


def present(action: Record) -> dict[str, Any]:
    return {**action, "region": region(action["region_slug"])}


def abandon(cloud: Cloud) -> None:
    """End what an earlier run of the daemon did not; creations are taken up again by their kind."""
    with cloud.store.transaction():
        for action in cloud.records("actions"):
            if action["status"] == "in-progress" and action["type"] != "create":
                action |= {"status": "errored", "completed_at": now()}


KIND = Kind(routes, recover=abandon)


@routes.get("/v2/actions")
def listed(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("actions", [present(one) for one in cloud.records("actions")[::-1]])


@routes.get("/v2/actions/<int:identity>")
def show(cloud: Cloud, call: Call, identity: int) -> dict[str, Any]:
    return {"action": present(cloud.one("actions", identity))}
