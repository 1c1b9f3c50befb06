"""One platform for all end-to-end tests: what `make up` makes, on a local cloud of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.platform import REPOSITORY, Platform

if TYPE_CHECKING:
    from tests.e2e.contents import Fingerprint

TICKETS = 500
STACK = "local"
LAST = ("test_disaster", "test_ladder", "test_upper_rungs", "test_promote", "test_destroy")
"""Chapters that come after all others: a host is lost and rebuilt; rows are added and the host changes; the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the chapters in the order of the story; other tests keep their places."""
    items.sort(key=lambda item: LAST.index(item.path.stem) + 1 if item.path.stem in LAST else 0)


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Platform:
    """The platform after `make up`. It is removed with its cloud when the session ends.

    While a test is being written, E2E_LOCAL_DIR names a platform that is up already: it is used, damaged and left.
    """
    if existing := os.environ.get("E2E_LOCAL_DIR"):
        return Platform(Path(existing).absolute(), STACK)
    directory: Path = request.getfixturevalue("second_cloud")
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
    return Platform(directory, STACK)


@pytest.fixture(scope="session")
def seeded(platform: Platform) -> Fingerprint:
    """What 500 tickets with attachments, and all that follows from them, look like when nothing moves any more."""
    platform.seed(TICKETS)
    return platform.settled()
