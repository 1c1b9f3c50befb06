"""What `tts rewind` does: the repository as a bucket held it at a moment, shown, fetched, or put back.

Versions are only read and copied, never deleted, so a rewind can be rewound.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ops import history as records
from ops.errors import ExitCode, OpsError
from ops.vault import CONNECTIONS, STORE_ERRORS, store_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ops.history import History, Version
    from ops.vault import Vault

_FOLDERS = ("data", "index", "keys", "locks", "snapshots")
_CHUNK = 1 << 20
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Changes(msgspec.Struct, frozen=True):
    """The bucket at a moment against now, in objects of the repository; `bytes` are those of then."""

    moment: datetime
    objects: int
    bytes: int
    snapshots: int
    overwritten: tuple[str, ...]
    deleted: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True)
class Rewind:
    """One bucket's past: `then` is what it held at the moment, by name."""

    client: Any
    vault: Vault
    history: History
    then: dict[str, Version]
    changes: Changes


class Fetched(msgspec.Struct, frozen=True):
    """What was written to the folder. `damaged` are objects whose content is not what their name says."""

    folder: str
    objects: int
    bytes: int
    damaged: tuple[str, ...]


class Applied(msgspec.Struct, frozen=True):
    """Objects that were put back as the newest version, and those that were hidden behind a delete marker."""

    restored: int
    hidden: int


def parse_moment(text: str, now: datetime) -> datetime:
    """A time from the command line: ISO 8601, in UTC unless it says otherwise, or an age such as 3h or 2d.

    Raises:
        OpsError: it is no time, or one in the future.
    """
    try:
        if text[-1:] in _UNITS and text[:-1].isdigit():
            moment = now - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise OpsError(
            f"{text} is no time.",
            fix="Give it in UTC, such as 2026-11-23T02:00:00, or as an age, such as 3h or 2d.",
            code=ExitCode.USAGE,
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > now:
        raise OpsError(f"{text} is in the future.", fix="Give a time that has been.", code=ExitCode.USAGE)
    return moment


def look(vault: Vault, moment: datetime) -> Rewind:
    """Read every version and compare then with now. Changes nothing.

    Raises:
        OpsError: the bucket cannot be read, or held no repository at that moment.
    """
    client = vault.client()
    try:
        history = records.read_history(client, vault)
    except STORE_ERRORS as error:
        raise store_failed(vault, "Reading the versions", error) from None
    then = records.at(history, moment)
    if "config" not in then:
        first = min((item.modified for versions in history.values() for item in versions), default=None)
        oldest = f"its oldest version is of {first:%Y-%m-%dT%H:%M:%SZ}" if first else "it holds no version at all"
        raise OpsError(
            f"At {moment:%Y-%m-%dT%H:%M:%SZ} {vault.name} held no repository.",
            where=f"bucket {vault.bucket}: {oldest}",
            fix="Give a later time. Versions that were replaced live as long as vault.noncurrentDays says.",
        )
    return Rewind(client, vault, history, then, _compare(history, then, moment))


def _compare(history: History, then: dict[str, Version], moment: datetime) -> Changes:
    now = records.current(history)
    return Changes(
        moment=moment,
        objects=len(then),
        bytes=sum(item.size for item in then.values()),
        snapshots=sum(1 for name in then if name.startswith("snapshots/")),
        overwritten=tuple(sorted(name for name in then.keys() & now.keys() if then[name].etag != now[name].etag)),
        deleted=tuple(sorted(then.keys() - now.keys())),
        added=tuple(sorted(now.keys() - then.keys())),
    )


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        OpsError: as said, or its parent is not there.
    """
    if (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))) or not folder.absolute().parent.is_dir():
        reason = "is not empty" if folder.exists() else "stands in a folder that is not there"
        raise OpsError(f"{folder} {reason}.", fix="Name a new folder.", code=ExitCode.USAGE)


def fetch(rewind: Rewind, folder: Path, now: Callable[[str], None]) -> Fetched:
    """Write the repository of that moment into a folder, and compare each object with its name, which is its SHA-256.

    Raises:
        OpsError: the store or the disk failed; what is there so far stays and is no whole repository.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in _FOLDERS:
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    # A local repository keeps its packs in folders of their first two letters; a bucket may or may not.
    todo = [(item, folder / _local_name(item.name)) for item in rewind.then.values()]
    for _, path in todo:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise OpsError(f"{path.name} would be written outside {folder}.", fix="Look at the bucket: tts audit")
        path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
    damaged: list[str] = []
    try:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            digests = pool.map(partial(_download, rewind), todo)
            for number, (version, digest) in enumerate(zip(rewind.then.values(), digests, strict=True), 1):
                now(f"{number} of {len(todo)} objects")
                if version.name != "config" and digest != version.name.rpartition("/")[2]:
                    damaged.append(version.name)
    except STORE_ERRORS as error:
        raise store_failed(rewind.vault, "Fetching versions", error) from None
    except OSError as error:
        raise OpsError(
            f"{folder} cannot be written.", where=str(error), fix="Is there room? Then name a new folder."
        ) from None
    return Fetched(str(folder), len(todo), rewind.changes.bytes, tuple(sorted(damaged)))


def _local_name(name: str) -> str:
    kind, _, rest = name.partition("/")
    return f"data/{rest[:2]}/{rest}" if kind == "data" and "/" not in rest else name


def _download(rewind: Rewind, item: tuple[Version, Path]) -> str:
    version, path = item
    body = rewind.client.get_object(Bucket=rewind.vault.bucket, Key=version.key, VersionId=version.version_id)["Body"]
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for chunk in body.iter_chunks(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def apply(rewind: Rewind, now: Callable[[str], None], *, hide_added: bool) -> Applied:
    """Make the versions of that moment the newest again, by copies. Interrupted, it can be run again.

    Raises:
        OpsError: the store refused.
    """
    todo = [rewind.then[name] for name in (*rewind.changes.deleted, *rewind.changes.overwritten)]
    hide = rewind.changes.added if hide_added else ()
    try:
        _each(todo, lambda item: _copy(rewind, item), lambda number: now(f"{number} of {len(todo)} objects put back"))
        _each(hide, lambda name: _hide(rewind, name), lambda number: now(f"{number} of {len(hide)} objects hidden"))
    except STORE_ERRORS as error:
        raise store_failed(rewind.vault, "Putting versions back", error) from None
    return Applied(len(todo), len(hide))


def _each(items: Iterable[Any], act: Callable[[Any], None], told: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for number, _ in enumerate(pool.map(act, items), 1):
            told(number)


def _copy(rewind: Rewind, version: Version) -> None:
    bucket = rewind.vault.bucket
    source = {"Bucket": bucket, "Key": version.key, "VersionId": version.version_id}
    rewind.client.copy_object(Bucket=bucket, Key=version.key, CopySource=source)


def _hide(rewind: Rewind, name: str) -> None:
    """A delete without a version only adds a marker."""
    rewind.client.delete_object(Bucket=rewind.vault.bucket, Key=rewind.vault.prefix + name)
