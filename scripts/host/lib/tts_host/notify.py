"""Success and failure pings. All optional, retried, and never able to change the result of a job."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from tts_host.log import log

if TYPE_CHECKING:
    from tts_host.config import Config

TRIES = 3
TIMEOUT_S = 10


def send(config: Config, job: str, outcome: dict[str, Any]) -> None:
    """A healthchecks-style ping for every run; a webhook message for every one that failed."""
    ok = outcome["result"] == "ok"
    text = f"{config.stack}/{config.host}: {job} {outcome['result']}" + (
        "" if ok else f" at {outcome['step']}: {outcome['error']}"
    )
    if config.ping_url:
        url = config.ping_url.replace("%j", job)
        post(url if ok else url.rstrip("/") + "/fail", text[:10_000].encode(), "text/plain", "ping")
    if config.webhook_file and not ok:
        try:
            url = config.webhook_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            log("warning", warning=f"webhook file {config.webhook_file} cannot be read: {error.strerror}")
            return
        post(url, json.dumps({"text": text[:3000]}).encode(), "application/json", "webhook")


def post(url: str, body: bytes, content_type: str, what: str) -> bool:
    """Try a few times. The address is a secret: an error names only the kind of channel."""
    for attempt in range(TRIES):
        try:
            request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type})
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):
                return True
        except (OSError, ValueError) as error:
            log("warning", warning=f"{what} failed: {type(error).__name__}", attempt=attempt + 1)
            time.sleep(attempt)
    return False
