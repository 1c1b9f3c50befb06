"""One platform for all end-to-end tests: what `make up` makes, on a local cloud of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.platform import REPOSITORY, Fingerprint, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TICKETS = 500
STACK = "local"


@pytest.fixture(scope="session")
def platform(second_cloud: Path) -> Iterator[Platform]:
    """The platform after `make up`. It is removed with its cloud when the session ends."""
    for module, *words in (("toolchain.bootstrap",), ("toolchain.local", "up", "--stack", STACK)):
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{module} {' '.join(words)} exited {done.returncode}\n{done.stdout[-8000:]}"
    return Platform(second_cloud, STACK)


@pytest.fixture(scope="session")
def seeded(platform: Platform) -> Fingerprint:
    """What 500 tickets with attachments, and all that follows from them, look like when nothing moves any more."""
    platform.seed(TICKETS)
    return platform.settled()
