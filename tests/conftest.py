"""What all tests share: their tiers, the guard against tests that nobody runs, a local cloud that is nobody's own."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIERS = ("unit", "docker", "e2e", "rehearsal")  # the order in which they run: what fails fast fails first


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


_DEFAULTS = (IPv4Network("198.18.0.0/24"), IPv4Network("10.20.0.0/20"))  # a developer's own cloud may come up any time


def free_range(among: str, prefix: int = 24) -> IPv4Network:
    """Give a part of a range that nothing on this machine uses, and that is ours as long as this process lives.

    Other runs of the tests choose at the same time: who can bind the abstract socket with the range's name has it.
    """
    from localcloud.engine import used_by_machine  # noqa: PLC0415 the conftest alone needs nothing but pytest

    every = list(IPv4Network(among).subnets(new_prefix=prefix))
    start = os.getpid() % len(every)
    for one in [*every[start:], *every[:start]]:
        if used_by_machine(one) or any(one.overlaps(other) for other in _DEFAULTS):
            continue
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tts-test-range-{one}")
        except OSError:
            claim.close()
            continue
        claim.detach()  # from here on the kernel closes it, with the process
        return one
    raise RuntimeError(f"every /{prefix} of {among} is in use on this machine")


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
        patch.setenv("TTS_SUBNET", str(free_range("198.18.0.0/15")))  # RFC 2544's range for tests of networks
        # One for each stack: the first is named, and the others follow it.
        patch.setenv("TTS_VPC_RANGE", f"{free_range('10.64.0.0/11', 18).network_address}/20")
        yield directory
        if (directory / "cloud").exists():
            command = [sys.executable, "-m", "toolchain.local", "down"]
            subprocess.run(command, env=dict(os.environ), stdin=subprocess.DEVNULL, check=True)
