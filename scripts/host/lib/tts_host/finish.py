"""The end of every job: the last log line, the state file, the result for a caller, and the pings."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tts_host import notify, state
from tts_host.config import Config, load
from tts_host.log import Failure, facts, log, now, stamp

LOCKED = 75


def main() -> None:
    status, last_step = int(sys.argv[1]), sys.argv[2]
    job = os.environ["TTS_JOB"]
    locked = status == LOCKED
    outcome = outcome_of(job, status, last_step, {} if locked else facts())
    try:
        config = load()
        if not locked:
            save(config, job, outcome)
        if not locked or os.environ.get("TTS_WAIT", "0") != "0":
            tell(config, job, outcome)
    except Failure as failure:
        log("error", error=str(failure))
    if os.environ.get("TTS_JSON") and job.startswith(("backup", "offsite")):
        print(json.dumps(outcome), flush=True)
    line = {key: outcome[key] for key in ("step", "error", "seconds") if outcome[key] is not None}
    log("info" if status == 0 else "error", result=outcome["result"], **line)


def tell(config: Config, job: str, outcome: dict[str, Any]) -> None:
    """The alerts, before the last line of the log. Whatever goes wrong with them, the job ended as it ended."""
    try:
        notify.send(config, job, outcome)
    except Exception as error:  # noqa: BLE001 - see above
        log(
            "warning",
            warning=f"no alert could be sent: {error if isinstance(error, Failure) else type(error).__name__}",
        )


def outcome_of(job: str, status: int, last_step: str, left: dict[str, Any]) -> dict[str, Any]:
    ok = status == 0
    begun = started()
    error = (
        None
        if ok
        else left.get("error")
        or {LOCKED: "another job holds the lock", 143: "ended by a signal"}.get(status, f"status {status}")
    )
    return {
        "job": job,
        "kind": left.get("kind"),
        "result": "ok" if ok else "failed",
        "step": None if ok else last_step,
        "error": error,
        "started": begun and stamp(begun),
        "finished": stamp(),
        "seconds": round((now() - begun).total_seconds()) if begun else 0,
        "snapshot": left.get("snapshot"),
        "files": left.get("files"),
        "bytes": left.get("bytes"),
        "warnings": left.get("warnings", []),
        "offsite": left.get("offsite", []),
    }


def started() -> datetime | None:
    try:
        text = Path(os.environ["TTS_RUN_DIR"], "started").read_text(encoding="ascii").strip()
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except (OSError, ValueError, KeyError):
        return None


def save(config: Config, job: str, outcome: dict[str, Any]) -> None:
    """The last run, and the last good one beside it."""
    last_good = outcome if outcome["result"] == "ok" else state.read(config, f"job-{job}").get("last_good")
    state.write(config, f"job-{job}", {"last": outcome, "last_good": last_good})


if __name__ == "__main__":
    main()
