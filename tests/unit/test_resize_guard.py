"""What must be true before a droplet is resized, and what is left behind when it is not."""

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from guards.droplets import Droplet
from guards.errors import RefusedError
from guards.resize import Resize, ResizeGuard
from ops.errors import OpsError
from ops.remote import Completed

UP = Resize(101, "web-1", "203.0.113.1", "s-2vcpu-2gb", "s-4vcpu-8gb")
END, STOP = "tts-quiesce --end", "tts-quiesce --for 10"


def backup(kind: str, **changes: Any) -> dict[str, Any]:
    copies = [{"name": name, "snapshot": "c", "newest": "2026-11-23T10:00:00Z", "lag": 0} for name in ("aws", "spaces")]
    sound = {"kind": kind, "newest": "2026-11-23T10:00:00Z", "age_seconds": 60, "verified": True, "offsite": copies}
    return {**sound, **changes}


def report(**changes: dict[str, Any]) -> dict[str, Any]:
    return {"backups": [backup(kind, **changes.get(kind, {})) for kind in ("databases", "media", "config")]}


@dataclass
class World:
    """A host and a provider that do as they are told and remember it; `trouble` says what fails, and how."""

    reports: list[dict[str, Any]] = field(default_factory=lambda: [report()])
    droplet: Droplet = field(default_factory=lambda: Droplet("active", UP.before, locked=False))
    trouble: dict[str, Any] = field(default_factory=dict[str, Any])
    done: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])
    running: bool = True

    def guard(self) -> ResizeGuard:
        return ResizeGuard(self, self.connect, "tts-prod", "resized", self.said.append, pause=0)

    @contextmanager
    def connect(self, resize: Resize) -> Generator["World"]:
        yield self

    def run(self, argv: list[str], timeout: float) -> Completed:
        command = " ".join(argv)
        self.done.append(command)
        if failures := self.trouble.get(command):
            error = failures.pop(0) if isinstance(failures, list) else failures
            if isinstance(error, OpsError):
                raise error
            said = f"noise\n2026 level=error job=x {command} says why\n2026 level=info job=y result=ok\n"
            return Completed(error, "", said)
        if command in (END, STOP):
            self.running = command == END
        if command == "tts-host-status":
            return Completed(0, json.dumps(self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]), "")
        return Completed(0, "", "")

    def act(self, number: int, minutes: float, **action: Any) -> None:
        word = action["type"]
        self.done.append(" ".join(map(str, action.values())))
        if word in self.trouble:
            raise RefusedError(self.trouble[word])
        status = {"shutdown": "off", "power_off": "off", "power_on": "active"}.get(word, self.droplet.status)
        self.droplet = Droplet(status, action.get("size", self.droplet.size), locked=False)

    def settled(self, number: int, minutes: float = 60) -> Droplet:
        return self.droplet


def test_everything_that_can_fail_comes_before_the_stop() -> None:
    world = World()
    world.guard().allow(UP)
    assert world.done[:3] == ["true", END, "tts-host-status"]
    assert re.fullmatch(r"snapshot tts-prod-web-1-before-resized-\d{8}T\d{6}Z", world.done[3])
    assert world.done[4:] == [STOP]
    assert not world.running
    assert "tts-prod-web-1-before-resized" in world.said[0]


FLAWS: list[tuple[dict[str, Any], str]] = [
    ({"databases": {"age_seconds": 3700}}, "the newest backup of databases is not of the last hour"),
    ({"media": {"newest": None, "age_seconds": None}}, "the newest backup of media is not of the last hour"),
    ({"databases": {"verified": False}}, "the newest backup of databases is not verified"),
    (
        {"media": {"offsite": [{"name": "aws", "newest": "2026-11-23T10:00:00Z", "lag": 1}]}},
        "the newest backup of media has no copy at aws",
    ),
    ({"databases": {"offsite": [{"name": "spaces"}]}}, "the newest backup of databases has no copy at spaces"),
    ({"databases": {"offsite": []}}, "the newest backup of databases has no copy at any off-site place"),
]


@pytest.mark.parametrize(("flaw", "words"), FLAWS, ids=[words for _, words in FLAWS])
def test_a_backup_that_does_not_do_is_made_anew(flaw: dict[str, Any], words: str) -> None:
    world = World(reports=[report(**flaw), report()])
    world.guard().allow(UP)
    assert world.done[3:5] == ["tts-backup all --wait 3600", "tts-verify --wait 3600"]
    assert words in world.said[0]
    assert not world.running


@pytest.mark.parametrize(("flaw", "words"), FLAWS, ids=[words for _, words in FLAWS])
def test_a_backup_that_still_does_not_do_is_a_refusal(flaw: dict[str, Any], words: str) -> None:
    refused(World(reports=[report(**flaw)]), words)


def test_an_old_backup_of_the_configuration_is_no_reason() -> None:
    world = World(reports=[report(config={"age_seconds": 600_000, "verified": False, "offsite": []})])
    world.guard().allow(UP)
    assert "tts-backup all --wait 3600" not in world.done


def test_a_host_that_backs_nothing_up_is_not_resized() -> None:
    refused(World(reports=[{"backups": []}]), "the host backs no databases up")


def refused(world: World, words: str) -> str:
    """The guard says no with `words`, and the application runs."""
    with pytest.raises(RefusedError) as caught:
        world.guard().allow(UP)
    message = str(caught.value)
    assert words in message
    assert message.startswith("web-1 keeps its size s-2vcpu-2gb and was not resized to s-4vcpu-8gb: ")
    assert message.endswith("then run `pulumi up` again.")
    assert world.droplet == Droplet("active", UP.before, locked=False)
    assert world.running
    return message


FLAWED = report(databases={"verified": False})
TROUBLE: list[tuple[str, Any, dict[str, Any]]] = [
    ("the application does not start", {END: [1]}, report()),
    ("the status cannot be read", {"tts-host-status": 78}, report()),
    ("the backup fails", {"tts-backup all --wait 3600": 1}, FLAWED),
    ("the verification fails", {"tts-verify --wait 3600": 1}, FLAWED),
    ("the snapshot is refused", {"snapshot": "422 no room"}, report()),
    ("the application does not stop", {STOP: 1}, report()),
    ("the connection breaks", {STOP: OpsError("Host web-1 does not answer.", fix="look")}, report()),
]


@pytest.mark.parametrize(("trouble", "first"), [each[1:] for each in TROUBLE], ids=[each[0] for each in TROUBLE])
def test_each_failure_is_a_refusal_that_leaves_the_application_running(
    trouble: dict[str, Any], first: dict[str, Any]
) -> None:
    world = World(reports=[first], trouble=trouble)
    assert "The application is running." in refused(world, "")
    assert world.done[-1] == END, "it was started again, whatever state it was in"


def test_a_refusal_repeats_the_hosts_own_reason() -> None:
    reason = f"2026 level=error job=x {STOP} says why"
    refused(World(trouble={STOP: 75}), f"`{STOP}` ended with 75: {reason}. The application is running.")


def test_an_application_that_does_not_come_back_is_not_called_running() -> None:
    world = World(trouble={"snapshot": "422 no room", END: [0, 1]})
    message = refused(world, "422 no room")
    assert "The application is running" not in message
    assert "the host itself tries again within 10 minutes" in message


def test_a_host_with_older_scripts_is_named_as_such() -> None:
    refused(World(trouble={END: 127}), "the host has no tts-quiesce yet: first `pulumi up` on the rung")


def test_a_droplet_that_an_interrupted_attempt_left_off_is_switched_on() -> None:
    world = World(droplet=Droplet("off", UP.before, locked=False))
    world.trouble = {"true": [OpsError("no answer", fix=""), OpsError("no answer", fix=""), 0]}
    world.guard().allow(UP)
    assert world.done[:4] == ["power_on", "true", "true", "true"]
    assert world.done[-1] == STOP


@pytest.mark.parametrize("status", ["active", "off"])
def test_a_droplet_that_was_resized_without_the_state_knowing_goes_back_first(status: str) -> None:
    """The provider cannot resize it to the size that it has: `pulumi up` would fail for ever."""
    world = World(droplet=Droplet(status, UP.after, locked=False))
    world.guard().allow(UP)
    off = ["shutdown"] if status == "active" else []
    assert world.done[: len(off) + 2] == [*off, f"resize {UP.before} False", "power_on"]
    assert world.droplet == Droplet("active", UP.before, locked=False)
    assert world.done[-1] == STOP


def test_a_way_back_that_is_refused_leaves_the_droplet_on() -> None:
    world = World(droplet=Droplet("off", UP.after, locked=False), trouble={"resize": "422 no room"})
    with pytest.raises(RefusedError, match="422 no room"):
        world.guard().allow(UP)
    assert world.droplet.status == "active"


def test_a_droplet_of_a_third_size_is_left_alone() -> None:
    world = World(droplet=Droplet("active", "s-8vcpu-16gb", locked=False))
    with pytest.raises(RefusedError, match=r"s-8vcpu-16gb in truth, which is neither.*pulumi refresh"):
        world.guard().allow(UP)
    assert world.done == []
    assert world.running
