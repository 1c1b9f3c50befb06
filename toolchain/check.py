"""`make test`, `lint` and `fmt`: the checks that need no run, then every test, the fast ones first.

python -m toolchain.check [--lint-only | --format] [-- PYTEST ARGUMENTS]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolchain import lanes
from toolchain.console import Screen, capture
from toolchain.layout import PYTHON, REPOSITORY, TOOLS_DIRECTORY, Layout

SHEBANGS = (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash", b"#!/usr/bin/env sh")
SHFMT = ["shfmt", "-i", "2", "-ci"]


def in_environment(name: str) -> str:
    return str(PYTHON.with_name(name))


def tracked_files() -> list[Path]:
    """Give the files of the work tree that git does not ignore, committed or not."""
    listed = capture(["git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]) or ""
    return [path for name in listed.split("\0") if name and (path := REPOSITORY / name).is_file()]


def is_shell(path: Path) -> bool:
    """Say whether a file is a shell script, by its first line or its suffix."""
    with path.open("rb") as file:
        return path.suffix in (".sh", ".bash") or file.readline().strip().startswith(SHEBANGS)


def shell_files() -> list[str]:
    return [str(path.relative_to(REPOSITORY)) for path in tracked_files() if is_shell(path)]


@dataclass(frozen=True)
class Check:
    """A program that says with its exit code whether the sources are in order."""

    name: str
    about: str
    command: Sequence[str]


def checks() -> list[Check]:
    scripts = shell_files()
    of_shell = [
        Check(
            "shellcheck",
            f"{len(scripts)} shell scripts",
            ["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", "--source-path=scripts/host", *scripts],
        ),
        Check("shfmt", "shell layout", [*SHFMT, "--diff", *scripts]),
    ]
    return [
        Check("ruff", "Python rules", [in_environment("ruff"), "check", "--quiet", "."]),
        Check("ruff format", "Python layout", [in_environment("ruff"), "format", "--check", "--quiet", "."]),
        Check("pyright", "Python types", [in_environment("pyright")]),
        *(of_shell if scripts else []),
    ]


def environment() -> dict[str, str]:
    """Give the environment of checks and tests: pyright runs on the Node of its own package and asks no registry."""
    pyright = {"PYRIGHT_PYTHON_GLOBAL_NODE": "0", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    path = os.pathsep.join([str(PYTHON.parent), os.environ.get("PATH", os.defpath)])
    return os.environ | pyright | {"PATH": path}


@dataclass
class Checker:
    """Runs all checks, so that one run shows all that is wrong."""

    screen: Screen = field(default_factory=Screen)
    failed: list[str] = field(default_factory=list)

    def run(self, check: Check) -> None:
        started = time.monotonic()
        with self.screen.working(check.name, check.about):
            done = subprocess.run(
                check.command, cwd=REPOSITORY, env=environment(), stdin=subprocess.DEVNULL, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
        if done.returncode == 0:
            self.screen.done(check.name, check.about, time.monotonic() - started)
            return
        self.failed.append(check.name)
        print(f"\n{check.name}:\n{done.stdout}{done.stderr}", flush=True)


def lint() -> int:
    checker = Checker()
    for check in checks():
        checker.run(check)
    if checker.failed:
        print(f"Not in order: {', '.join(checker.failed)}. `make fmt` mends the layout.", file=sys.stderr)
    return 1 if checker.failed else 0


def reformat() -> int:
    ruff, scripts = in_environment("ruff"), shell_files()
    commands = [[ruff, "check", "--fix-only", "--quiet", "."], [ruff, "format", "--quiet", "."]]
    if scripts:
        commands.append([*SHFMT, "--write", *scripts])
    return max(subprocess.run(command, cwd=REPOSITORY, check=False).returncode for command in commands)


def test(arguments: Sequence[str]) -> int:
    """Run pytest, in one lane if a part is asked for; a closing line with the counts is the last that is printed."""
    if not arguments:
        wanted = {name: ["-m", marks] for name, marks in lanes.LANES.items()}
        logs = Layout(TOOLS_DIRECTORY).logs
        code = lanes.run(wanted, logs, environment())
        reports = [logs / f"test-{name}.xml" for name in wanted]
        subprocess.run([str(PYTHON), "docs/faults.py", logs / "faults.md", *reports], cwd=REPOSITORY, check=False)
        return code
    command = [str(PYTHON), "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment(), stdin=subprocess.DEVNULL, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="toolchain.check", description="Checks and tests.")
    parser.add_argument("--lint-only", action="store_true", help="the checks that need no run")
    parser.add_argument("--format", action="store_true", help="format the sources")
    parser.add_argument("arguments", nargs="*", help="arguments of pytest, after --")
    chosen = parser.parse_args()
    if chosen.format:
        return reformat()
    if chosen.lint_only:
        return lint()
    return lint() or test(chosen.arguments)


if __name__ == "__main__":
    sys.exit(main())
