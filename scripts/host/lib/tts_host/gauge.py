"""How busy this host is. In a container that plays a host its cgroup counts, not the machine below."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")
_UNLIMITED = 1 << 60  # bytes; cgroup v1 says "no limit" with a number near 2^63


def processors(cgroup: Path = CGROUP, proc: Path = PROC) -> float:
    """Processors that this host may use."""
    found = _text(_second(cgroup, proc) / "cpu.max").split()
    if not found:
        folder = _first(cgroup, proc, "cpu")
        found = [_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    if len(found) == 2 and found[0].isdigit() and found[1].isdigit():
        return int(found[0]) / int(found[1])
    return float(os.cpu_count() or 1)


def busy_seconds(cgroup: Path = CGROUP, proc: Path = PROC) -> float:
    """Processor time used since boot, in seconds: a counter, of which only differences mean something."""
    second = _second(cgroup, proc)
    if _text(second / "cpu.max"):
        facts = dict(line.split() for line in _text(second / "cpu.stat").splitlines())
        return int(facts["usage_usec"]) / 1e6
    if _text(_first(cgroup, proc, "cpu") / "cpu.cfs_quota_us").isdigit():
        return int(_text(_first(cgroup, proc, "cpuacct") / "cpuacct.usage")) / 1e9
    # user nice system idle iowait irq softirq steal; guest time is in user already.
    ticks = [int(word) for word in _text(proc / "stat").splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def memory_used_percent(cgroup: Path = CGROUP, proc: Path = PROC) -> int:
    """Memory that is not free and that the kernel could not free at once, in percent of what this host may use."""
    for folder, limit, usage, cache in (
        (_second(cgroup, proc), "memory.max", "memory.current", "inactive_file"),
        (_first(cgroup, proc, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        allowed = _text(folder / limit)
        if allowed.isdigit() and int(allowed) < _UNLIMITED:
            facts = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
            return round(100 * max(0, int(_text(folder / usage)) - int(facts[cache])) / int(allowed))
    facts = {line.split(":")[0]: line.split()[1] for line in _text(proc / "meminfo").splitlines()}
    return round(100 * (1 - int(facts["MemAvailable"]) / int(facts["MemTotal"])))


def disk_free_percent(path: Path) -> int:
    """Free space for root's own files, in percent of the file system that holds `path`."""
    disk = os.statvfs(path)
    return 100 * disk.f_bavail // max(1, disk.f_blocks)


def _second(cgroup: Path, proc: Path) -> Path:
    """This host's group of cgroup v2."""
    return _own(cgroup, proc, "")


def _first(cgroup: Path, proc: Path, controller: str) -> Path:
    """This host's group of a controller of cgroup v1."""
    return _own(cgroup / controller, proc, controller)


def _own(root: Path, proc: Path, controller: str) -> Path:
    """The group around the host's first process; where a container sees no other groups, that is the root itself."""
    for line in _text(proc / "1/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            own = root / path.removesuffix("/init.scope").lstrip("/")
            return own if own.is_dir() else root
    return root


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
