"""The lanes of `make test`: every test in exactly one, both outputs whole, one closing line, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import TIERS
from toolchain import lanes
from toolchain.layout import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


def run(tmp_path: Path, **files: str) -> tuple[int, Path]:
    """Run lanes, one for each file of tests; gives the exit code and the folder of the logs."""
    wanted: dict[str, list[str]] = {}
    for name, text in files.items():
        path = tmp_path / f"test_{name}.py"
        path.write_text(text)
        wanted[name] = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(path)]
    return lanes.run(wanted, tmp_path / "logs", os.environ), tmp_path / "logs"


def test_every_tier_runs_in_one_lane_and_rehearsals_in_none() -> None:
    for tier in TIERS:
        expressions = [
            marks for marks in lanes.LANES.values() if eval(marks, dict.fromkeys(TIERS, False) | {tier: True})
        ]
        assert len(expressions) == (tier != "rehearsal"), tier


def test_lanes_run_at_the_same_time_and_are_shown_one_after_the_other(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    meet = (
        "import pathlib, time\n\ndef test_meets() -> None:\n    pathlib.Path('{mine}').touch()\n"
        "    end = time.monotonic() + 60\n    while not pathlib.Path('{other}').exists():\n"
        "        assert time.monotonic() < end\n        time.sleep(0.01)\n"
    )
    one, two = tmp_path / "one", tmp_path / "two"
    code, _ = run(tmp_path, first=meet.format(mine=one, other=two), second=meet.format(mine=two, other=one))
    shown = capfdbinary.readouterr().out.decode()
    assert code == 0
    assert shown.index("first:") < shown.index("1 passed in") < shown.index("second:") < shown.rindex("1 passed in")
    assert shown.splitlines()[-1].startswith("2 passed, 0 failed in ")


def test_what_fails_in_any_lane_is_named_at_the_end(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    first = (
        "import pytest\n\n@pytest.fixture\ndef torn():\n    yield\n    raise OSError\n\n"
        "def test_well() -> None: ...\ndef test_bad() -> None: assert 0\ndef test_torn(torn) -> None: ...\n"
        "@pytest.mark.skip(reason='why')\ndef test_not() -> None: ...\n"
    )
    code, logs = run(tmp_path, first=first, second="def test_well() -> None: ...\n")
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert code == 1
    assert lines[-3:-1] == ["FAILED test_first::test_bad", "FAILED test_first::test_torn"]
    assert lines[-1].startswith("2 passed, 2 failed, 1 skipped in ")
    assert "1 passed" in (logs / "test-second.log").read_text()


@pytest.mark.parametrize("text", ["import os\n\ndef test_dies() -> None: os._exit(0 or 7)\n", "no python\n", ""])
def test_a_lane_that_breaks_off_or_finds_no_tests_is_a_failure(
    text: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    code, _ = run(tmp_path, broken=text, well="def test_well() -> None: ...\n")
    assert code == 1
    assert capfdbinary.readouterr().out.decode().splitlines()[-1].startswith("1 passed, 1 failed in ")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_lets_every_lane_remove_what_it_has_started(sent: signal.Signals, tmp_path: Path) -> None:
    text = (
        "import pathlib, time, pytest\n\nhome = pathlib.Path(__file__).parent\n\n"
        "@pytest.fixture\ndef host():\n    (home / '{name}.up').touch()\n    yield\n    time.sleep(0.5)\n"
        "    (home / '{name}.removed').touch()\n\n\ndef test_waits(host) -> None: time.sleep(60)\n"
    )
    # As a shell starts what runs in its background: with SIGINT ignored.
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    program += "import sys, pathlib; from tests.toolchain.test_lanes import run\n"
    program += (
        f"sys.exit(run(pathlib.Path({str(tmp_path)!r}), a={text.format(name='a')!r}, b={text.format(name='b')!r})[0])"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("*.up"))) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(sent)
        assert process.wait(60) == 130
    assert {path.name for path in tmp_path.glob("*.removed")} == {"a.removed", "b.removed"}
