"""How busy a host is: what is read in a cgroup and on a machine, what is kept, and what a week of it says."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "host"
GB = 1 << 30


@pytest.fixture
def host(monkeypatch):
    """The modules of the host, imported as the host does."""
    monkeypatch.syspath_prepend(str(SCRIPTS / "lib"))
    yield SimpleNamespace(**{name: importlib.import_module(f"tts_host.{name}") for name in ("gauge", "sample")})
    for name in [name for name in sys.modules if name.split(".")[0] == "tts_host"]:
        del sys.modules[name]


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def second(tmp_path):
    """A droplet in a container with cgroup v2: one and a half processors, 2 GB."""
    return write(
        tmp_path / "v2",
        cpu_DOT_max="150000 100000\n",
        cpu_DOT_stat="usage_usec 12500000\nuser_usec 1\n",
        memory_DOT_max=f"{2 * GB}\n",
        memory_DOT_current=f"{GB}\n",
        memory_DOT_stat=f"anon 1\ninactive_file {GB // 2}\n",
    )


@pytest.fixture
def first(tmp_path):
    """The same with cgroup v1."""
    root = write(tmp_path / "v1", memory__memory_DOT_stat=f"inactive_file 1\ntotal_inactive_file {GB // 2}\n")
    (root / "memory/memory.limit_in_bytes").write_text(f"{2 * GB}\n")
    (root / "memory/memory.usage_in_bytes").write_text(f"{GB}\n")
    for name in ("cpu", "cpuacct"):
        (root / name).mkdir()
    (root / "cpu/cpu.cfs_quota_us").write_text("150000\n")
    (root / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (root / "cpuacct/cpuacct.usage").write_text("12500000000\n")
    return root


def below(root, *parts):
    """Move what stands in `root` a group down, as a container sees it that shares the machine's view of all groups."""
    for part in parts or (".",):
        folder = root / part
        own = folder / "docker/5438add"
        content = list(folder.iterdir())
        own.mkdir(parents=True)
        for path in content:
            path.rename(own / path.name)


@pytest.fixture
def machine(tmp_path):
    """/proc of a machine: 25 % of its memory is in use; 40 s of busy time at 100 ticks a second."""
    ticks = os.sysconf("SC_CLK_TCK")
    stat = " ".join(str(seconds * ticks) for seconds in (20, 5, 10, 500, 70, 2, 2, 1, 9, 9))
    return write(
        tmp_path / "proc",
        **{"1__cgroup": "0::/init.scope\n"},
        stat=f"cpu  {stat}\ncpu0 1\n",
        meminfo="MemTotal: 8000 kB\nMemFree: 1 kB\nMemAvailable: 6000 kB\n",
    )


@pytest.mark.parametrize("version", ["first", "second"])
def test_in_a_container_the_cgroup_counts(host, request, version, machine):
    cgroup = request.getfixturevalue(version)
    assert host.gauge.processors(cgroup, machine) == 1.5
    assert host.gauge.busy_seconds(cgroup, machine) == 12.5
    assert host.gauge.memory_used_percent(cgroup, machine) == 25


@pytest.mark.parametrize(
    ("version", "groups", "parts"),
    [
        (
            "first",
            "4:memory:/docker/5438add/init.scope\n2:cpuacct:/docker/5438add\n1:cpu:/docker/5438add/init.scope\n",
            ("cpu", "cpuacct", "memory"),
        ),
        ("second", "0::/docker/5438add/init.scope\n", ()),
    ],
)
def test_of_all_groups_that_a_container_sees_its_own_counts(host, request, version, groups, parts, machine):
    cgroup = request.getfixturevalue(version)
    below(cgroup, *parts)
    write(machine, **{"1__cgroup": groups})
    assert host.gauge.processors(cgroup, machine) == 1.5
    assert host.gauge.busy_seconds(cgroup, machine) == 12.5
    assert host.gauge.memory_used_percent(cgroup, machine) == 25


def test_on_a_machine_all_of_it_counts(host, tmp_path, machine):
    """A cgroup without limits is no cgroup: v2 has no files at its root, v1 says a number near 2^63 or -1."""
    unlimited = write(tmp_path / "v1", cpu__cpu_DOT_stat="nr_periods 0\n")
    (unlimited / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (unlimited / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (unlimited / "memory").mkdir()
    (unlimited / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    for cgroup in (tmp_path / "none", unlimited):
        assert host.gauge.processors(cgroup, machine) == os.cpu_count()
        assert host.gauge.busy_seconds(cgroup, machine) == 40
        assert host.gauge.memory_used_percent(cgroup, machine) == 25


def samples(host, *rows):
    return [host.sample.Sample(*row) for row in rows]


def test_the_processors_are_counted_between_samples_and_not_across_a_boot_or_a_gap(host):
    rows = samples(
        host,
        (0, 1000.0, 2.0, 50, 60),
        (300, 1300.0, 2.0, 50, 60),  # 300 s of 600
        (600, 10.0, 2.0, 50, 60),  # booted
        (900, 610.0, 2.0, 50, 60),  # 600 s of 600
        (90_000, 700.0, 2.0, 50, 60),  # was off for a day
        (90_300, 715.0, 4.0, 50, 60),  # 15 s of 1200
    )
    assert host.sample.processor_percents(rows) == [50, 100, 1.25]


def test_a_week_says_what_was_exceeded_for_eight_hours(host):
    rows = [host.sample.Sample(300 * n, 0.0, 2.0, 90 if n % 21 == 0 else 40, 55) for n in range(2016)]
    assert host.sample.week(rows)["memory_percent"] == 40, "in 5 % of a week it was more, and no longer"
    rows = [host.sample.Sample(300 * n, 0.0, 2.0, 90 if n % 18 == 0 else 40, 55) for n in range(2016)]
    assert host.sample.week(rows) == {"hours": 168, "cpu_percent": 0, "memory_percent": 90, "disk_free_percent": 55}


def test_without_a_sample_nothing_is_said(host):
    empty = {"hours": 0, "cpu_percent": None, "memory_percent": None, "disk_free_percent": None}
    assert host.sample.week([]) == empty


def test_the_oldest_samples_fall_off_and_a_damaged_line_is_left_out(host, tmp_path):
    config = SimpleNamespace(state_dir=tmp_path)
    (tmp_path / "state").mkdir()
    lines = [f"{300 * n},1.0,2.0,40,60" for n in range(3000)]
    (tmp_path / "state/samples.csv").write_text("\n".join([*lines, "half a li"]))
    host.sample.take(config)
    kept = host.sample.read(config)
    assert len(kept) == host.sample.KEPT == 2016
    assert kept[-2].at == 300 * 2999
    assert kept[-1].at > 1_700_000_000
    assert (tmp_path / "state/samples.csv").stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "state/samples.csv").read_text()) < 100_000


def test_the_command_writes_a_sample_with_no_environment_but_its_file(tmp_path):
    env_file = tmp_path / "backup.env"
    env_file.write_text(
        f"TTS_HOST=web-1\nTTS_STACK=prod\nTTS_COMPOSE_PROJECT=shop\nTTS_PG_MODE=container\n"
        f"TTS_LOCAL_REPOSITORY={tmp_path}/r\nTTS_PASSWORD_FILE={tmp_path}/p\nTTS_STATE_DIR={tmp_path}/state\n"
    )
    (tmp_path / "state").mkdir()
    command = ["env", "-i", f"TTS_ENV_FILE={env_file}", f"PATH={os.environ['PATH']}", "bash", str(SCRIPTS / "sample")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "state/state/samples.csv").read_text().splitlines()) == 1
