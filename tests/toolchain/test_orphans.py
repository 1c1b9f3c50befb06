"""What the engine starts ends with it, also when the engine is killed and can tell nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolchain.layout import REPOSITORY

# Starts a program as the engine does, says its number once it serves, and lives until it is killed.
ENGINE = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(300)
"""
SERVED = {
    "a stand-in": ["localcloud.plugins", "digitalocean", "127.0.0.1:1"],
    "the language host": ["toolchain.language_host", "127.0.0.1:1"],
}


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("what", SERVED)
def test_what_the_engine_started_ends_when_the_engine_is_killed(what: str) -> None:
    command = [sys.executable, "-c", ENGINE, sys.executable, "-m", *SERVED[what]]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout
        served = int(engine.stdout.readline())
        assert is_there(served)
        engine.kill()
    end = time.monotonic() + 30
    while is_there(served):
        if time.monotonic() > end:
            os.kill(served, 9)
            pytest.fail(f"{what} outlives its engine")
        time.sleep(0.1)
