"""How to run a container's own tools inside it without the engine in between.

What `docker exec` prints passes through four processes of the engine: for a dump of a gigabyte that takes three times
the processor time of the dump itself. A program that enters the container's namespaces has its pipes to itself, and
the job's low priority too. It enters as the user that the container's first process is, without a capability and unable
to gain one; where that user is root, or the namespaces cannot be entered from here, `docker exec` it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tts_host.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tts_host.docker import Container


def prefix(container: Container) -> tuple[str, ...] | None:
    """The words before a command that runs it inside `container`; None when it has to be `docker exec`."""
    user, group = _owner(container.pid)
    if not user or not group or not shutil.which("nsenter"):
        return None
    enter = ("nsenter", "--target", str(container.pid), "--mount", "--net", "--ipc", "--uts", "--root", "--wd")
    path = f"PATH={container.env.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    words = ("setpriv", "--no-new-privs", *enter, "--setuid", user, "--setgid", group, "--", "env", path)
    return words if run([*words, "true"], timeout=30).code == 0 else None


def environment(container: Container) -> Mapping[str, str]:
    """What the container's environment says to PostgreSQL's tools; its other secrets are not for them."""
    return {"HOME": "/"} | {key: value for key, value in container.env.items() if key.startswith("PG")}


def _owner(pid: int) -> tuple[str, str]:
    """User and group of a process, by number; empty when it is root's or cannot be seen."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return "", ""
    owner = {line.split()[0]: line.split()[2] for line in lines if line.startswith(("Uid:", "Gid:"))}
    if pid <= 1 or owner.get("Uid:", "0") == "0":
        return "", ""
    return owner["Uid:"], owner.get("Gid:", "")
