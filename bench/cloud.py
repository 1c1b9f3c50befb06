"""The local cloud that is measured: one that is up, or one of the benchmark's own beside it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toolchain.environment import complete_environment
from toolchain.layout import REPOSITORY, TOOLS_DIRECTORY, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = TOOLS_DIRECTORY / "bench"
# As for the tests: beside a developer's own cloud, both of RFC 2544; the variables make room for a second run.
SUBNET = os.environ.get("TTS_TEST_SUBNET", "198.19.0.0/24")
VPC_RANGE = os.environ.get("TTS_TEST_VPC_RANGE", "10.90.0.0/20")


@contextmanager
def platform(local: Path | None, stack: str = "local") -> Iterator[dict[str, str]]:
    """The environment of a stack that is up: below `local`, or made for this block and removed after it."""
    if local:
        yield complete_environment(Layout(local.absolute()))
        return
    layout = Layout(OWN)
    place = {"TTS_LOCAL_DIR": str(OWN), "TTS_SUBNET": SUBNET, "TTS_VPC_RANGE": VPC_RANGE}
    environment = {**os.environ, **place, "TTS_API_PORT": str(_free_port()), "TTS_S3_PORT": str(_free_port())}
    try:
        _run(environment, "toolchain.bootstrap")
        _run(environment, "toolchain.local", "up", "--stack", stack)
        yield complete_environment(layout)
    finally:
        if layout.cloud.exists():
            _run(environment, "toolchain.local", "down")


def _run(environment: dict[str, str], module: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *words], env=environment, cwd=REPOSITORY, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(words)} ended with {done.returncode}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
