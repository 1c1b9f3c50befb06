"""How busy this host is. In a container that plays a host its cgroup counts, not the machine below."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")
_UNLIMITED = 1 << 60  # bytes; cgroup v1 says "no limit" with a number near 2^63


def processors(cgroup: Path = CGROUP) -> float:
    """Processors that this host may use."""
    found = _text(cgroup / "cpu.max").split()
    if not found:
        found = [_text(_v1(cgroup, "cpu") / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    if len(found) == 2 and found[0].isdigit() and found[1].isdigit():
        return int(found[0]) / int(found[1])
    return float(os.cpu_count() or 1)


def busy_seconds(cgroup: Path = CGROUP, proc: Path = PROC) -> float:
    """Processor time used since boot, in seconds: a counter, of which only differences mean something."""
    if (cgroup / "cpu.max").exists():
        facts = dict(line.split() for line in _text(cgroup / "cpu.stat").splitlines())
        return int(facts["usage_usec"]) / 1e6
    if _text(_v1(cgroup, "cpu") / "cpu.cfs_quota_us").isdigit():
        return int(_text(_v1(cgroup, "cpuacct") / "cpuacct.usage")) / 1e9
    # user nice system idle iowait irq softirq steal; guest time is in user already.
    ticks = [int(word) for word in _text(proc / "stat").splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def memory_used_percent(cgroup: Path = CGROUP, proc: Path = PROC) -> int:
    """Memory that is not free and that the kernel could not free at once, in percent of what this host may use."""
    for folder, limit, usage, cache in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        allowed = _text(folder / limit)
        if allowed.isdigit() and int(allowed) < _UNLIMITED:
            facts = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
            return round(100 * max(0, int(_text(folder / usage)) - int(facts[cache])) / int(allowed))
    with open(proc / "meminfo", encoding="ascii") as stream:
        facts = {line.split(":")[0]: line.split()[1] for line in stream}
    return round(100 * (1 - int(facts["MemAvailable"]) / int(facts["MemTotal"])))


def disk_free_percent(path: Path) -> int:
    """Free space for root's own files, in percent of the file system that holds `path`."""
    disk = os.statvfs(path)
    return 100 * disk.f_bavail // max(1, disk.f_blocks)


def _v1(cgroup: Path, controller: str) -> Path:
    joined = cgroup / "cpu,cpuacct"
    return joined if joined.is_dir() else cgroup / controller


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
