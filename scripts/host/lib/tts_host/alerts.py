"""Who hears of jobs: the document that TTS_ALERTS_FILE names, checked when it is installed and when it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_host.log import ConfigError
from tts_host.restic import check_private

if TYPE_CHECKING:
    from pathlib import Path

_SMTP = {"host": str, "port": int, "user": str, "password": str, "from": str, "to": list}


@dataclass(frozen=True)
class Mail:
    """A mail server, and who writes to whom."""

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    user: str = ""
    password: str = ""


@dataclass(frozen=True)
class Alerts:
    """The channels that are configured. `ping_url` may hold `%j`, which becomes the job's name."""

    ping_url: str = ""
    webhook_url: str = ""
    mail: Mail | None = None


def read(path: Path | None) -> Alerts:
    """The channels; none without a file. Raises ConfigError, which shows no value."""
    if path is None:
        return Alerts()
    try:
        check_private(path)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if found := problems(text):
        raise ConfigError(f"{path}: {'; '.join(found)}")
    values = json.loads(text)
    return Alerts(values.get("ping_url", ""), values.get("webhook_url", ""), _mail(values.get("smtp")))


def _mail(smtp: dict[str, Any] | None) -> Mail | None:
    if smtp is None:
        return None
    account = {"user": smtp.get("user", ""), "password": smtp.get("password", "")}
    return Mail(smtp["host"], smtp["port"], smtp["from"], tuple(smtp["to"]), **account)


def problems(text: str) -> list[str]:
    """What is wrong with the document, one sentence each; never a value."""
    try:
        values = json.loads(text)
    except ValueError:
        return ["alerts: not JSON"]
    if not isinstance(values, dict):
        return ["alerts: not a JSON object"]
    found = [f"alerts: unknown key {key!r}" for key in values if key not in {"ping_url", "webhook_url", "smtp"}]
    found += [
        f"alerts: {key} is not an http address" for key in ("ping_url", "webhook_url") if not _is_url(values, key)
    ]
    return found + _smtp_problems(values.get("smtp", {}))


def _is_url(values: dict[str, Any], key: str) -> bool:
    return key not in values or str(values[key]).startswith(("https://", "http://"))


def _smtp_problems(smtp: Any) -> list[str]:
    if not isinstance(smtp, dict):
        return ["alerts: smtp is not an object"]
    if not smtp:
        return []
    found = [f"alerts: unknown key smtp.{key}" for key in smtp if key not in _SMTP]
    found += [f"alerts: smtp.{key} is missing" for key in ("host", "port", "from", "to") if not smtp.get(key)]
    found += [
        f"alerts: smtp.{key} must be a {kind.__name__}"
        for key, kind in _SMTP.items()
        if key in smtp and not isinstance(smtp[key], kind)
    ]
    if ("user" in smtp) != ("password" in smtp):
        found.append("alerts: smtp.user and smtp.password come together")
    return found
