"""Starts and removes the local cloud of one directory."""

import errno
import os
import socket
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

from toolchain.console import FailureError, Log
from toolchain.environment import NotRunningError, read_cloud, require_running
from toolchain.layout import PYTHON, REPOSITORY, Layout

API_PORT = 7480
S3_PORT = 7481
SUBNET = "198.18.0.0/24"


@dataclass(frozen=True)
class Cloud:
    """A local cloud: its directory, its two ports on loopback, the range of its public addresses."""

    layout: Layout
    api_port: int
    s3_port: int
    subnet: str

    @classmethod
    def of(cls, layout: Layout) -> "Cloud":
        """Give the cloud of a layout: as the environment says, else as it ran before, else with the defaults."""
        before = read_cloud(layout)

        def port(name: str, key: str, default: int) -> int:
            text = os.environ.get(name) or (urlsplit(before[key]).port if before else default)
            try:
                return int(text or default)
            except ValueError:
                raise FailureError(f"{name} is {text!r}, which is no port number.") from None

        subnet = os.environ.get("TTS_SUBNET") or before.get("subnet") or SUBNET
        return cls(layout, port("TTS_API_PORT", "api", API_PORT), port("TTS_S3_PORT", "s3", S3_PORT), subnet)

    @property
    def runs(self) -> bool:
        try:
            require_running(self.layout)
        except NotRunningError:
            return False
        return True

    def start(self, log: Log) -> None:
        """Start the daemon if it does not run, and wait until it answers."""
        if not self.runs:
            check_port(self.api_port, "TTS_API_PORT")
            check_port(self.s3_port, "TTS_S3_PORT")
        self.layout.images.mkdir(parents=True, exist_ok=True)
        self._command(
            log, "up", "--api-port", str(self.api_port), "--s3-port", str(self.s3_port), "--subnet", self.subnet,
            "--images", str(self.layout.images), problem="The local cloud did not start.",
        )  # fmt: skip

    def destroy(self, log: Log) -> str:
        """Remove its containers, volumes, networks and state."""
        self._command(log, "destroy", problem="The local cloud could not be removed.")
        return "hosts, networks and buckets are removed"

    def _command(self, log: Log, action: str, *arguments: str, problem: str) -> None:
        command = [str(PYTHON), "-P", "-m", "localcloud", action, "--dir", str(self.layout.cloud), *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=REPOSITORY,
            check=False,
        )
        log.path.write_text(done.stdout)
        if done.returncode:
            raise FailureError(problem, log=log.path)


def check_port(port: int, variable: str) -> None:
    """Raise FailureError if another program listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise FailureError(
                f"Port {port} of 127.0.0.1 is taken by another program.",
                f"end it (`ss -ltnp sport = :{port}` names it), or choose another: make up {variable}={port + 100}",
            ) from None
