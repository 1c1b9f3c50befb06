"""The channels that hear of every job's end: their rules, and what the hosts are told of them. Pure, like `rules`.

All of `alerts` is secret (an address alone lets anybody post there), so no message shows a value.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from rules import Problem

SUBMISSION_PORT: Final = 587
"""Port of mail submission with STARTTLS (RFC 6409), the default."""

_URLS: Final = {"pingUrl": "ping_url", "webhookUrl": "webhook_url"}
_SMTP: Final = ("host", "port", "user", "password", "from", "to")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?")
_ADDRESS = re.compile(r"[^\s@,;<>\"]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def problems(values: Mapping[str, object], stack: str) -> Iterator[Problem]:
    """Only known channels, each complete and well formed."""
    yield from _unknown("alerts", values, (*_URLS, "smtp"), stack)
    for name in _URLS.keys() & values.keys():
        if not _is_url(values[name]):
            example = "https://hc-ping.com/KEY/%j" if name == "pingUrl" else "https://hooks.slack.com/services/..."
            yield _wrong(f"alerts.{name}", f"an address like {example}", stack)
    if "smtp" not in values:
        return
    smtp = values["smtp"]
    if isinstance(smtp, dict):
        yield from _smtp_problems(cast("dict[str, object]", smtp), stack)
    else:
        yield _wrong("alerts.smtp", "an object with host, from, to and, where needed, port, user, password", stack)


def content(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the hosts read: the channels that are set, the port always. Of values that have no problems."""
    found: dict[str, Any] = {told: values[key] for key, told in _URLS.items() if key in values}
    if "smtp" in values:
        smtp: dict[str, Any] = values["smtp"]
        found["smtp"] = {**smtp, "port": int(smtp.get("port", SUBMISSION_PORT))}
    return found


def _smtp_problems(smtp: Mapping[str, object], stack: str) -> Iterator[Problem]:
    yield from _unknown("alerts.smtp", smtp, _SMTP, stack)
    checks = {
        "host": (_matches(_HOST, smtp.get("host")), "the name of a mail server, like smtp.example.org"),
        "port": (_is_port(smtp.get("port", SUBMISSION_PORT)), "a port from 1 to 65535"),
        "from": (_matches(_ADDRESS, smtp.get("from")), "a mail address, like backups@example.org"),
        "to": (_is_addresses(smtp.get("to")), "a list of mail addresses, at least one"),
    }
    for name, (holds, rule) in checks.items():
        if not holds:
            yield _wrong(f"alerts.smtp.{name}", rule, stack)
    for name, other in (("user", "password"), ("password", "user")):
        if other in smtp and not _is_line(smtp.get(name)):
            yield _wrong(f"alerts.smtp.{name}", "one line of text; user and password come together", stack)


def _unknown(section: str, values: Mapping[str, object], known: tuple[str, ...], stack: str) -> Iterator[Problem]:
    for name in sorted(values.keys() - set(known)):
        fix = f"one of {', '.join(known)}; or: pulumi config rm --path '{section}.{name}' --stack {stack}"
        yield Problem(f"{section}.{name}", "(hidden)", "no such key", fix)


def _wrong(key: str, rule: str, stack: str) -> Problem:
    path = f"{key}[0]" if key.endswith(".to") else key
    return Problem(key, "(hidden)", rule, f"pulumi config set --secret --path '{path}' --stack {stack}")


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def _is_port(value: object) -> bool:
    """A number, or its digits: the engine hands an encrypted number over as text."""
    text = str(value) if isinstance(value, int | str) else ""
    return text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535


def _is_addresses(value: object) -> bool:
    found = cast("list[object]", value) if isinstance(value, list) else []
    return bool(found) and all(_matches(_ADDRESS, each) for each in found)


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
