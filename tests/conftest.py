"""What all tests share: their tiers, the guard against tests that nobody runs, a local cloud that is nobody's own."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIERS = ("unit", "docker", "e2e", "rehearsal")  # the order in which they run: what fails fast fails first
# Beside a developer's own cloud in 198.18.0.0/24; both of RFC 2544. The variables make room for a second run.
SECOND_SUBNET = os.environ.get("TTS_TEST_SUBNET", "198.19.0.0/24")
SECOND_VPC_RANGE = os.environ.get("TTS_TEST_VPC_RANGE", "10.90.0.0/20")


def tier(item: pytest.Item) -> int:
    return max((TIERS.index(mark.name) for mark in item.iter_markers() if mark.name in TIERS), default=0)


def defines_tests(path: Path) -> bool:
    """Say whether a file holds what pytest would take for a test if it looked."""
    return any(
        (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"))
        or (isinstance(node, ast.ClassDef) and node.name.startswith("Test"))
        for node in ast.parse(path.read_text()).body
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by tier, and refuse a full run that leaves a test file out."""
    for item in items:
        if tier(item) == 0:
            item.add_marker(pytest.mark.unit)
    items.sort(key=tier)
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or session.testsfailed:
        return  # a part was asked for, or a file could not be read, which pytest reports itself
    collected = {item.path for item in items}
    files = (path for name in config.getini("testpaths") for path in (config.rootpath / name).rglob("*.py"))
    if lost := sorted(
        str(path.relative_to(config.rootpath)) for path in files if path not in collected and defines_tests(path)
    ):
        raise pytest.UsageError(
            "These files define tests that pytest does not collect: " + ", ".join(lost) + ". Name them test_*.py."
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def second_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the directory (TTS_LOCAL_DIR) for a local cloud beside a developer's own; it is removed in the end.

    While the fixture lives the environment says where that cloud is, so `make` and `python -m toolchain.local` use it.
    """
    directory = tmp_path_factory.mktemp("cloud") / "local"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTS_LOCAL_DIR", str(directory))
        patch.setenv("TTS_API_PORT", str(free_port()))
        patch.setenv("TTS_S3_PORT", str(free_port()))
        patch.setenv("TTS_SUBNET", SECOND_SUBNET)
        patch.setenv("TTS_VPC_RANGE", SECOND_VPC_RANGE)
        yield directory
        if (directory / "cloud").exists():
            command = [sys.executable, "-m", "toolchain.local", "down"]
            subprocess.run(command, env=dict(os.environ), stdin=subprocess.DEVNULL, check=True)
