"""A node of a managed database as a container: a server with an address on the public network and one in its VPC."""

import contextlib
import hashlib
import shutil
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.config import Config
from localcloud.engine import Engine, EngineError
from localcloud.machine import INSIDE, Limits
from localcloud.servers import PORT, SECOND_PORT, SOCKET
from localcloud.store import write_private

SCRIPT = Path(__file__).parent / "scripts" / "node"
LOG = ("--log-opt=max-size=5m", "--log-opt=max-file=2")
CAPABILITIES = ("--cap-add=NET_ADMIN", "--cap-add=NET_RAW")
STOP_SECONDS = 20
PROBE_SECONDS = 2.0
# "Do you speak GSSAPI?": whatever the answer, a server that takes connections gives one, and logs nothing of it.
QUESTION = bytes.fromhex("0000000804d21630")


@dataclass(frozen=True)
class Node:
    """One node's container, by cluster and number. Methods raise EngineError unless they say otherwise."""

    config: Config
    engine: Engine
    cluster: str
    number: int

    @property
    def name(self) -> str:
        return self.config.name(f"database-{self.cluster}-{self.number}")

    @property
    def directory(self) -> Path:
        return self.config.directory / "databases" / self.cluster / str(self.number)

    def create(self, public: str, network: str, private: str, limits: Limits) -> None:
        """Make the container; it is not started. Its disk, if there is one, is kept."""
        self.engine.remove("container", self.name)
        if not self.engine.exists("volume", self.name):
            self.engine.run("volume", "create", "--label", self.engine.label, self.name)
        self.engine.run(
            "create", "--name", self.name, "--hostname", f"node{self.number}", "--label", self.engine.label, *LOG,
            # Docker never starts one by itself: a former primary must come back as what it is by then.
            "--restart=no", "--tmpfs=/run", "--shm-size=256m", *limits.flags(self.engine), *CAPABILITIES,
            "--network", self.config.name("public"), "--ip", public, f"--volume={self.directory}:{INSIDE}:ro",
            f"--volume={self.name}:/data", self.config.service_image, f"{INSIDE}/node", "serve",
        )  # fmt: skip
        self.engine.run("network", "connect", "--ip", private, network, self.name)

    def write(self, files: Mapping[str, str]) -> None:
        """Write what the node reads."""
        (self.directory / "server").mkdir(parents=True, exist_ok=True)
        for name, text in {**files, "wanted": hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()}.items():
            path = self.directory / name
            if not path.exists() or path.read_text() != text:
                write_private(path, text)

    def follows(self) -> bool:
        """Tell whether the node runs by what was written last. Raises nothing."""
        followed, wanted = self.directory / "followed", self.directory / "wanted"
        return followed.exists() and followed.read_text() == wanted.read_text()

    def follow(self) -> None:
        """Make the running node follow its files."""
        wanted = (self.directory / "wanted").read_text()
        self.engine.run("exec", self.name, f"{INSIDE}/node", "reload", timeout=30)
        write_private(self.directory / "followed", wanted)

    def start(self) -> None:
        """Start it, by its files and with a fresh script: the cloud may have been brought up to date since."""
        shutil.copy(SCRIPT, self.directory / "node")
        write_private(self.directory / "followed", (self.directory / "wanted").read_text())
        self.engine.run("start", self.name)

    def stop(self) -> None:
        self.engine.run("stop", "--time", str(STOP_SECONDS), self.name, timeout=STOP_SECONDS * 3)

    def kill(self) -> None:
        """End it for good: what hangs now must not write later."""
        with contextlib.suppress(EngineError):
            self.engine.run("kill", self.name)
        if self.running():
            raise EngineError(f"{self.name} could not be ended")

    def running(self) -> bool:
        found = self.engine.inspect("container", self.name)
        return bool(found and found["State"]["Running"])

    def exists(self) -> bool:
        return self.engine.exists("container", self.name)

    def destroy(self) -> None:
        """Remove the container, its disk and its files."""
        self.engine.remove("container", self.name)
        self.engine.remove("volume", self.name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def sql(self, text: str, database: str = "postgres", seconds: float = 30) -> list[list[str]]:
        """Run statements as the superuser and give the rows of the answer. A statement takes 15 s at most."""
        options = ["--host", SOCKET, "--port", str(PORT), "--username", "postgres", "--dbname", database]
        flags = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        limit = ["--env", "PGOPTIONS=-c statement_timeout=15s", "--env", "PGCONNECT_TIMEOUT=5"]
        answer = self.engine.run(
            "exec", "--interactive", *limit, self.name, "psql", *options, *flags, timeout=seconds, given=text
        )
        return [line.split("|") for line in answer.splitlines()]

    def answers(self, engine: str, address: str) -> bool:
        """Tell whether the server takes connections, without a process and without a session. Raises nothing."""
        port = SECOND_PORT if engine == "valkey" else PORT
        try:
            with socket.create_connection((address, port), PROBE_SECONDS) as connection:
                connection.settimeout(PROBE_SECONDS)
                if engine == "valkey":
                    _UNVERIFIED.wrap_socket(connection).close()
                    return True
                connection.sendall(QUESTION)
                return connection.recv(1) in (b"G", b"N")
        except OSError:
            return False

    def wait(self, engine: str, address: str, seconds: float) -> bool:
        """Wait until the server takes connections; tell whether it does. One that has ended is not waited for."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.running():
            if self.answers(engine, address):
                return True
            time.sleep(0.3)
        return False


_UNVERIFIED = ssl.create_default_context()
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE
