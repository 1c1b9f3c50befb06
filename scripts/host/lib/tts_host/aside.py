"""The server's part of a job has the job's priority.

`pg_dump` only asks: half of a dump is the work of a backend, which belongs to the server's control group and has the
application's share of the processors there. It is moved into the job's group, and ends with its session.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tts_host.log import Failure

if TYPE_CHECKING:
    from tts_host.holder import Holder
    from tts_host.postgres import Server

GROUP = "TTS_GROUP"  # folder of the job's control group, by lib/priority.sh; unset where there is none


def step_aside(server: Server, holder: Holder) -> None:
    """Move the backends of all our sessions that are there by now. One that cannot be moved works where it is."""
    group = os.environ.get(GROUP)
    if not group or server.mode == "managed":
        return
    try:
        sessions = holder.sessions()
    except Failure:  # who needs the holder for more than this says why it died
        return
    for pid in on_this_host(server, sessions):
        with contextlib.suppress(OSError), open(f"{group}/cgroup.procs", "a", encoding="ascii") as processes:
            processes.write(f"{pid}\n")  # one that has ended meanwhile is refused


def on_this_host(server: Server, pids: set[int]) -> set[int]:
    """The numbers that this host has for the server's processes: a container counts its own."""
    if server.container is None:
        return pids
    space = _namespace(str(server.container.pid))
    names = (path.name for path in Path("/proc").iterdir())
    return {int(name) for name in names if name.isdigit() and space and _inner(name, space) in pids}


def _inner(pid: str, space: str) -> int:
    """The number of a process inside that namespace; 0 for others."""
    try:
        status = Path("/proc", pid, "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    inner = next((int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")), 0)
    return inner if _namespace(pid) == space else 0


def _namespace(pid: str) -> str:
    """Of a process that can be seen from here; else empty."""
    try:
        return str(Path("/proc", pid, "ns/pid").readlink())
    except OSError:
        return ""
