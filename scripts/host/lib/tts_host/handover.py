"""The data of another stack: its repository, known here for a while, and a measure by which two hosts are compared."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

from tts_host import bucket, docker
from tts_host.config import Config, load
from tts_host.log import ConfigError, Failure, log, step
from tts_host.postgres import connect
from tts_host.restic import HANDED, handed_folder, repository
from tts_host.state import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def main(args: list[str]) -> None:
    {"take": take, "drop": drop, "measure": measure}[args[0]](load())


def take(config: Config) -> None:
    """Write what opens the repository, then prove that it does; else nothing stays."""
    try:
        found = json.loads(sys.stdin.read())
        location, password, environment = found["repository"], found["password"], found["environment"]
        texts = (location, password, *environment, *environment.values())
        good = all(isinstance(text, str) and "\n" not in text for text in texts) and location and password
    except (ValueError, KeyError, TypeError, AttributeError):
        good = False
    if not good or not all(VARIABLE.fullmatch(name) for name in environment):
        raise ConfigError('stdin must be JSON: {"repository": ADDRESS, "password": TEXT, "environment": {NAME: VALUE}}')
    folder = handed_folder(config)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(folder / "environment", "".join(f"{name}={value}\n" for name, value in sorted(environment.items())), 0o600)
    replace(folder / "password", f"{password}\n", 0o600)
    replace(folder / "location", f"{location}\n", 0o600)
    try:
        count = len(repository(config, HANDED).snapshots())
    except Failure:
        drop(config)
        raise
    log("info", repository=location, snapshots=count)


def drop(config: Config) -> None:
    shutil.rmtree(handed_folder(config), ignore_errors=True)
    log("info", handed="dropped")


def measure(config: Config) -> None:
    """Print the measure: rows by table, contents of files by path. Two that are equal mean equal data."""
    server = connect(config)
    rows = {
        item["name"]: {f"{table['schema']}.{table['name']}": table["rows"] for table in server.count_rows(item["name"])}
        for item in server.databases()
    }
    print(json.dumps({"databases": rows, "media": media(config)}, sort_keys=True))


def media(config: Config) -> dict[str, Any] | None:
    """How many files there are, and one sum over their paths and contents, wherever they live; None without media."""
    if store := bucket.of(config):
        return summary(store.hashes())
    if not config.media_volume:
        return None
    return summary(bucket.hashes_below(docker.volume_folder(config.project, config.media_volume)))


def summary(hashes: Mapping[str, str]) -> dict[str, Any]:
    total = hashlib.sha256()
    for path in sorted(hashes):
        total.update(f"{hashes[path]}  {path}\n".encode("utf-8", "surrogateescape"))
    return {"files": len(hashes), "sum": total.hexdigest()}


if __name__ == "__main__":
    step(main)
