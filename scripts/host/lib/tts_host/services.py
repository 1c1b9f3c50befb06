"""Stop the application while its data is swapped, and start it again, also after a killed attempt."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
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
def stopped(config: Config) -> Generator[list[str]]:
    """The project's containers are stopped inside this block, except database and broker: who uses them is stopped.
    Yields their names.
    """
    keep = (config.pg_service, config.broker_service)
    running = [item for item in docker.containers(config.project) if item.service not in keep]
    before = state.read(config, STATE).get("names", [])  # of an attempt that was killed
    names = sorted({item.name for item in running} | set(before))
    state.write(config, STATE, {"names": names})
    try:
        if running:
            docker.docker("stop", "--time", "30", *[item.name for item in running], timeout=300)
        yield names
    finally:
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
