"""A container's tools are entered as its own user without rights, or not at all."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.scripts.conftest import HOST, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOBODY = 65534


@dataclass(frozen=True)
class Container:
    """What `inside` reads of a container: here a process of this machine stands for it."""

    pid: int
    env: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HOST / "lib"))
    return importlib.import_module("tts_host.inside")


@contextmanager
def process_of(user: int) -> Iterator[int]:
    """The first process of a container."""
    if os.getuid() != 0 or not shutil.which("nsenter"):
        pytest.skip("only root with nsenter can enter namespaces")
    started = subprocess.Popen(["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "sleep", "60"])
    try:
        wait_for(lambda: Path(f"/proc/{started.pid}/comm").read_text() == "sleep\n")
        yield started.pid
    finally:
        started.kill()
        started.wait()


def test_a_tool_runs_as_the_containers_user_and_can_gain_nothing(inside: Any) -> None:
    with process_of(NOBODY) as pid:
        words = inside.prefix(Container(pid, {"PATH": "/usr/bin:/bin"}))
        assert words, "this machine lets root enter the namespaces of a process, but no prefix was given"
        shown = subprocess.run([*words, "cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    status = dict(line.split(":\t", 1) for line in shown.splitlines())
    assert set(status["Uid"].split()) == {str(NOBODY)}
    assert set(status["Gid"].split()) == {str(NOBODY)}
    assert status["NoNewPrivs"].strip() == "1"
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


def test_a_container_whose_user_is_root_is_not_entered(inside: Any) -> None:
    with process_of(0) as pid:
        assert inside.prefix(Container(pid)) is None


def test_a_container_that_cannot_be_seen_from_here_is_not_entered(inside: Any) -> None:
    assert inside.prefix(Container(0)) is None
    with process_of(NOBODY) as pid:
        pass
    assert inside.prefix(Container(pid)) is None


def test_only_what_concerns_postgresql_is_taken_from_the_containers_environment(inside: Any) -> None:
    env = inside.environment(
        Container(1, {"PGUSER": "app", "SECRET_KEY": "not-a-secret", "POSTGRES_PASSWORD": "nor-this"})
    )
    assert env == {"HOME": "/", "PGUSER": "app"}
