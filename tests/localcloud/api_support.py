"""A cloud whose Docker and object store are fakes that remember: the API in milliseconds."""

from __future__ import annotations

import base64
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cheroot.wsgi import Server
from werkzeug.test import Client, TestResponse

from localcloud import config as settings
from localcloud.cloud import Cloud
from localcloud.engine import Engine, EngineError
from localcloud.kinds import KINDS
from localcloud.store import Store
from localcloud.web import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "token-of-the-test"
URL = "http://cloud.test"
WAIT_SECONDS = 10


@dataclass(frozen=True)
class FakeEngine(Engine):
    """Docker as two sets and a list: what exists, what runs, what was asked. `hold` keeps the next starts waiting."""

    there: set[tuple[str, str]] = field(default_factory=set)
    up: set[str] = field(default_factory=set)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    broken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.hold.set()

    def run(self, *arguments: str, timeout: float = 120, given: str = "") -> str:
        self.asked.append(arguments)
        verb, last = arguments[0], arguments[-1]
        if verb in self.broken:
            raise EngineError(f"{verb} is broken on purpose")
        match verb:
            case "create":
                self.there.add(("container", arguments[arguments.index("--name") + 1]))
            case "volume" | "network" if arguments[1] == "create":
                self.there.add((verb, last))
            case "volume" | "image" if arguments[1] == "rm":
                self.there.discard((verb, last))
            case "commit":
                self.there.add(("image", last))
            case "start":
                self.hold.wait(WAIT_SECONDS)
                self.up.add(last)
            case "kill" | "stop":
                self.up.discard(last)
        return ""

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        return {"State": {"Running": name in self.up}} if (kind, name) in self.there else None

    def processors(self) -> int:
        return 2

    def owned(self, kind: str) -> list[str]:
        return [name for known, name in self.there if known == kind]

    def names(self, kind: str) -> list[str]:
        return self.owned(kind)

    def remove(self, kind: str, *names: str) -> None:
        for name in names:
            self.there.discard((kind, name))
            self.up.discard(name)


def wait_for(ready: Callable[[], bool]) -> None:
    """Wait for work that no action tells of."""
    pause = threading.Event()
    for _ in range(WAIT_SECONDS * 100):
        if ready():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come to pass")


class FakeObjects:
    """The object store, as far as the API knows it."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, list[dict[str, str]]]] = {}
        self.names: list[str] = []

    def create_spaces_key(self, name: str, grants: list[dict[str, str]]) -> dict[str, str]:
        access_key = f"DO00{len(self.keys):016}"
        self.keys[access_key] = (name, grants)
        return {"access_key": access_key, "secret_key": f"secret of {access_key}"}

    def update_spaces_key(self, access_key: str, name: str, grants: list[dict[str, str]]) -> None:
        self.keys[access_key] = (name, grants)

    def delete_spaces_key(self, access_key: str) -> None:
        del self.keys[access_key]

    def buckets(self, account: str) -> list[str]:
        return self.names if account == "spaces" else []


class Service:
    """A cloud, and the calls that tests make to it."""

    def __init__(self, directory: Path, engine: FakeEngine | None = None) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "ca.crt").write_text("the authority\n")
        self.engine = engine or FakeEngine("test")
        self.objects = FakeObjects()
        self.config = settings.Config(directory, self.engine.identity, droplet_image="droplet:test")
        self.cloud = Cloud(self.config, Store(directory / "state.json"), self.engine, self.objects, KINDS)
        self.cloud.recover()
        self.api = Api([kind.routes for kind in KINDS], TOKEN, self.cloud.faults, self.cloud.enter)

    def close(self) -> None:
        self.engine.hold.set()
        self.cloud.close()

    def answer(self, method: str, path: str, body: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        given: dict[str, Any] = {"headers": {"Authorization": f"Bearer {TOKEN}"}, "method": method, "base_url": URL}
        if body is not None:
            given["json"] = body
        return Client(self.api).open(path, **(given | more))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make a call that must succeed and give its object; {} for an answer without a body."""
        response = self.answer(method, path, body)
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text}"
        return response.get_json() if response.data else {}

    def refused(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        """Make a call that must fail and give status and message."""
        response = self.answer(method, path, body)
        assert response.status_code >= 400, f"{method} {path} should have failed: {response.text}"
        return response.status_code, response.get_json()["message"]

    def settle(self) -> None:
        """Wait for all work that goes on after answers."""
        end = threading.Event()
        for _ in range(WAIT_SECONDS * 100):
            actions = self.call("GET", "/v2/actions?per_page=200")["actions"]
            with self.cloud.store.transaction():
                leaving = any(one["leaving"] for one in self.cloud.records("droplets"))
            if not leaving and all(one["status"] != "in-progress" for one in actions):
                return
            end.wait(0.01)
        raise AssertionError("work in the background does not come to its end")

    def droplet(self, **changes: Any) -> int:
        """Make a droplet and wait until it is active."""
        fields = {"name": "web-1", "region": "fra1", "size": "s-2vcpu-2gb", "image": "ubuntu-24-04-x64"}
        number = self.call("POST", "/v2/droplets", {**fields, **changes})["droplet"]["id"]
        self.settle()
        return number

    def shown(self, number: int) -> dict[str, Any]:
        return self.call("GET", f"/v2/droplets/{number}")["droplet"]

    def act(self, number: int, word: str, **fields: Any) -> dict[str, Any]:
        """Do an action, wait for its end, and give it."""
        action = self.call("POST", f"/v2/droplets/{number}/actions", {"type": word, **fields})["action"]
        self.settle()
        return self.call("GET", f"/v2/actions/{action['id']}")["action"]

    def file(self, number: int, name: str) -> str:
        return (self.config.directory / "droplets" / str(number) / name).read_text()


@contextmanager
def listening(service: Service) -> Iterator[str]:
    """Give the address at which a cloud answers over HTTP."""
    server = Server(("127.0.0.1", 0), service.api, numthreads=2)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.bind_addr[1]}"
    server.stop()
    thread.join()


@contextmanager
def serving(directory: Path, engine: FakeEngine | None = None) -> Iterator[Service]:
    service = Service(directory, engine)
    try:
        yield service
    finally:
        service.close()


def public_key(comment: str = "someone@test") -> str:
    """Give a new public key's text; its other half never existed."""
    length = (11).to_bytes(4, "big")
    blob = length + b"ssh-ed25519" + (32).to_bytes(4, "big") + os.urandom(32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {comment}"
