"""Run one command on the host and print what it took, as JSON. Standard library only.

    measure.py [--watch] COMMAND      seconds; with --watch also the peak of memory and the priorities of processes

Watching costs some time of its own: what is watched is not timed, and the other way round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EVERY = 0.2  # seconds between two looks
# What the job runs inside the database's container is no descendant of it.
TOOLS = {"pg_dump", "pg_restore", "pg_dumpall", "psql"}


def processes() -> dict[int, tuple[int, str]]:
    """Parent and name of every process that can be seen and has not ended: of one that has, the kernel shows no class
    of input and output, whatever it had.
    """
    found: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            if state != "Z":
                found[int(folder.name)] = (int(parent), name)
        except (OSError, ValueError, IndexError):
            continue
    return found


def members(root: int) -> dict[int, str]:
    """The process `root`, all that descend from it, and the database's tools."""
    there = processes()
    found = {pid: name for pid, (_, name) in there.items() if pid == root or name in TOOLS}
    grown = True
    while grown:
        more = {pid: name for pid, (parent, name) in there.items() if parent in found and pid not in found}
        grown = bool(more)
        found |= more
    return found


def proportional(pid: int) -> int:
    """Bytes of memory, those shared between processes in equal parts."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def priority(pid: int) -> str | None:
    """The process's nice value and its class of input and output, as `ionice` says it."""
    shown = subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=False)
    try:
        return f"{os.getpriority(os.PRIO_PROCESS, pid)} {shown.stdout.strip()}" if shown.returncode == 0 else None
    except OSError:
        return None


def watch(root: int, process: subprocess.Popen[bytes]) -> dict[str, object]:
    """A process is judged from the second look on: stepping back is the first thing that a job does, not its state."""
    peak, seen, known = 0, dict[str, str](), set[int]()
    while process.poll() is None:
        there = members(root)
        peak = max(peak, sum(map(proportional, there)))
        seen |= {name: found for pid, name in there.items() if pid in known and (found := priority(pid))}
        known = set(there)
        time.sleep(EVERY)
    return {"peak_bytes": peak, "priorities": seen}


def main(words: list[str]) -> int:
    watched = words[0] == "--watch"
    command = words[-1]
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        process = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], stdout=output, stderr=subprocess.STDOUT)
        seen = watch(process.pid, process) if watched else {}
        code = process.wait()
        took = time.monotonic() - start
        if code:
            output.seek(0)
            sys.stderr.write(output.read().decode("utf-8", "replace")[-3000:])
            return code
    print(json.dumps({"seconds": took, **seen}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
