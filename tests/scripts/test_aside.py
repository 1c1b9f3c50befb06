"""The server's part of a dump works in the job's control group, and no other session of the server does.

A folder with a file `cgroup.procs` stands for the group: what a job writes there would move those processes.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.scripts.hosts import HOST, TOOLS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.scripts.hosts import Host, Server


@pytest.fixture
def group(tmp_path: Path) -> Path:
    folder = tmp_path / "group"
    folder.mkdir()
    (folder / "cgroup.procs").touch()
    return folder


@pytest.fixture
def in_container(host: Host, server: Server) -> Host:
    """The host of the tests, its database container being the server's first process. There is no systemd."""
    first = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    next(item for item in host.docker["containers"] if item["service"] == "postgres")["pid"] = first
    host.write_docker()
    host.fake("busctl", "exit 1")
    host.fake("nsenter", "exit 1")  # the fake docker knows where the server listens
    return host


@pytest.fixture
def local(host: Host, server: Server, tts_host: Any) -> Any:
    """The throw-away server with its databases, as the host's programs reach it."""
    path = f"PATH={server.bin}:{os.environ['PATH']}"
    env = {"PGAPPNAME": "tts-backup", "PGHOST": str(server.socket), "PGPORT": str(server.port)}
    return tts_host.postgres.Server("host", ("env", path), "postgres", env=env)


@dataclass(frozen=True)
class Process:
    """What is read of a container: its first process."""

    pid: int


@dataclass(frozen=True)
class Inside:
    """A server in a container."""

    container: Process


def moved(group: Path) -> set[int]:
    return {int(line) for line in (group / "cgroup.procs").read_text().splitlines()}


def test_each_snapshot_and_each_dump_of_a_backup_steps_aside(in_container: Host, server: Server, group: Path) -> None:
    for name in ("auth_db", "ticket_db"):
        server.sql("insert into person select n, repeat('x', 5000) from generate_series(1000, 2000) n", name)
    done = in_container.run("backup", "databases", "--no-offsite", TTS_GROUP=str(group))
    assert done.returncode == 0, done.stderr
    assert len(moved(group)) >= 4, "a session that holds the snapshot and one that dumps, for each of two databases"


def test_a_backup_without_a_group_of_its_own_is_made_all_the_same(in_container: Host, tmp_path: Path) -> None:
    done = in_container.run("backup", "databases", "--no-offsite", TTS_GROUP=str(tmp_path / "gone"))
    assert done.returncode == 0, done.stderr


def test_only_our_sessions_step_aside(local: Any, server: Server, tts_host: Any, group: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TTS_GROUP", str(group))
    holder = tts_host.holder.Holder(local, "auth_db", 1)
    with closing(holder), named(server, "shop"), named(server, "tts-backup"):
        tts_host.aside.step_aside(replace(local, mode="managed"), holder)
        assert moved(group) == set(), "a managed server's processes are on no host of ours"
        tts_host.aside.step_aside(local, holder)
        assert moved(group) == sessions(server, "tts-backup")
        assert len(moved(group)) == 2
        assert not moved(group) & sessions(server, "shop")


def test_a_holder_that_has_died_does_not_end_a_dump(local: Any, tts_host: Any, group: Path, monkeypatch: Any) -> None:
    """The dump has its own copy of the snapshot by then."""
    monkeypatch.setenv("TTS_GROUP", str(group))
    holder = tts_host.holder.Holder(local, "auth_db", 1)
    holder.close()

    def gone(_sql: str) -> list[str]:
        raise tts_host.log.Failure("snapshot session ended")

    monkeypatch.setattr(holder, "ask", gone)
    tts_host.aside.step_aside(local, holder)
    assert moved(group) == set()


@pytest.mark.parametrize("there", [True, False])
def test_the_group_is_told_where_it_could_be_made_idle(tmp_path: Path, there: bool) -> None:
    """A kernel before 5.15 has no file `cpu.idle`: the server's part stays where it is then."""
    if there:
        (tmp_path / "cpu.idle").write_text("0")
    script = f'set -Eeuo pipefail; source {HOST}/lib/priority.sh; sed() {{ echo "{tmp_path}"; }}; be_idle; env'
    shown = subprocess.run(["bash", "-c", script], env={"PATH": TOOLS}, capture_output=True, text=True, check=True)
    assert (f"TTS_GROUP={tmp_path}" in shown.stdout.splitlines()) == there
    assert not there or (tmp_path / "cpu.idle").read_text() == "1\n"


def test_a_snapshots_session_has_no_worker_beside_it(local: Any, tts_host: Any) -> None:
    """A parallel worker is the server's own child, and would not step aside."""
    with closing(tts_host.holder.Holder(local, "auth_db", 1)) as holder:
        assert holder.ask("show max_parallel_workers_per_gather;") == ["0"]


def test_a_container_counts_its_own_processes(tts_host: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tts_host.aside, "_namespace", lambda pid: "pid:[1]" if pid == str(os.getpid()) else "pid:[2]")
    both = {os.getpid(), os.getppid()}
    assert tts_host.aside.on_this_host(Inside(Process(os.getpid())), both) == {os.getpid()}


def test_a_container_that_cannot_be_seen_from_here_is_left_alone(tts_host: Any) -> None:
    assert tts_host.aside.on_this_host(Inside(Process(0)), {os.getpid()}) == set()


def sessions(server: Server, application: str) -> set[int]:
    found = server.sql(f"select pid from pg_stat_activity where application_name = '{application}'")
    return {int(line) for line in found.split()}


def named(server: Server, application: str) -> AbstractContextManager[Any]:
    """A session of that name."""
    return server.session(f"set application_name = '{application}';")
