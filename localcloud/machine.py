"""A droplet as a container: a systemd host with an address on the public network and one in its VPC."""

import json
import logging
import shutil
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from localcloud.config import Config
from localcloud.engine import Engine, EngineError
from localcloud.store import write_private
from localcloud.tls import DOMAINS

LOG = logging.getLogger(__name__)
INSIDE = "/var/lib/localcloud"
# In place of --privileged, which fails where the host itself lacks a capability.
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "SYS_NICE", "SYSLOG", "DAC_READ_SEARCH")
SYSTEMD = [
    *("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw", "--device-cgroup-rule=a *:* rwm"),
    *(
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--security-opt=systempaths=unconfined",
    ),
    *("--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec", "--stop-signal=SIGRTMIN+3"),
]
STOP_SECONDS = 30
# Only tar keeps what overlay file systems are made of: device nodes and trusted.* attributes.
TAR = "tar --xattrs --xattrs-include='*' --numeric-owner"
COPY = f"{TAR} -C /from -cf - . | {TAR} -C /to -xpf -"


@dataclass(frozen=True)
class Limits:
    """Memory in MiB and processors. More processors than the machine has are cut to what it has."""

    memory: int
    processors: int

    def flags(self, engine: Engine) -> list[str]:
        processors = min(self.processors, engine.processors())
        return [f"--memory={self.memory}m", f"--memory-swap={self.memory}m", f"--cpus={processors}"]


@dataclass(frozen=True)
class Seed:
    """What cloud-init finds. Another `instance` is another machine: all is run again, new host keys included."""

    instance: str
    hostname: str
    public_keys: tuple[str, ...]
    user_data: str


@dataclass(frozen=True)
class Machine:
    """One droplet's container, by number. All methods raise EngineError."""

    config: Config
    engine: Engine
    number: int

    @property
    def name(self) -> str:
        return self.config.name(f"droplet-{self.number}")

    @property
    def directory(self) -> Path:
        return self.config.directory / "droplets" / str(self.number)

    def create(
        self, image: str, seed: Seed, public: IPv4Address, network: str, private: IPv4Address, limits: Limits
    ) -> None:
        """Make the container and its disk; it is not started. What was there under its name is removed first."""
        self.engine.remove("container", self.name)
        self.plant(seed)
        if not self.engine.exists("volume", self.name):
            self.engine.run("volume", "create", "--label", self.engine.label, self.name)
        images = [f"--volume={self.config.images}:{INSIDE}/images:ro"] if self.config.images else []
        self.engine.run(
            "create", "--name", self.name, "--hostname", seed.hostname, "--label", self.engine.label,
            # Not `always`: a droplet that was powered off stays off when Docker starts again.
            "--restart=unless-stopped", *limits.flags(self.engine),
            *SYSTEMD, *(f"--cap-add={one}" for one in CAPABILITIES),
            "--network", self.config.name("public"), "--ip", str(public), "--dns=127.0.0.1",
            f"--volume={self.directory}:{INSIDE}:ro", *images, f"--volume={self.name}:/var/lib/docker",
            image, "/sbin/init",
        )  # fmt: skip
        self.engine.run("network", "connect", "--ip", str(private), network, self.name)

    def plant(self, seed: Seed) -> None:
        """Write what cloud-init reads, and what is the same for all droplets of this cloud."""
        folder = self.directory / "seed"
        folder.mkdir(parents=True, exist_ok=True)
        (self.directory / "images").mkdir(exist_ok=True)
        about = {"instance-id": seed.instance, "local-hostname": seed.hostname, "public-keys": list(seed.public_keys)}
        write_private(folder / "meta-data", json.dumps(about))
        write_private(folder / "user-data", seed.user_data or "#cloud-config\n{}\n")
        write_private(folder / "vendor-data", "")
        shutil.copyfile(self.config.directory / "ca.crt", self.directory / "ca.crt")
        names = [f"address=/{domain}/{self.config.gateway}" for domain in DOMAINS]
        # All other names are asked of the cloud's own name server.
        server = f"server={self.config.gateway}"
        fixed = ["listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts", "user=root", server]
        write_private(self.directory / "dnsmasq.conf", "\n".join([*fixed, *names, ""]))

    def configure_network(self, environment: str, rules: str) -> bool:
        """Write a droplet's addresses and filter; tell whether that changed anything."""
        changed = False
        for name, text in (("network.env", environment), ("rules", rules)):
            path = self.directory / name
            if not path.exists() or path.read_text() != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_private(path, text)
                changed = True
        return changed

    def apply_network(self) -> None:
        """Make a running droplet follow its files; one that boots does so by itself."""
        self.engine.run("exec", self.name, "/usr/local/lib/localcloud/network", timeout=30)

    def load_images(self) -> None:
        """Make a running droplet load images that are new in the directory of images."""
        self.engine.run("exec", self.name, "/usr/local/lib/localcloud/images", timeout=900)

    def start(self) -> None:
        self.engine.run("start", self.name)

    def kill(self) -> None:
        """Cut the power."""
        if self.running():
            self.engine.run("kill", self.name)

    def stop(self) -> None:
        """Shut down; after half a minute, cut the power."""
        self.engine.run("stop", "--time", str(STOP_SECONDS), self.name, timeout=STOP_SECONDS * 2)

    def limit(self, limits: Limits) -> None:
        self.engine.run("update", *limits.flags(self.engine), self.name)

    def running(self) -> bool:
        found = self.engine.inspect("container", self.name)
        return bool(found and found["State"]["Running"])

    def exists(self) -> bool:
        return self.engine.exists("container", self.name)

    def destroy(self) -> None:
        self.wipe()
        shutil.rmtree(self.directory, ignore_errors=True)

    def wipe(self) -> None:
        """Remove the container and all of its disk."""
        self.engine.remove("container", self.name)
        self.engine.remove("volume", self.name)

    def snapshot(self, name: str) -> None:
        """Save both parts of the disk, at one moment, under a name: an image, and a volume for Docker's own data."""
        paused = self.running()
        if paused:
            self.engine.run("pause", self.name)
        try:
            self.engine.run(
                "commit", "--pause=false", f"--change=LABEL {self.engine.label}", self.name, name, timeout=600
            )
            self._copy(self.name, name)
        except EngineError:
            self.engine.remove("image", name)
            self.engine.remove("volume", name)
            raise
        finally:
            if paused:
                self.engine.run("unpause", self.name)

    def restore(self, name: str) -> None:
        """Fill Docker's own data from a snapshot; the container must not be there yet."""
        self._copy(name, self.name)

    def _copy(self, source: str, target: str) -> None:
        self.engine.remove("volume", target)
        self.engine.run("volume", "create", "--label", self.engine.label, target)
        self.engine.run(
            "run", "--rm", "--label", self.engine.label, "--network=none", "--cap-add=SYS_ADMIN",
            "--security-opt=apparmor=unconfined", f"--volume={source}:/from:ro", f"--volume={target}:/to",
            self.config.image, "bash", "-o", "pipefail", "-c", COPY, timeout=1800,
        )  # fmt: skip
