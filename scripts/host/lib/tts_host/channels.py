"""Sending over one channel: a ping, a webhook message, a mail. Short, retried, and no address in any error."""

from __future__ import annotations

import json
import smtplib
import ssl
import threading
import time
import urllib.error
import urllib.request
from email.message import EmailMessage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tts_host.alerts import Mail

TRIES = 3
TIMEOUT_S = 8  # of each wait for the other side
LIMIT_S = 45  # of all channels together, whatever the other sides do
PING_TAIL = 10_000  # bytes that a ping may carry; healthchecks.io takes 100 kB
MESSAGE_TAIL = 3000  # characters of a chat message
SMTPS = 465  # the port on which a mail server speaks TLS from the first byte (RFC 8314)


class Refused(Exception):
    """The other side said no, and will say so again."""


def ping(url: str, body: str) -> None:
    """A signal of the healthchecks.io protocol, with a text that it keeps."""
    post(url, body.encode()[-PING_TAIL:], "text/plain; charset=utf-8")


def webhook(url: str, text: str) -> None:
    """A message in the form that Slack, Mattermost and Discord's Slack endpoint take."""
    post(url, json.dumps({"text": text[:MESSAGE_TAIL]}).encode(), "application/json")


def post(url: str, body: bytes, content_type: str) -> None:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type, "User-Agent": "tts"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            return
    except urllib.error.HTTPError as error:
        final = 400 <= error.code < 500 and error.code not in {408, 425, 429}
        raise (Refused if final else OSError)(f"HTTP {error.code}") from None


def mail(account: Mail, subject: str, text: str) -> None:
    """A mail, encrypted where the server can; a password is never sent in the clear."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, account.sender, ", ".join(account.to)
    message.set_content(text)
    tls = ssl.create_default_context()
    if account.port == SMTPS:
        session = smtplib.SMTP_SSL(account.host, account.port, timeout=TIMEOUT_S, context=tls)
    else:
        session = smtplib.SMTP(account.host, account.port, timeout=TIMEOUT_S)
    with session:
        session.ehlo()
        if session.has_extn("starttls"):
            session.starttls(context=tls)
        elif account.user and account.port != SMTPS:
            raise Refused("the mail server offers no TLS: the password was not sent")
        if account.user:
            session.login(account.user, account.password)
        session.send_message(message)


def deliver(jobs: Mapping[str, Callable[[], None]], limit_s: float = LIMIT_S) -> dict[str, str | None]:
    """Run all sends at once, with retries. Returns the error or None by channel, after `limit_s` at the latest."""
    results: dict[str, str | None] = dict.fromkeys(jobs, f"no answer within {limit_s:.0f} s")
    threads = [
        threading.Thread(target=_persist, args=(name, send, results), daemon=True) for name, send in jobs.items()
    ]
    until = time.monotonic() + limit_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(results)


def _persist(name: str, send: Callable[[], None], results: dict[str, str | None]) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            send()
        except Exception as error:  # noqa: BLE001 - a channel may fail in any way and must not disturb the job
            results[name] = explain(error)
            if attempt == TRIES or is_final(error):
                return
            time.sleep(attempt)
        else:
            results[name] = None
            return


def is_final(error: Exception) -> bool:
    """Whether trying again is of no use: refused for good, a wrong account, an untrusted certificate."""
    return isinstance(error, Refused | smtplib.SMTPAuthenticationError | ssl.SSLCertVerificationError | ValueError)


def explain(error: Exception) -> str:
    """What went wrong, without the address: an address alone lets anybody post there."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__}: {error.smtp_code}"
    if isinstance(error, urllib.error.URLError):
        reason = error.reason
        return reason.strerror or type(reason).__name__ if isinstance(reason, OSError) else "not reachable"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason}"
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return type(error).__name__
