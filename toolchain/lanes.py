"""The tests in lanes side by side: what waits for whole hosts beside what computes, and one closing line for all.

Each lane is a pytest of its own, with fixtures and output of its own. The first lane's output is shown as it comes; a
later one's is kept in its log until the lanes before it have ended, and then follows whole.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from toolchain.console import elapsed
from toolchain.layout import PYTHON, REPOSITORY, relative

# By pytest's marks: every tier in one lane, and rehearsals, which are asked for by name, in none.
LANES = {
    "unit": "unit",
    "docker": "docker and not e2e and not rehearsal",
    "end-to-end": "e2e and not rehearsal",
}
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Result:
    """What a lane's report says; `broken` names the tests that failed, in a fixture or by themselves."""

    passed: int = 0
    skipped: int = 0
    broken: tuple[str, ...] = ()


@dataclass
class Lane:
    """One running pytest, in a process group of its own: an interrupt reaches it once, and all that it has started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    report: Path
    shown: int = 0

    @classmethod
    def start(cls, name: str, arguments: Sequence[str], logs: Path, environment: Mapping[str, str]) -> "Lane":
        log, report = logs / f"test-{name}.log", logs / f"test-{name}.xml"
        report.unlink(missing_ok=True)
        command = [str(PYTHON), "-m", "pytest", *arguments, f"--junitxml={report}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                process_group=0,
            )  # fmt: skip
        return cls(name, process, log, report)

    def show(self) -> None:
        """Write what was not shown of its output yet, up to the lane's end."""
        with self.log.open("rb") as output:
            output.seek(self.shown)
            ended = False
            while True:
                if block := output.read():
                    sys.stdout.buffer.write(block)
                    sys.stdout.flush()
                    self.shown += len(block)
                elif ended:
                    return
                else:
                    ended = self.process.poll() is not None  # what it wrote last is read once more
                    time.sleep(0 if ended else LOOK_SECONDS)

    def interrupt(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def result(self) -> Result:
        """Read its report; a lane that left none, or none of its tests, has come to a bad end itself."""
        try:
            cases = list(ElementTree.parse(self.report).iter("testcase"))  # noqa: S314 pytest wrote it
        except (OSError, ElementTree.ParseError):
            cases = []
        broken = dict.fromkeys(_name(case) for case in cases if _has(case, "failure") or _has(case, "error"))
        skipped = sum(_has(case, "skipped") for case in cases)
        passed = len({_name(case) for case in cases}) - len(broken) - skipped
        if self.process.returncode and not broken:
            broken = {f"lane {self.name}: pytest exited {self.process.returncode}, see {relative(self.log)}": None}
        return Result(passed, skipped, tuple(broken))


def _has(case: ElementTree.Element, word: str) -> bool:
    return case.find(word) is not None


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def run(lanes: Mapping[str, Sequence[str]], logs: Path, environment: Mapping[str, str]) -> int:
    """Run a pytest with each lane's arguments, all at once. The exit code is 0 if all tests of all lanes passed."""
    started = time.monotonic()
    logs.mkdir(parents=True, exist_ok=True)
    width = {"COLUMNS": str(shutil.get_terminal_size().columns)}
    with _interruptible():
        running = [Lane.start(name, arguments, logs, {**environment, **width}) for name, arguments in lanes.items()]
        interrupted = _to_the_end(running)
    results = [lane.result() for lane in running]
    broken = [name for result in results for name in result.broken]
    print("", *(f"FAILED {name}" for name in broken), sep="\n")
    passed, skipped = sum(result.passed for result in results), sum(result.skipped for result in results)
    words = [f"{passed} passed", f"{len(broken)} failed", *([f"{skipped} skipped"] if skipped else [])]
    print(f"{', '.join(words)} in {elapsed(time.monotonic() - started)}", flush=True)
    return 130 if interrupted else 1 if broken else 0


def _to_the_end(running: Sequence[Lane]) -> bool:
    """Show every lane to its end. An interrupt is passed on, and the lanes are waited for while they clean up."""
    interrupted = False
    waiting = list(running)
    while waiting:
        try:
            if not waiting[0].shown:
                print(f"\n{waiting[0].name}:", flush=True)
            waiting[0].show()
            waiting.pop(0)
        except KeyboardInterrupt:
            interrupted = True
            print("\nInterrupted: the tests remove what they have started.", file=sys.stderr, flush=True)
            for lane in running:
                lane.interrupt()
    return interrupted


@contextmanager
def _interruptible() -> Iterator[None]:
    """Take a SIGTERM for a Ctrl-C, as long as lanes run: nothing that a test has started may be left behind.

    Started in the background we have SIGINT ignored, and so would the lanes: only what is caught is not inherited.
    """
    before = {sent: signal.signal(sent, signal.default_int_handler) for sent in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)
