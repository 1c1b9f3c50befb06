"""`tts-alert-test`: one message over every channel, each proved by what the other side answered."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from tts_host import channels
from tts_host.alerts import Alerts, read
from tts_host.config import Config, load
from tts_host.log import ConfigError, step
from tts_host.notify import PINGED, address, messengers

if TYPE_CHECKING:
    from collections.abc import Callable


def main(_args: list[str]) -> None:
    config = load()
    alerts = read(config.alerts_file)
    sends = tests(config, alerts)
    found = merged(channels.deliver(sends)) if sends else []
    failed = not found or any(item["result"] != "ok" for item in found)
    print(json.dumps({"result": "failed" if failed else "ok", "channels": found}), flush=True)
    if not found:
        raise ConfigError("no channel is configured: set alerts (docs/reference/configuration.md) and run pulumi up")
    sys.exit(1 if failed else 0)


def tests(config: Config, alerts: Alerts) -> dict[str, Callable[[], None]]:
    """What to send. `/log` reaches each check of the ping service and leaves its state as it is."""
    text = f"{config.stack}/{config.host}: this is a test of the alerts. Nothing is wrong"
    jobs = PINGED if "%j" in alerts.ping_url else PINGED[:1]
    found: dict[str, Callable[[], None]] = {}
    if alerts.ping_url:
        found = {f"ping {job}": partial(channels.ping, address(alerts, job, "/log"), text) for job in jobs}
    return {**found, **messengers(alerts, text, text)}


def merged(results: dict[str, str | None]) -> list[dict[str, Any]]:
    """By channel; all checks of the ping service are one."""
    found: dict[str, list[str]] = {}
    for name, error in results.items():
        channel, _, job = name.partition(" ")
        words = found.setdefault(channel, [])
        if error:
            words.append(f"{job}: {error}" if job else error)
    return [
        {"name": name, "result": "failed" if words else "ok", "error": "; ".join(words) or None}
        for name, words in found.items()
    ]


if __name__ == "__main__":
    step(main)
