"""Steps: done once, skipped after that, explained when they fail."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from toolchain import console, images
from toolchain.bootstrap import Bootstrap, Step, alone
from toolchain.console import FailureError, Log, Screen, elapsed
from toolchain.layout import REPOSITORY, Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_step_that_was_done_before_is_not_done_again(tmp_path: Path) -> None:
    made: list[Log] = []
    stream = io.StringIO()

    def make(log: Log) -> str:
        made.append(log)
        return "made"

    step = Step("thing", "making it", lambda: "there" if made else None, make)
    runner = Bootstrap(Layout(tmp_path), Screen(stream))
    runner.run(step)
    runner.run(step)
    assert len(made) == 1
    lines = stream.getvalue().splitlines()
    assert lines[0].split()[:3] == ["+", "thing", "made"]
    assert lines[1].split() == ["+", "thing", "there"]


def test_a_long_step_says_now_and_then_that_it_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    monkeypatch.setattr(console, "SHORT_SECONDS", 0)
    monkeypatch.setattr(console, "QUIET_SECONDS", 0.001)
    with screen.working("engine", "building"):
        screen.note = "half way"
        wait_for(lambda: "building: half way" in stream.getvalue())
    assert stream.getvalue().splitlines()[0].split()[:3] == [".", "engine", "building"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_step_that_fails_shows_the_end_of_its_log_and_where_it_is(tmp_path: Path) -> None:
    def make(log: Log) -> str:
        log.run(["sh", "-c", "echo the reason; exit 3"], problem="It could not be made.", fix="try another")
        return ""

    runner = Bootstrap(Layout(tmp_path), Screen(io.StringIO()))
    with pytest.raises(FailureError) as caught:
        runner.run(Step("thing", "making it", lambda: None, make))
    first, *rest = str(caught.value).splitlines()
    assert first == "It could not be made."
    assert "  | the reason" in rest
    assert f"  log: {tmp_path}/logs/bootstrap-thing.log" in rest
    assert rest[-1] == "  fix: try another"


def test_two_runs_on_one_directory_are_kept_apart(tmp_path: Path) -> None:
    with (
        alone(Layout(tmp_path)),
        pytest.raises(FailureError, match="Another `make` works here"),
        alone(Layout(tmp_path)),
    ):
        pytest.fail("both have the lock")
    with alone(Layout(tmp_path)):
        pass


def test_an_old_python_gets_one_sentence() -> None:
    source = (REPOSITORY / "toolchain" / "__init__.py").read_text()
    code = f"import sys; sys.version_info = (3, 9, 2, 'final', 0)\n{source}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is needed, this is 3.9.")
    assert "Traceback" not in done.stderr


def test_what_runs_before_the_environment_exists_needs_the_standard_library_only() -> None:
    code = "import sys; sys.path.insert(0, '.'); import toolchain.bootstrap; print('ok')"
    command = [sys.executable, "-I", "-S", "-c", code]  # -S: no site-packages
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout == "ok\n"


def test_durations_are_written_for_people() -> None:
    assert [elapsed(0.04), elapsed(59.9), elapsed(60), elapsed(187)] == ["0.0 s", "59.9 s", "1 min 00 s", "3 min 07 s"]


def test_archives_of_older_sources_are_dropped_and_no_others(tmp_path: Path) -> None:
    names = ("tickets-1.tar", "tickets-2.tar", "other-1.tar")
    for name in names:
        (tmp_path / name).write_text("")
    images.drop_others(tmp_path / "tickets-2.tar", "tickets-*.tar")
    assert {path.name for path in tmp_path.iterdir()} == {"tickets-2.tar", "other-1.tar"}


def test_the_key_of_an_image_follows_names_contents_and_modes_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    script = folder / "entrypoint"
    script.write_text("a")
    first = images.hash_tree(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("noise")
    script.touch()
    assert images.hash_tree(folder) == first
    script.chmod(0o755)
    second = images.hash_tree(folder)
    script.write_text("b")
    assert len({first, second, images.hash_tree(folder)}) == 3
