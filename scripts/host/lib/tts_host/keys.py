"""Which passphrases open the repositories; add one, or take one away when another is proven to open the same."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host.config import load
from tts_host.log import ConfigError, Failure, redact, step
from tts_host.restic import Repository, local_repository, offsite_repository, repository

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tts_host.config import Config

WRONG_PASSWORD = 12
FIELDS = {"verify": ("candidates",), "add": ("new",), "remove": ("keep", "old")}
MOST_KEYS = 10  # that one passphrase may have in a repository


def main(args: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tts-keys")
    parser.add_argument("action", choices=sorted(FIELDS))
    parser.add_argument("--repository", action="append")
    options = parser.parse_args(args)
    given = read_input(options.action, sys.stdin.read())
    config = load()
    results = [act(options.action, item, given) for item in chosen(config, options.repository)]
    document: dict[str, Any] = {"repositories": results}
    if options.action == "verify":
        document["file_is"] = file_is(config, given["candidates"])
    print(json.dumps(document))
    failed = [f"{item['name']}: {item['error']}" for item in results if item["error"]]
    if failed:
        raise Failure("; ".join(failed))


def read_input(action: str, text: str) -> dict[str, Any]:
    """The JSON on stdin; ConfigError says what is missing and repeats no value."""
    try:
        given = json.loads(text)
        values = [given[name] for name in FIELDS[action]]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"stdin must be JSON with {' and '.join(FIELDS[action])}") from None
    texts = list(values[0].values()) if action == "verify" and isinstance(values[0], dict) else values
    if not all(isinstance(value, str) and value.strip() and "\n" not in value for value in texts):
        raise ConfigError("every passphrase must be one line of text")
    if action == "remove" and given["keep"] == given["old"]:
        raise ConfigError("keep and old are the same passphrase: nothing would be left")
    return given


def chosen(config: Config, names: list[str] | None) -> list[Repository]:
    if names:
        return [repository(config, name) for name in names]
    return [local_repository(config), *(offsite_repository(config, item) for item in config.offsite)]


def act(action: str, item: Repository, given: dict[str, Any]) -> dict[str, Any]:
    """One repository. Every error is its own result: one that is down does not stop the others."""
    result: dict[str, Any] = {"name": item.name, "error": None}
    try:
        if action == "verify":
            result["opens"] = {"host": opens(item, None)}
            result["opens"] |= {name: opens(item, secret) for name, secret in given["candidates"].items()}
        elif action == "add":
            result["result"] = add(item, given["new"])
        else:
            result["result"] = remove(item, given["keep"], given["old"])
    except Failure as failure:
        result["error"] = redact(str(failure))
    return result


def add(item: Repository, new: str) -> str:
    if opens(item, new):
        return "already"
    with private(new) as path:
        item.run("key", "add", "--host", "tts", "--user", "tts", "--new-password-file", str(path))
    if not opens(item, new):
        raise Failure(f"restic added a key to repository {item.name}, and it does not open it")
    return "added"


def remove(item: Repository, keep: str, old: str) -> str:
    """Take away every key of the old passphrase, after the one that stays was proven."""
    if not opens(item, keep):
        raise Failure(f"the passphrase that is to stay does not open repository {item.name}: nothing was removed")
    if not opens(item, old):
        return "already"
    with private(keep) as stays, private(old) as goes:
        for _ in range(MOST_KEYS):
            keys = json.loads(item.run("key", "list", "--json", "--no-lock", env={"RESTIC_PASSWORD_FILE": str(goes)}))
            mine = next(key["id"] for key in keys if key["current"])
            item.run("key", "remove", mine, env={"RESTIC_PASSWORD_FILE": str(stays)})
            if not opens(item, old):
                return "removed"
    raise Failure(f"repository {item.name} still opens with the old passphrase: may this host delete there?")


def opens(item: Repository, secret: str | None) -> bool:
    """Whether this passphrase, or else the host's own, opens it; any other trouble is a Failure."""
    if secret is None:
        done = item.try_run("cat", "config", "--no-lock")
    else:
        with private(secret) as path:
            done = item.try_run("cat", "config", "--no-lock", env={"RESTIC_PASSWORD_FILE": str(path)})
    if done.code not in (0, WRONG_PASSWORD):
        raise Failure(item.explain("cat", done))
    return done.code == 0


def file_is(config: Config, candidates: dict[str, str]) -> str | None:
    """The name of the candidate that stands in the host's password file."""
    try:
        text = config.password_file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return next((name for name, secret in candidates.items() if secret.strip() == text), None)


@contextmanager
def private(secret: str) -> Iterator[Path]:
    """The secret in a file that only this user reads, for as long as needed."""
    handle, name = tempfile.mkstemp(prefix="tts-key.")
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(secret.strip() + "\n")
        yield path
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    step(main)
