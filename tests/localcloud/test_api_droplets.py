"""What the API lets be done to a droplet, in which state, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.localcloud.api_support import FakeEngine, Service, serving, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "cloud") as running:
        yield running


def limits(engine: FakeEngine) -> list[str]:
    """Give the flags of the last `docker update`."""
    return [list(one) for one in engine.asked if one[0] == "update"][-1][1:-1]


def test_a_resize_without_the_disk_can_be_taken_back(service: Service) -> None:
    number = service.droplet()
    service.act(number, "power_off")
    assert service.act(number, "resize", size="s-4vcpu-8gb", disk=False)["completed_at"]
    grown = service.shown(number)
    assert (grown["size_slug"], grown["memory"], grown["vcpus"], grown["disk"]) == ("s-4vcpu-8gb", 8192, 4, 60)
    assert limits(service.engine) == ["--memory=8192m", "--memory-swap=8192m", "--cpus=2"], "the machine has two"
    service.act(number, "resize", size="s-2vcpu-2gb", disk=False)
    assert service.shown(number)["size_slug"] == "s-2vcpu-2gb"


def test_a_resize_with_the_disk_cannot_be_taken_back(service: Service) -> None:
    number = service.droplet()
    service.act(number, "power_off")
    service.act(number, "resize", size="s-4vcpu-8gb", disk=True)
    assert service.shown(number)["disk"] == 160
    for disk in (True, False):
        body = {"type": "resize", "size": "s-2vcpu-2gb", "disk": disk}
        status, message = service.refused("POST", f"/v2/droplets/{number}/actions", body)
        assert (status, "smaller disk" in message) == (422, True)
    assert service.shown(number)["size_slug"] == "s-4vcpu-8gb"


def test_a_droplet_that_runs_is_not_resized(service: Service) -> None:
    number = service.droplet()
    body = {"type": "resize", "size": "s-4vcpu-8gb", "disk": False}
    assert service.refused("POST", f"/v2/droplets/{number}/actions", body)[0] == 422


def test_a_second_power_off_is_refused_in_the_words_that_the_provider_knows(service: Service) -> None:
    number = service.droplet()
    service.act(number, "power_off")
    assert service.shown(number)["status"] == "off"
    _, message = service.refused("POST", f"/v2/droplets/{number}/actions", {"type": "power_off"})
    assert "Droplet is already powered off" in message
    service.act(number, "power_on")
    assert service.shown(number)["status"] == "active"


@pytest.mark.parametrize(("word", "docker"), [("power_off", "kill"), ("shutdown", "stop"), ("power_cycle", "kill")])
def test_only_a_shutdown_asks_the_droplet(word: str, docker: str, service: Service) -> None:
    number = service.droplet()
    service.engine.asked.clear()
    service.act(number, word)
    assert {"kill", "stop"} & {one[0] for one in service.engine.asked} == {docker}


def test_a_snapshot_bears_the_moment_at_which_its_action_started(service: Service) -> None:
    number = service.droplet()
    action = service.act(number, "snapshot", name="before")
    [listed] = service.call("GET", f"/v2/droplets/{number}/snapshots?per_page=200")["snapshots"]
    assert action["resource_id"] == number
    assert (listed["created_at"], listed["name"]) == (action["started_at"], "before")
    assert isinstance(listed["id"], int), "here a number"
    snapshot = service.call("GET", f"/v2/snapshots/{listed['id']}")["snapshot"]
    assert (snapshot["id"], snapshot["resource_id"]) == (str(listed["id"]), str(number)), "there a text"
    assert service.shown(number)["snapshot_ids"] == [listed["id"]]
    verbs = [one[0] for one in service.engine.asked]
    assert verbs.index("pause") < verbs.index("commit") < verbs.index("unpause"), "both halves of one moment"
    other = service.droplet(name="copy", image=listed["id"])
    assert service.shown(other)["image"]["name"] == "before"
    service.call("DELETE", f"/v2/snapshots/{listed['id']}")
    assert service.refused("GET", f"/v2/snapshots/{listed['id']}")[0] == 404


def test_what_a_droplet_still_needs_of_a_deleted_snapshot_goes_with_the_droplet(service: Service) -> None:
    number = service.droplet()
    service.act(number, "snapshot", name="s")
    [identity] = service.shown(number)["snapshot_ids"]
    copy = service.droplet(name="copy", image=identity)
    service.engine.broken.add("image")
    service.call("DELETE", f"/v2/snapshots/{identity}")
    wait_for(lambda: ("image", "rm") in [one[:2] for one in service.engine.asked])
    assert [kind for kind, _ in service.engine.there].count("image") == 1, "in use"
    service.engine.broken.clear()
    service.call("DELETE", f"/v2/droplets/{copy}")
    wait_for(lambda: not service.engine.names("image"))


def test_a_snapshot_that_fails_leaves_nothing_and_lets_the_droplet_run_on(service: Service) -> None:
    number = service.droplet()
    service.engine.broken.add("commit")
    assert service.act(number, "snapshot", name="x")["status"] == "errored"
    assert service.call("GET", f"/v2/droplets/{number}/snapshots")["snapshots"] == []
    assert service.engine.asked[-1][0] == "unpause"


def test_a_rebuild_is_another_machine_on_an_empty_disk(service: Service) -> None:
    number = service.droplet(user_data="#cloud-config\n{}")
    before, address = service.file(number, "seed/meta-data"), service.shown(number)["networks"]
    service.engine.asked.clear()
    service.act(number, "rebuild", image="debian-12-x64")
    assert service.file(number, "seed/meta-data") != before, "another instance id: cloud-init starts anew"
    assert service.shown(number)["networks"] == address
    assert ("volume", "create") in [one[:2] for one in service.engine.asked]
    assert service.shown(number)["image"]["slug"] == "debian-12-x64"


def test_backups_and_their_policy_are_switched(service: Service) -> None:
    number = service.droplet()
    path = f"/v2/droplets/{number}"
    policy = {"plan": "weekly", "weekday": "SUN", "hour": 4}
    change = {"type": "change_backup_policy", "backup_policy": policy}
    assert service.refused("POST", f"{path}/actions", change)[0] == 422, "no policy without backups"
    service.act(number, "enable_backups", backup_policy=policy)
    assert "backups" in service.shown(number)["features"]
    service.act(number, "change_backup_policy", backup_policy={**policy, "hour": 8})
    assert service.call("GET", f"{path}/backups/policy")["policy"]["backup_policy"]["hour"] == 8
    assert service.call("GET", f"{path}/backups")["backups"] == []
    service.act(number, "disable_backups")
    assert "backups" not in service.shown(number)["features"]


@pytest.mark.parametrize(
    "policy",
    [
        {"plan": "hourly"},
        {"plan": "daily", "hour": 3},
        {"plan": "weekly", "hour": 4},
        {"plan": "weekly", "weekday": "Sunday"},
    ],
)
def test_a_policy_that_the_real_api_refuses_is_refused(policy: dict[str, Any], service: Service) -> None:
    body = {"name": "w", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "backups": True}
    assert service.refused("POST", "/v2/droplets", {**body, "backup_policy": policy})[0] == 422


def test_name_and_ipv6_change_as_polled(service: Service) -> None:
    number = service.droplet()
    service.act(number, "rename", name="web-9")
    service.act(number, "enable_ipv6")
    droplet = service.shown(number)
    assert droplet["name"] == "web-9"
    assert "ipv6" in droplet["features"]
    assert droplet["networks"]["v6"]


def test_a_droplet_at_work_takes_no_second_action(service: Service) -> None:
    number = service.droplet()
    service.act(number, "power_off")
    service.engine.hold.clear()
    started = service.call("POST", f"/v2/droplets/{number}/actions", {"type": "power_on"})["action"]
    assert (started["status"], started["completed_at"]) == ("in-progress", None)
    assert service.shown(number)["locked"]
    body = {"type": "snapshot", "name": "s"}
    assert service.refused("POST", f"/v2/droplets/{number}/actions", body) == (
        422,
        "Droplet already has a pending event.",
    )
    service.engine.hold.set()
    service.settle()
    assert service.shown(number)["status"] == "active"


def test_an_action_that_is_made_to_fail_ends_as_errored_and_changes_nothing(service: Service) -> None:
    number = service.droplet()
    service.act(number, "power_off")
    service.call("POST", "/_localcloud/faults", {"action": "resize"})
    assert service.act(number, "resize", size="s-4vcpu-8gb")["status"] == "errored"
    assert service.shown(number)["size_slug"] == "s-2vcpu-2gb"
    assert service.act(number, "resize", size="s-4vcpu-8gb")["status"] == "completed"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"size": "s-99"}, "size"),
        ({"region": "mars1"}, "mars1"),
        ({"image": "plan9"}, "image"),
        ({"name": "not a host"}, "hostname"),
        ({"ssh_keys": ["ab:cd"]}, "ab:cd"),
        ({"vpc_uuid": "nowhere"}, "vpc_uuid"),
        ({"tags": ["a b"]}, "a b"),
        ({"volumes": [{"id": "v"}]}, "volumes"),
        ({"name": None}, "name"),
        ({"size": 4}, "size"),
    ],
)
def test_a_droplet_that_cannot_be_is_refused_and_leaves_nothing(
    changes: dict[str, Any], word: str, service: Service
) -> None:
    body = {"name": "w", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64", **changes}
    status, message = service.refused("POST", "/v2/droplets", body)
    assert (status, word in message) == (422, True), message
    assert service.call("GET", "/v2/droplets")["droplets"] == []
    assert service.engine.there == set()


def test_a_creation_that_fails_says_so_at_once_and_can_be_deleted(service: Service) -> None:
    service.engine.broken.add("start")
    number = service.droplet()
    assert service.shown(number)["status"] == "archive", "the provider waits on, hours long, while it is `new`"
    [action] = service.call("GET", f"/v2/droplets/{number}/actions")["actions"]
    assert action["status"] == "errored"
    body = {"type": "power_on"}
    assert service.refused("POST", f"/v2/droplets/{number}/actions", body)[0] == 422
    service.call("DELETE", f"/v2/droplets/{number}")
    service.settle()
    assert not [name for kind, name in service.engine.there if kind in ("container", "volume")]


def test_several_droplets_of_one_call_have_addresses_of_their_own(service: Service) -> None:
    body = {"names": ["a", "b", "c"], "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "tags": ["x"]}
    made = service.call("POST", "/v2/droplets", body)["droplets"]
    service.settle()
    addresses = {one["ip_address"] for droplet in made for one in service.shown(droplet["id"])["networks"]["v4"]}
    assert len(addresses) == 6
    service.call("DELETE", "/v2/droplets?tag_name=x")
    service.settle()
    assert service.call("GET", "/v2/droplets")["droplets"] == []


def test_ten_droplets_asked_for_at_once_do_not_share_an_address(service: Service) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    body = {"region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda at: service.call("POST", "/v2/droplets", {**body, "name": f"w-{at}"}), range(10)))
    service.settle()
    droplets = service.call("GET", "/v2/droplets")["droplets"]
    assert len({one["ip_address"] for droplet in droplets for one in droplet["networks"]["v4"]}) == 20


def test_what_was_begun_before_a_kill_is_taken_up_by_the_next_start(tmp_path: Path) -> None:
    engine = FakeEngine("test")
    with serving(tmp_path / "cloud", engine) as first:
        active, off, leaving = (first.droplet(name=name) for name in ("a", "b", "c"))
        first.act(off, "power_off")
        with first.cloud.store.transaction():
            records = first.cloud.store.kind("droplets")
            records[str(leaving)]["leaving"] = True
        engine.hold.clear()
        body = {"name": "d", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}
        begun = first.call("POST", "/v2/droplets", body)["droplet"]["id"]
        # As a kill would: the file as it is now, the world as it is now, and nothing finished.
        saved = (tmp_path / "cloud" / "state.json").read_text()
        engine.hold.set()
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "state.json").write_text(saved)
    (tmp_path / "next" / "droplets").symlink_to(tmp_path / "cloud" / "droplets")
    engine.up.clear()
    with serving(tmp_path / "next", engine) as second:
        second.settle()
        states = {one["name"]: one["status"] for one in second.call("GET", "/v2/droplets")["droplets"]}
        assert states == {"a": "active", "b": "off", "d": "active"}
        assert {name.rsplit("-", 1)[1] for name in engine.up} == {str(active), str(begun)}
