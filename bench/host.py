"""The host that is measured, as its operator reaches it: every command goes through `tts ssh`."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
ON_HOST = Path(__file__).parent / "onhost"
PLACE = "/var/lib/tts-bench"
PYTHON = "env PYTHONDONTWRITEBYTECODE=1 python3"


@dataclass(frozen=True)
class Host:
    """One host of a stack on a local cloud."""

    name: str
    stack: str
    environment: dict[str, str]

    def run(self, command: str, stdin: bytes = b"") -> str:
        """Run a line of Bash as root; returns what it printed. A status other than 0 ends the benchmark."""
        words = ["tts", "ssh", self.name, "--stack", self.stack, "--", "bash", "-o", "pipefail", "-c", command]
        done = subprocess.run(
            words, env=self.environment, cwd=REPOSITORY, input=stdin, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(
                f"on {self.name}: {command}\n{done.stdout[-2000:].decode()}\n{done.stderr[-3000:].decode()}"
            )
        return done.stdout.decode()

    def install(self) -> None:
        """Put the benchmark's own programs on the host."""
        packed = subprocess.run(["tar", "-C", str(ON_HOST), "-c", "."], capture_output=True, check=True).stdout
        self.run(f"rm -rf {PLACE} && mkdir -p -m 700 {PLACE} && tar -C {PLACE} -x", packed)

    def remove(self) -> None:
        self.run(f"rm -rf {PLACE}")

    def content(self, *words: str) -> str:
        """One action of onhost/content.py."""
        return self.run(f"{PYTHON} {PLACE}/content.py {shlex.join(words)}")

    def seconds(self, command: str) -> float:
        """How long a line of Bash takes, by the host's own clock."""
        return float(self._measured("", command)["seconds"])

    def watched(self, command: str) -> dict[str, Any]:
        """Peak of the memory and the priorities of a command's processes."""
        return self._measured("--watch ", command)

    def loaded(self, rate: float, quiet: float, rounds: int, command: str) -> dict[str, Any]:
        """Seconds of the application's answers, `quiet` and `busy` with a command: see onhost/load.py."""
        words = f"{rate} {quiet} {rounds} {shlex.quote(command)}"
        return json.loads(self.run(f"{PYTHON} {PLACE}/load.py {words}").splitlines()[-1])

    def _measured(self, option: str, command: str) -> dict[str, Any]:
        shown = self.run(f"{PYTHON} {PLACE}/measure.py {option}{shlex.quote(command)}")
        return json.loads(shown.splitlines()[-1])
