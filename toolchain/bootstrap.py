"""Finds, installs or builds what the product runs on; each step is skipped at once when it was done before.

    python3 -m toolchain.bootstrap            everything for `make up`
    python3 -m toolchain.bootstrap --tests    and what only `make test` needs
    python3 -m toolchain.bootstrap --python   the Python environment only (with --lint: and what the checks need)

Standard library only: it makes the environment in which everything else runs.
"""

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toolchain import environment, images, machine, python_environment, tools
from toolchain.console import FailureError, Log, Screen
from toolchain.layout import TOOLS_DIRECTORY, Layout, relative

LINT_COMMANDS = ("shellcheck", "shfmt")
TEST_COMMANDS = ("postgres", "logrotate", "rclone")


@dataclass(frozen=True)
class Step:
    """One thing that must be there.

    present: what to show if it is there already, else None; doing: what is shown while it is made; make: makes it, and
    returns what to show then.
    """

    name: str
    doing: str
    present: Callable[[], str | None]
    make: Callable[[Log], str]


@dataclass
class Bootstrap:
    """Runs steps one after the other and says on the screen what it does."""

    layout: Layout
    screen: Screen = field(default_factory=Screen)

    def run(self, step: Step) -> None:
        if shown := step.present():
            self.screen.done(step.name, shown)
            return
        log = Log.start(self.layout.logs, f"bootstrap-{step.name.replace(' ', '-')}")
        started = time.monotonic()
        with self.screen.working(step.name, step.doing):
            shown = step.make(log)
        self.screen.done(step.name, shown, time.monotonic() - started)


def python_step() -> Step:
    return Step(
        "python",
        "making the environment from uv.lock",
        lambda: python_environment.describe() if python_environment.is_current() else None,
        python_environment.make,
    )


def tool_step(tool: tools.Tool) -> Step:
    def make(log: Log) -> str:
        go = tools.go_on_path() or tools.go_from_package_index(python_environment.find_uv(log), log)
        tools.build(tool, go, machine.certificates(), log)
        tools.check_version(tool)
        return f"{tool.version} built"

    return Step(
        tool.name,
        f"building {tool.version} from its Go module, about {tool.minutes} min on 2 cores",
        lambda: f"{tool.version} in {relative(tool.binary.parent)}" if tools.is_built(tool) else None,
        make,
    )


def engine_step() -> Step:
    """The engine: the installed CLI where it serves, else a built one."""
    built = tool_step(tools.PULUMI)

    def present() -> str | None:
        installed = tools.pulumi_on_path()
        return f"{installed} serves" if installed else built.present()

    return Step(built.name, built.doing, present, built.make)


def packages_step(commands: tuple[str, ...], name: str) -> Step:
    def make(log: Log) -> str:
        packages = [machine.PACKAGES[command] for command in machine.missing(commands)]
        machine.install_packages(packages, log)
        return f"{', '.join(packages)} installed"

    return Step(
        name,
        "installing the distribution's packages",
        lambda: None if machine.missing(commands) else ", ".join(commands),
        make,
    )


def docker_step() -> Step:
    def present() -> str | None:
        version = machine.docker_answers()
        return f"{version} answers" if version else None

    return Step("docker", "starting the engine", present, lambda log: f"{machine.start_docker(log)} started")


def base_image_step() -> Step:
    return Step(
        "base image",
        f"pulling {images.BASE}, or making it from Debian's packages",
        lambda: images.BASE if images.has_image(images.BASE) else None,
        images.make_base,
    )


def cloud_image_step(image: str, name: str, doing: str) -> Step:
    tag = images.cloud_tag(image)
    return Step(
        name,
        doing,
        lambda: tag if images.has_image(tag) else None,
        lambda log: images.make_cloud_image(tag, log),
    )


def application_step(layout: Layout, example: Path) -> Step:
    archive = images.application_archive(layout, example)
    return Step(
        example.name,
        "building the application's images, about 5 min",
        lambda: relative(archive) if archive.exists() else None,
        lambda log: images.make_application(layout, example, log),
    )


def steps(layout: Layout, *, only_python: bool, lint: bool, tests: bool) -> Iterator[Step]:
    """Give the steps in the order in which they need each other."""
    if not only_python:
        yield Step("disk", "", lambda: machine.free_space(layout), lambda _: "")
    yield python_step()
    if lint or tests:
        yield packages_step(LINT_COMMANDS + (TEST_COMMANDS if tests else ()), "test tools")
    if only_python:
        return
    yield engine_step()
    yield tool_step(tools.RESTIC)
    yield tool_step(tools.COMPOSE)
    if tests:
        yield tool_step(tools.FAKE_GCS)
    yield packages_step(("ssh",), "packages")
    yield docker_step()
    yield base_image_step()
    yield cloud_image_step("droplet", "host image", "building what droplets boot from, about 3 min")
    yield cloud_image_step("service", "services", "building what managed services run in, about 1 min")
    for example in images.examples():
        yield application_step(layout, example)


def finish(layout: Layout) -> None:
    """Put the engine and the commands where `make shell` finds them."""
    installed = tools.pulumi_on_path()
    if not installed:
        tools.place_engine()
        environment.write_language_host()
    environment.ensure_passphrase(layout)
    environment.write_commands(layout, installed or tools.ENGINE / "pulumi", tools.RESTIC.binary, tools.COMPOSE.binary)
    tools.drop_build_files()


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Hold the lock that keeps two runs on one directory apart; FailureError if another holds it."""
    layout.root.mkdir(parents=True, exist_ok=True)
    with (layout.root / "make.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise FailureError(
                f"Another `make` works here (process {file.read() or 'unknown'}).", "wait for it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def bootstrap(layout: Layout, *, only_python: bool = False, lint: bool = False, tests: bool = False) -> None:
    """Take every step that is not done yet; FailureError at the first that cannot be done."""
    runner = Bootstrap(layout)
    with alone(Layout(TOOLS_DIRECTORY)):
        for step in steps(layout, only_python=only_python, lint=lint, tests=tests):
            runner.run(step)
        if not only_python:
            finish(layout)


def main() -> int:
    parser = argparse.ArgumentParser(prog="toolchain.bootstrap", description="Find, install or build what is missing.")
    parser.add_argument("--tests", action="store_true", help="also what only the tests need")
    parser.add_argument("--lint", action="store_true", help="also what the checks without a run need")
    parser.add_argument("--python", action="store_true", help="the Python environment only")
    options = parser.parse_args()
    try:
        bootstrap(Layout.current(), only_python=options.python, lint=options.lint, tests=options.tests)
    except FailureError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: `make` goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
