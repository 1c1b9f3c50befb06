"""Log lines, the error that ends a step, and the facts a step leaves for the end of the job."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_FAILED = 1
EXIT_CONFIG = 78
PUBLIC = {"TTS_LOG_FILE", "TTS_ENV_FILE"}  # files that hold no secret
NAMES = {"PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSSLMODE", "PGSSLROOTCERT", "AWS_DEFAULT_REGION"}  # no secrets
SHOWN = {"host", "from", "to", "type"}  # keys of secret JSON documents whose values help and give nothing away


class Failure(Exception):
    """Ends a step. The text is for the person who reads the log: what was wrong, where, what to do."""


class ConfigError(Failure):
    """The configuration is wrong; nothing was tried."""


def now() -> datetime:
    return datetime.now(timezone.utc)


def stamp(moment: datetime | None = None) -> str:
    """RFC 3339 in UTC, to the second."""
    return (moment or now()).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _secrets() -> list[str]:
    """Every value that may never reach a log: what stands in the files that the environment names, longest first."""
    found: set[str] = set()
    for key, value in os.environ.items():
        if key.startswith("TTS_") and key.endswith(("_FILE", "_CREDENTIALS")) and key not in PUBLIC:
            found.update(_values(Path(value)))
    return sorted((value for value in found if len(value) >= 8), key=len, reverse=True)


def _values(path: Path) -> set[str]:
    """The values of a password file, of KEY=VALUE lines, or of a JSON document; and of JSON files that it names."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    try:
        if text.startswith("{"):
            return _leaves(json.loads(text))
    except ValueError:
        pass
    lines = [line for line in text.splitlines() if line.split("=", 1)[0] not in NAMES]
    found = {line.split("=", 1)[-1].strip() for line in lines}
    return found.union(*(_values(Path(value)) for value in found if value.startswith("/") and value.endswith(".json")))


def _leaves(document: object) -> set[str]:
    """The texts of a JSON document, line by line. Names of servers and mail addresses stay readable."""
    if isinstance(document, dict):
        return set().union(*(_leaves(value) for key, value in document.items() if key not in SHOWN))
    if isinstance(document, list):
        return set().union(*map(_leaves, document))
    return {line.strip() for line in str(document).splitlines()}


def redact(text: str) -> str:
    for secret in _secrets():
        text = text.replace(secret, "***")
    return re.sub(r"(\w{1,20}://[^/\s:@]{1,200}:)[^@\s/]{1,500}@", r"\1***@", text)


def log(level: str, **fields: object) -> None:
    """One `key=value` line to stderr and to the job's log file."""
    pairs = " ".join(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)
    line = redact(f"{stamp()} level={level} job={os.environ.get('TTS_JOB', '-')} {pairs}")
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # whoever listened is gone, and the work goes on
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until this process ends
    target = os.environ.get("TTS_LOG_FILE")
    if target:
        try:
            with open(target, "a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError:
            pass  # a full disk must not hide the message that is already on stderr


def _value(value: object) -> str:
    text = str(value).replace("\n", " | ")
    return json.dumps(text, ensure_ascii=False) if re.search(r'[\s"=]', text) or not text else text


def warn(message: str) -> None:
    log("warning", warning=message)
    record(warnings=[*facts().get("warnings", []), redact(message)])


def _facts_file() -> Path | None:
    folder = os.environ.get("TTS_RUN_DIR")
    return Path(folder, "facts.json") if folder else None


def facts() -> dict[str, Any]:
    """What the steps of this job have left so far."""
    path = _facts_file()
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}


def record(**fields: Any) -> None:
    """Leave facts for later steps and for the job's state file."""
    path = _facts_file()
    if path and path.parent.is_dir():
        with contextlib.suppress(OSError):  # a full disk must not hide the failure that it caused
            path.write_text(json.dumps({**facts(), **fields}), encoding="utf-8")


def step(function: Callable[[list[str]], None]) -> None:
    """Run a step's main function. Every way it can fail leaves one clear error and a status that is not 0."""
    signal.signal(signal.SIGTERM, _terminated)
    status = 0
    try:
        function(sys.argv[1:])
    except Failure as failure:
        status = EXIT_CONFIG if isinstance(failure, ConfigError) else EXIT_FAILED
        log("error", error=str(failure))
        record(error=redact(str(failure)))
    except Exception as error:  # noqa: BLE001 - a bug or an operating system error: still one line, still a failure
        status = EXIT_FAILED
        where = traceback.extract_tb(error.__traceback__)[-1]
        log("error", error=f"{type(error).__name__}: {error}", at=f"{Path(where.filename).name}:{where.lineno}")
        record(error=redact(f"{type(error).__name__}: {error}"))
    sys.exit(status)


def _terminated(_number: int, _frame: object) -> None:
    log("error", error="ended by a signal: time limit reached, or the host is shutting down")
    record(error="ended by a signal: time limit reached, or the host is shutting down")
    sys.exit(143)
