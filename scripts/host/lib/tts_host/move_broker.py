"""Stop the application so that no work is left in the broker: first the entry, then, once nothing waits, the rest.

Whether something waits is the application's to say: a container with the label `tts.drained` holds a command that ends
with 0 when no work is stored, queued or under way. Where no container has one, this host's own RabbitMQ is asked.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tts_host import docker
from tts_host.log import Failure, log, warn
from tts_host.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tts_host.docker import Container

PATIENCE_S = 30
GRACE_S = "30"  # what a worker has to end the task that it is at


def stop(project: str, keep: Iterable[str], broker: str, entered: Callable[[str], None]) -> None:
    """Stop every service but those of `keep`. A Failure says that work waits, and leaves the rest to the caller."""
    kept = set(keep)
    there = [item for item in docker.containers(project) if item.service not in kept]
    asked = [item for item in there if item.drained]
    entry = [item for item in there if item.published and not item.drained]
    halt(entry)
    entered("closed")
    await_drained(asked)
    if not asked and broker:
        await_queues(project, broker)
    halt([item for item in there if item not in entry and item not in asked])
    entered("drained")
    await_drained(asked)  # a worker that was cut off has given its task back
    if not asked and broker:
        await_queues(project, broker)
    halt(asked)
    left = [item.name for item in docker.containers(project) if item.service not in kept]
    if left:
        raise Failure(f"these were started while the application was being stopped: {', '.join(left)}")


def rest(project: str, broker: str) -> None:
    """Stop a broker that leaves this host: nothing is left in it, and the new side would wait for its end."""
    halt([item for item in docker.containers(project) if broker and item.service == broker])


def halt(containers: list[Container]) -> None:
    if containers:
        docker.docker("stop", "--time", GRACE_S, *[item.name for item in containers], timeout=300)


def await_drained(asked: list[Container]) -> None:
    for item in asked:
        done = run(["docker", "exec", item.name, "sh", "-c", item.drained], timeout=PATIENCE_S + 30)
        if done.code != 0:
            raise Failure(f"work still waits for the broker, {item.name} says: {done.words or done.out.strip()}")


def await_queues(project: str, service: str) -> None:
    """RabbitMQ's durable queues must be empty, messages that are being worked on included."""
    found = [item for item in docker.containers(project) if item.service == service]
    if not found:
        warn("no container says whether work waits for the broker (label tts.drained): nobody looked")
        return
    deadline = time.monotonic() + PATIENCE_S
    while waiting := queued(found[0].name):
        if time.monotonic() > deadline:
            texts = ", ".join(f"{count} in {name}" for name, count in waiting.items())
            raise Failure(f"messages still wait in the broker after {PATIENCE_S} s: {texts}")
        log("info", waiting=sum(waiting.values()))
        time.sleep(1)


def queued(container: str) -> dict[str, int]:
    """Messages by queue, where there are any."""
    found: dict[str, int] = {}
    for host in control(container, "list_vhosts", "name"):
        for line in control(container, "list_queues", "--vhost", host, "name", "messages", "durable"):
            name, messages, durable = line.rsplit("\t", 2)
            if durable == "true" and int(messages):
                found[name] = int(messages)
    return found


def control(container: str, *args: str) -> list[str]:
    done = run(["docker", "exec", container, "rabbitmqctl", "--quiet", "--no-table-headers", *args], timeout=60)
    if done.code in (126, 127):
        warn(f"{container} is no RabbitMQ, and no container has the label tts.drained: nobody looked for waiting work")
        return []
    if done.code != 0:
        raise Failure(f"rabbitmqctl {args[0]} ended with {done.code}: {done.words}")
    return done.out.splitlines()
