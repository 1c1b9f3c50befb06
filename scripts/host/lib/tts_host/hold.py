"""Hold the host while its data is brought back, and let it go again. A new host is empty: nothing may back that up."""

from __future__ import annotations

from tts_host import docker, services, state
from tts_host.config import Config, load
from tts_host.log import Failure, log, stamp, step
from tts_host.process import run

STATE = "hold"
SCHEDULER = "cron"


def main(args: list[str]) -> None:
    {"on": hold, "off": release}[args[0]](load())


def since(config: state.Home) -> str | None:
    """When the hold began, or None: the host is free."""
    return state.read(config, STATE).get("since")


def hold(config: Config) -> None:
    """The schedule first: a job that starts now would store what is not the application's data."""
    before = state.read(config, STATE)
    running = [item for item in docker.containers(config.project) if item.service != config.pg_service]
    names = sorted({item.name for item in running} | set(before.get("names", [])))
    state.write(config, STATE, {"since": before.get("since") or stamp(), "names": names})
    systemctl("disable")
    if running:
        docker.docker("stop", "--time", "30", *[item.name for item in running], timeout=300)
    log("info", held=len(names))


def release(config: Config) -> None:
    """The schedule last: it comes back only to an application that is well."""
    names = state.read(config, STATE).get("names", [])
    if names:
        services.start(names)
        services.await_health(config, names)
        sick = [
            item.name
            for item in docker.containers(config.project, everything=True)
            if item.name in names and not item.healthy
        ]
        if sick:
            raise Failure(f"not healthy: {', '.join(sick)}. The schedule stays off: put that right, then tts-hold off")
    systemctl("enable")
    state.write(config, STATE, {})
    log("info", released=len(names))


def systemctl(verb: str) -> None:
    done = run(["systemctl", verb, "--now", SCHEDULER], timeout=60)
    if done.code != 0:
        raise Failure(f"systemctl {verb} --now {SCHEDULER} ended with {done.code}: {done.words}")


if __name__ == "__main__":
    step(main)
