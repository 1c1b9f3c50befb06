"""A real local cloud beside a developer's own, and hands to reach into its droplets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import requests

from tests.conftest import free_port, free_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from ipaddress import IPv4Network
    from pathlib import Path

SECONDS = 180
WEB = """#cloud-config
write_files:
  - path: /etc/systemd/system/web.service
    content: |
      [Service]
      ExecStart=/usr/bin/python3 -m http.server 8080 --directory /srv
      [Install]
      WantedBy=multi-user.target
runcmd:
  - [sh, -c, 'hostname > /srv/index.html']
  - [systemctl, enable, --now, web]
"""


def wait(what: str, ready: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait for something to be true and give it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def reaches(address: str, port: int, seconds: float = 1.5) -> bool:
    try:
        socket.create_connection((address, port), seconds).close()
    except OSError:
        return False
    return True


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass
class RealCloud:
    """A cloud that the command line starts, and the calls to it."""

    directory: Path
    images: Path
    key: Path
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    subnet: IPv4Network = field(default_factory=lambda: free_range("198.18.0.0/15"))
    vpc_range: IPv4Network = field(default_factory=lambda: free_range("10.96.0.0/11"))

    def command(self, name: str, *more: str) -> str:
        command = [sys.executable, "-m", "localcloud", name, "--dir", str(self.directory), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def up(self) -> None:
        api, s3 = map(str, self.ports)
        where = ["--subnet", str(self.subnet), "--images", str(self.images)]
        self.command("up", "--api-port", api, "--s3-port", s3, *where)

    @property
    def about(self) -> dict[str, Any]:
        return json.loads((self.directory / "cloud.json").read_text())

    @cached_property
    def identity(self) -> str:
        return json.loads((self.directory / "config.json").read_text())["identity"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        about = self.about
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Authorization": f"Bearer {about['token']}"}
            response = session.request(method, about["api"] + path, json=body, headers=headers, timeout=60)
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else {}

    def finish(self, action: dict[str, Any]) -> None:
        path = f"/v2/actions/{action['id']}"
        ended = wait(f"action {action['type']}", lambda: self._ended(path))
        assert ended["status"] == "completed", ended

    def _ended(self, path: str) -> dict[str, Any] | None:
        action = self.call("GET", path)["action"]
        return action if action["completed_at"] else None

    def droplet(self, name: str, **fields: Any) -> Droplet:
        """Ask for a droplet; it is on its way."""
        body = {"name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "user_data": WEB}
        keys = [one["id"] for one in self.call("GET", "/v2/account/keys")["ssh_keys"]]
        made = self.call("POST", "/v2/droplets", {**body, "ssh_keys": keys, **fields})["droplet"]
        return Droplet(self, made["id"], name)

    def container(self, droplet: Droplet) -> str:
        return f"localcloud-{self.identity}-droplet-{droplet.number}"


@contextmanager
def new_cloud(folder: Path, *images: str) -> Iterator[RealCloud]:
    """A cloud whose account knows a key of its own, and whose droplets find these images at their first boot."""
    key, kept = folder / "id", folder / "images"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    kept.mkdir()
    for number, image in enumerate(images):
        docker("save", "--output", str(kept / f"{number}.tar"), image)
    real = RealCloud(folder / "state", kept, key)
    try:
        real.up()
        real.call("POST", "/v2/account/keys", {"name": "test", "public_key": key.with_suffix(".pub").read_text()})
        yield real
    finally:
        if (real.directory / "config.json").exists():
            real.command("destroy")


@dataclass
class Droplet:
    """One droplet of a real cloud."""

    cloud: RealCloud
    number: int
    name: str

    @property
    def shown(self) -> dict[str, Any]:
        return self.cloud.call("GET", f"/v2/droplets/{self.number}")["droplet"]

    def address(self, kind: str = "public") -> str:
        def find() -> str | None:
            found = [one["ip_address"] for one in self.shown["networks"]["v4"] if one["type"] == kind]
            return found[0] if found else None

        return wait(f"{kind} address of {self.name}", find)

    def act(self, word: str, **fields: Any) -> None:
        path = f"/v2/droplets/{self.number}/actions"
        self.cloud.finish(self.cloud.call("POST", path, {"type": word, **fields})["action"])

    def ssh(self, command: str, *, check: bool = True, address: str = "") -> str:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=3"]
        flags = [part for option in [*options, "BatchMode=yes"] for part in ("-o", option)]
        target = f"root@{address or self.address()}"
        words = ["ssh", "-i", str(self.cloud.key), *flags, target, command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{command}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout.strip() if done.returncode == 0 else ""

    def destroy(self) -> None:
        """Destroy it and wait until it is gone."""
        self.cloud.call("DELETE", f"/v2/droplets/{self.number}")
        listed = "/v2/droplets?per_page=200"
        wait(
            f"the end of {self.name}",
            lambda: self.number not in [one["id"] for one in self.cloud.call("GET", listed)["droplets"]],
        )

    def ready(self) -> Droplet:
        """Wait until SSH answers and the boot has come to its end."""
        wait(f"SSH of {self.name}", lambda: self.ssh("echo yes", check=False) == "yes")
        assert "status: done" in self.ssh("cloud-init status --wait")
        assert self.ssh("systemctl is-system-running --wait || systemctl --failed") == "running"
        return self

    def host_key(self) -> str:
        return self.ssh("cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub")
