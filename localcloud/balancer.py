"""A load balancer as a container: HAProxy with an address on the public network and one in its VPC."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from localcloud.config import Config
from localcloud.engine import Engine
from localcloud.haproxy import Files
from localcloud.store import write_private

INSIDE = "/var/lib/localcloud"
SCRIPT = Path(__file__).parent / "scripts" / "balancer"
MEMORY = "1g"  # whatever the size, which limits connections
LOG = ("--log-opt=max-size=5m", "--log-opt=max-file=2")


@dataclass(frozen=True)
class Balancer:
    """One load balancer's container, by id. All methods but `write` raise EngineError."""

    config: Config
    engine: Engine
    identity: str

    @property
    def name(self) -> str:
        return self.config.name(f"balancer-{self.identity}")

    @property
    def directory(self) -> Path:
        return self.config.directory / "balancers" / self.identity

    def create(self, public: str | None, network: str, private: str) -> None:
        """Make the container; it is not started. What was there under its name is removed first."""
        self.engine.remove("container", self.name)
        self.plant()
        networks = [(self.config.name("public"), public), (network, private)] if public else [(network, private)]
        (first, address), *others = networks
        self.engine.run(
            "create", "--name", self.name, "--label", self.engine.label, "--restart=unless-stopped", *LOG,
            f"--memory={MEMORY}", "--network", first, "--ip", str(address),
            f"--volume={self.directory}:{INSIDE}:ro", self.config.service_image, f"{INSIDE}/balancer", "serve",
        )  # fmt: skip
        for other, another in others:
            self.engine.run("network", "connect", "--ip", another, other, self.name)

    def plant(self) -> None:
        """Put the script where the container finds it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(SCRIPT, self.directory / "balancer")

    def write(self, files: Files) -> bool:
        """Write what HAProxy reads; tell whether it does not follow it yet."""
        folder = self.directory / "certificates"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.certificates.items():
            _replace(folder / f"{name}.pem", text)
        _replace(self.directory / "states", files.states)
        _replace(self.directory / "haproxy.cfg", files.configuration)
        for path in folder.glob("*.pem"):
            if path.stem not in files.certificates:
                path.unlink()
        return self._followed != files.digest

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.engine.run("start", self.name)
        self.engine.run("exec", self.name, f"{INSIDE}/balancer", "wait", timeout=60)

    def follow(self, files: Files) -> None:
        """Make the running HAProxy follow its files, without the loss of a connection."""
        self.engine.run("exec", self.name, f"{INSIDE}/balancer", "reload", timeout=60)
        write_private(self.directory / "followed", files.digest)

    def exists(self) -> bool:
        return self.engine.exists("container", self.name)

    def destroy(self) -> None:
        self.engine.remove("container", self.name)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _followed(self) -> str:
        path = self.directory / "followed"
        return path.read_text() if path.exists() else ""


def _replace(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        write_private(path, text)
