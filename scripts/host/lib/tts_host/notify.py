"""Who hears what of a job's end: a ping each time, a message when a job fails, goes on failing, or works again.

Nothing here can change the result of a job, nor hold it up for longer than `channels.LIMIT_S`.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host import channels, state
from tts_host.alerts import Alerts, read
from tts_host.config import Config, load
from tts_host.log import Failure, log, now, redact, stamp
from tts_host.restic import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

PINGED = ("backup-databases", "backup-media", "backup-config", "verify", "drill")
"""What cron starts: only silence about these means something."""
REMINDER = timedelta(hours=20)  # a daily job that goes on failing is told of each day
TAIL = 8000  # bytes of the log, with a failure
START_S = 5  # the signal that a job starts is tried once, for so long


def start(job: str) -> None:
    """Tell that a job starts, so that one that never ends is noticed."""
    alerts = read(load().alerts_file)
    if alerts.ping_url and job in PINGED:
        channels.deliver({"ping": partial(channels.ping, address(alerts, job, "/start"), "")}, START_S)


def send(config: Config, job: str, outcome: dict[str, Any]) -> None:
    """Tell all channels of a job's end what concerns them."""
    alerts = read(config.alerts_file)
    ok = outcome["result"] == "ok"
    text = sentence(config, job, outcome)
    long = text if ok else f"{text}\n\n{tail()}"
    sends: dict[str, Callable[[], None]] = {}
    if alerts.ping_url and job in PINGED:
        sends["ping"] = partial(channels.ping, address(alerts, job, "" if ok else "/fail"), long)
    told = state.read(config, f"alert-{job}").get("told", {})
    messages = {**messengers(alerts, text, long)}
    sends |= {name: messages[name] for name in messages if due(told.get(name), ok=ok)}
    if not sends:
        return
    results = channels.deliver(sends)
    for name, error in results.items():
        if error:
            log("warning", warning=f"{name} could not be sent: {error}")
    reached = [name for name, error in results.items() if error is None and name in messages]
    remember(config, job, told, reached, ok=ok)


def messengers(alerts: Alerts, text: str, long: str) -> dict[str, Callable[[], None]]:
    """The channels that people read, by name."""
    found: dict[str, Callable[[], None]] = {}
    if alerts.webhook_url:
        found["webhook"] = partial(channels.webhook, alerts.webhook_url, text)
    if alerts.mail:
        found["mail"] = partial(channels.mail, alerts.mail, text.splitlines()[0][:200], long)
    return found


def due(told: str | None, *, ok: bool) -> bool:
    """A message is due at the first failure, again after a time, and once when all is well again."""
    if ok:
        return told is not None
    return told is None or now() - parse_time(told) >= REMINDER


def remember(config: Config, job: str, told: dict[str, str], reached: list[str], *, ok: bool) -> None:
    """Which channels know of the failure. One that was not reached hears of it at the next run."""
    if reached:
        kept = {name: at for name, at in told.items() if name not in reached}
        state.write(config, f"alert-{job}", {"told": kept if ok else {**kept, **dict.fromkeys(reached, stamp())}})


def sentence(config: Config, job: str, outcome: dict[str, Any]) -> str:
    who = f"{config.stack}/{config.host}: {job}"
    if outcome["result"] == "ok":
        return f"{who} ok after {outcome['seconds']} s"
    return redact(f"{who} failed at {outcome['step']}: {outcome['error']}")


def address(alerts: Alerts, job: str, signal: str) -> str:
    """Where to signal, by the healthchecks.io protocol: /start, none for success, /fail, /log. A query stays last."""
    url, mark, query = alerts.ping_url.replace("%j", job).partition("?")
    return url.rstrip("/") + signal + mark + query


def tail() -> str:
    """The end of this job's log, without secrets."""
    try:
        with open(os.environ["TTS_LOG_FILE"], "rb") as stream:
            stream.seek(max(0, Path(stream.name).stat().st_size - TAIL))
            return redact(stream.read(TAIL).decode("utf-8", "replace"))
    except (OSError, KeyError):
        return ""


def main() -> None:
    """The step `notify start`, beside the job: its failure is nobody's."""
    try:
        start(os.environ["TTS_JOB"])
    except Failure as failure:
        log("warning", warning=str(failure))
        sys.exit(1)


if __name__ == "__main__":
    main()
