"""Stop the application while its data is swapped, and start it again, also after a killed attempt."""

from __future__ import annotations

import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tts_host import docker, state
from tts_host.log import Failure, log, warn

if TYPE_CHECKING:
    from collections.abc import Generator

    from tts_host.config import Config

STATE = "stopped-services"
HEALTHY_WITHIN_S = 240
AT_ONCE = 8


@contextmanager
def stopped(config: Config, ahead: Ahead | None = None) -> Generator[list[str]]:
    """The project's containers are stopped inside this block, except database and broker: who uses them is stopped.
    Yields their names. `ahead` is a stop that may have begun already.
    """
    running, names = _noted(config)
    try:
        if ahead and ahead.begun:
            ahead.begun.result()
        else:
            _stop(running)
        yield names
    finally:
        _start_again(config, names)


class Ahead:
    """A stop that begins beside other work, for which the application still runs, and ends when it is waited for."""

    def __init__(self, config: Config, pool: Executor) -> None:
        self._config = config
        self._pool = pool
        self.begun: Future[None] | None = None

    def begin(self) -> None:
        running, _ = _noted(self._config)
        self.begun = self._pool.submit(_stop, running)

    def take_back(self) -> None:
        """What was begun is undone, unless somebody has started all again."""
        if self.begun:
            wait([self.begun])
            if names := state.read(self._config, STATE).get("names", []):
                _start_again(self._config, names)


@contextmanager
def ahead(config: Config) -> Generator[Ahead]:
    """Where the block fails after its stop has begun, the application starts again."""
    with ThreadPoolExecutor(1) as pool:
        stop = Ahead(config, pool)
        try:
            yield stop
        except BaseException:
            stop.take_back()
            raise


def _noted(config: Config) -> tuple[list[str], list[str]]:
    """Names of what runs and has to stop, and of all that has to start again: it is written down for a killed run."""
    keep = (config.pg_service, config.broker_service)
    running = [item.name for item in docker.containers(config.project) if item.service not in keep]
    names = sorted({*running, *state.read(config, STATE).get("names", [])})
    state.write(config, STATE, {"names": names})
    return running, names


def _stop(running: list[str]) -> None:
    if running:
        docker.docker("stop", "--time", "30", *running, timeout=300)


def _start_again(config: Config, names: list[str]) -> None:
    start(names)
    state.write(config, STATE, {"names": []})
    await_health(config, names)


def start(names: list[str]) -> None:
    """Start containers, some at a time: one `docker start` with all their names starts one after the other."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = [pool.submit(docker.docker, "start", name, timeout=300) for name in names]
    problems = [str(future.exception()) for future in begun if future.exception()]
    if problems:
        raise Failure("; ".join(problems))


def await_health(config: Config, names: list[str]) -> None:
    """Wait until all of them are healthy; name those that are not."""
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while True:
        sick = [
            item.name
            for item in docker.containers(config.project, everything=True)
            if item.name in names and not item.healthy
        ]
        if not sick:
            log("info", services="healthy", count=len(names))
            return
        if time.monotonic() > deadline:
            warn(f"services are not healthy {HEALTHY_WITHIN_S} s after the start: {', '.join(sick)}")
            return
        time.sleep(1)
