"""What can be done to a droplet: power, size, snapshot, rebuild, name, backups.

Each action has a check, which refuses it at once (422), and work, which is done after the answer. The work gives the
changes of the droplet's record that take effect when it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcloud.cloud import Cloud, Kind
from localcloud.kinds import actions, catalog, droplets, images
from localcloud.store import Record
from localcloud.web import Call, Routes, invalid

routes = Routes()
KIND = Kind(routes)
Check = Callable[[Cloud, Record, Call], None]
Work = Callable[[Cloud, Record, Call, Record], Record]


@dataclass(frozen=True)
class Act:
    """An action: `check` raises 422, `work` does it and gives what changes in the record."""

    check: Check
    work: Work


def _anything(cloud: Cloud, droplet: Record, call: Call) -> None:
    """Refuse nothing."""


def _must_be(status: str, message: str) -> Check:
    def check(cloud: Cloud, droplet: Record, call: Call) -> None:
        if droplet["status"] != status:
            raise invalid(message)

    return check


def _power_off(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    droplets.machine(cloud, droplet["id"]).kill()
    return {"status": "off"}


def _shutdown(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    droplets.machine(cloud, droplet["id"]).stop()
    return {"status": "off"}


def _power_on(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    droplets.machine(cloud, droplet["id"]).start()
    return {"status": "active"}


def _reboot(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    droplets.machine(cloud, droplet["id"]).stop()
    droplets.machine(cloud, droplet["id"]).start()
    return {}


def _power_cycle(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    droplets.machine(cloud, droplet["id"]).kill()
    droplets.machine(cloud, droplet["id"]).start()
    return {}


def _check_resize(cloud: Cloud, droplet: Record, call: Call) -> None:
    size = catalog.size(call.need("size", str))
    if droplet["status"] != "off":
        raise invalid("Droplet must be powered off before it can be resized.")
    if size["disk"] < droplet["disk"]:
        raise invalid("This size is not available because it has a smaller disk.")
    if size["slug"] == droplet["size"] and size["disk"] == droplet["disk"]:
        raise invalid("This size is the present one.")


def _resize(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    size = catalog.size(call.need("size", str))
    droplets.machine(cloud, droplet["id"]).limit(droplets.limits(size["slug"]))
    grown = {"disk": size["disk"]} if call.get("disk", bool, False) else {}
    return {"size": size["slug"], **grown}


def _check_snapshot(cloud: Cloud, droplet: Record, call: Call) -> None:
    call.get("name", str, "")


def _snapshot(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    saved = cloud.config.name(f"snapshot-{action['id']}")
    droplets.machine(cloud, droplet["id"]).snapshot(saved)
    name = call.get("name", str, "") or f"{droplet['name']}-{action['started_at']}"
    with cloud.store.transaction():
        images.keep(cloud, droplet, name, action["started_at"], saved)
    return {}


def _check_image(cloud: Cloud, droplet: Record, call: Call) -> None:
    image = images.find(cloud, call.body.get("image") or droplet["image"]["id"])
    if image["min_disk_size"] > droplet["disk"]:
        raise invalid("The image is larger than the droplet's disk.")


def _rebuild(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    with cloud.store.transaction():
        record = cloud.one("droplets", droplet["id"])
        record["image"] = images.find(cloud, call.body.get("image") or droplet["image"]["id"])
        record["instance"] += 1
    droplets.provision(cloud, droplet["id"])
    return {"status": "active"}


def _rename(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    return {"name": call.need("name", str)}


def _check_rename(cloud: Cloud, droplet: Record, call: Call) -> None:
    call.need("name", str)


def _check_enable_backups(cloud: Cloud, droplet: Record, call: Call) -> None:
    droplets.backup_policy(call)
    if "backups" in droplet["features"]:
        raise invalid("Backups are already enabled for this Droplet.")


def _enable_backups(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    features = list(dict.fromkeys([*droplet["features"], "backups"]))
    return {"features": features, "backup_policy": droplets.backup_policy(call) or {"plan": "daily", "hour": 0}}


def _check_backups(cloud: Cloud, droplet: Record, call: Call) -> None:
    if "backups" not in droplet["features"]:
        raise invalid("Backups are not enabled for this Droplet.")


def _disable_backups(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    return {"features": [word for word in droplet["features"] if word != "backups"], "backup_policy": None}


def _check_policy(cloud: Cloud, droplet: Record, call: Call) -> None:
    _check_backups(cloud, droplet, call)
    if not droplets.backup_policy(call):
        raise invalid("backup_policy is missing.")


def _change_policy(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
    return {"backup_policy": droplets.backup_policy(call)}


def _add_feature(word: str) -> Work:
    def work(cloud: Cloud, droplet: Record, call: Call, action: Record) -> Record:
        return {"features": list(dict.fromkeys([*droplet["features"], word]))}

    return work


IS_OFF = "Droplet is already powered off."
ACTS = {
    "power_off": Act(_must_be("active", IS_OFF), _power_off),
    "shutdown": Act(_must_be("active", IS_OFF), _shutdown),
    "power_on": Act(_must_be("off", "Droplet is already powered on."), _power_on),
    "reboot": Act(_must_be("active", IS_OFF), _reboot),
    "power_cycle": Act(_must_be("active", IS_OFF), _power_cycle),
    "resize": Act(_check_resize, _resize),
    "snapshot": Act(_check_snapshot, _snapshot),
    "rebuild": Act(_check_image, _rebuild),
    "restore": Act(_check_image, _rebuild),
    "rename": Act(_check_rename, _rename),
    "enable_backups": Act(_check_enable_backups, _enable_backups),
    "disable_backups": Act(_check_backups, _disable_backups),
    "change_backup_policy": Act(_check_policy, _change_policy),
    "enable_ipv6": Act(_anything, _add_feature("ipv6")),
    "enable_private_networking": Act(_anything, _add_feature("private_networking")),
}


@routes.post("/v2/droplets/<int:number>/actions")
def act(cloud: Cloud, call: Call, number: int) -> dict[str, Any]:
    droplet = cloud.one("droplets", number)
    word = call.need("type", str)
    if word not in ACTS:
        raise invalid(f"type {word} is not an action. Actions: {', '.join(ACTS)}.")
    actions.refuse_if_busy(cloud, "droplet", number)
    if droplet["leaving"] or droplet["status"] == "new":
        raise invalid("Droplet already has a pending event.")
    ACTS[word].check(cloud, droplet, call)
    action = dict(actions.begin(cloud, word, ("droplet", number), droplet["region"]))
    before = dict(droplet)

    def work() -> Callable[[], None]:
        changes = ACTS[word].work(cloud, before, call, action)
        return lambda: cloud.one("droplets", number).update(changes)

    def locked() -> None:
        with droplets.at_work(cloud, number):
            actions.perform(cloud, action, work)

    cloud.later(locked)
    return {"action": actions.present(action)}
