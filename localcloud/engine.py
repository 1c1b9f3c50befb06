"""The Docker command line, and what can be wrong with it."""

import json
import subprocess
import time
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from localcloud.errors import CloudError

LABEL = "localcloud.cloud"
REMOVAL_SECONDS = 60.0
RESOURCES = {
    "container": ["rm", "--force", "--volumes"],
    "volume": ["rm"],
    "network": ["rm"],
    "image": ["rm", "--force"],
}


class EngineError(CloudError):
    """Docker refused; the message is Docker's own."""


@dataclass(frozen=True)
class Engine:
    """Docker, for one cloud: what it makes bears the label of that cloud."""

    identity: str

    @property
    def label(self) -> str:
        return f"{LABEL}={self.identity}"

    def run(self, *arguments: str, timeout: float = 120, given: str = "") -> str:
        """Run one Docker command, with `given` as its input, and give its output.

        Raises EngineError with Docker's own words.
        """
        try:
            done = subprocess.run(
                ["docker", *arguments],
                input=given,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError:
            raise EngineError("The command `docker` is not there. Fix: apt-get install docker.io") from None
        except subprocess.TimeoutExpired:
            raise EngineError(f"`docker {arguments[0]}` did not end within {timeout:.0f} s.") from None
        if done.returncode:
            raise EngineError(done.stderr.strip() or f"`docker {arguments[0]}` ended with code {done.returncode}.")
        return done.stdout.strip()

    def check(self) -> None:
        """Raise EngineError, with the fix, unless the engine answers."""
        try:
            self.run("version", "--format", "{{.Server.Version}}", timeout=30)
        except EngineError as error:
            fix = "Fix: start it (systemctl start docker), or join the group `docker` if it runs already."
            raise EngineError(f"Docker does not answer: {error}\n{fix}") from None

    def processors(self) -> int:
        return int(self.run("info", "--format", "{{.NCPU}}"))

    def exists(self, kind: str, name: str) -> bool:
        return self.inspect(kind, name) is not None

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        try:
            return json.loads(self.run(kind, "inspect", name))[0]
        except EngineError as error:
            if "no such" in str(error).lower() or "not found" in str(error).lower():
                return None
            raise

    def owned(self, kind: str) -> list[str]:
        """Give the ids of all containers, volumes, networks or images of this cloud."""
        every = ["--all"] if kind == "container" else []
        found = self.run(kind, "ls", *every, "--quiet", "--filter", f"label={self.label}")
        return list(dict.fromkeys(found.split()))

    def names(self, kind: str) -> list[str]:
        """Give the names of all volumes or images of this cloud."""
        column = {"volume": "{{.Name}}", "image": "{{.Repository}}"}[kind]
        return self.run(kind, "ls", "--filter", f"label={self.label}", "--format", column).split()

    def remove(self, kind: str, *names: str) -> None:
        """Remove what is there of the named."""
        for name in names:
            if self.exists(kind, name):
                self._remove(kind, name)

    def _remove(self, kind: str, name: str) -> None:
        """Remove one; what somebody else removes at this moment, a daemon that was just ended, is waited for."""
        try:
            self.run(kind, *RESOURCES[kind], name, timeout=300)
        except EngineError as error:
            if "already in progress" not in str(error):
                raise
            end = time.monotonic() + REMOVAL_SECONDS
            while self.exists(kind, name):
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def ensure_network(self, name: str, subnet: IPv4Network) -> None:
        """Make an internal network, which has no way out of this machine, unless it is there."""
        if self.exists("network", name):
            return
        if taken := used_by_machine(subnet):
            raise EngineError(f"{subnet} overlaps {taken[1]}, which this machine uses itself on {taken[0]}.")
        self.run(
            "network", "create", "--internal", "--label", self.label,
            "--subnet", str(subnet), "--gateway", str(subnet[1]), name,
        )  # fmt: skip


def used_by_machine(subnet: IPv4Network) -> tuple[str, IPv4Network] | None:
    """Tell which interface of this machine has a route into a range (Linux: /proc/net/route, little-endian hex)."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, target, _, _, _, _, _, mask, *_ = line.split()
        address, netmask = (int.from_bytes(bytes.fromhex(part), "little") for part in (target, mask))
        network = IPv4Network((address, netmask.bit_count()))
        if network.prefixlen and network.overlaps(subnet):
            return interface, network
    return None
