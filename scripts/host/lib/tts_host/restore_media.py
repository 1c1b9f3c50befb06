"""Restore media into a new directory beside the live one and exchange the two: files deleted since do not return
half-way.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tts_host import docker
from tts_host.log import Failure, log, now
from tts_host.preflight import check_space
from tts_host.services import stopped

if TYPE_CHECKING:
    from tts_host.config import Config
    from tts_host.restic import Repository, Snapshot

Emit = Callable[..., None]
RENAME_EXCHANGE = 2
AT_FDCWD = -100


def restore(config: Config, repository: Repository, snapshot: Snapshot, emit: Emit) -> list[str]:
    """Replace the volume's content by the snapshot's; returns where the old content is kept."""
    live = docker.volume_folder(config.project, config.media_volume)
    fresh = live.with_name(live.name + ".restore")
    if fresh.exists():
        log("warning", warning=f"unfinished restore {fresh} is removed")
        shutil.rmtree(fresh)
    check_space(config, {live: snapshot.bytes})
    try:
        emit("step", step="download", files=snapshot.files, bytes=snapshot.bytes)
        extract(repository, snapshot, fresh)
        shutil.copystat(live, fresh)
        owner = live.stat()
        os.chown(fresh, owner.st_uid, owner.st_gid)
        kept = live.with_name(f"{live.name}.before_{now():%Y%m%d%H%M%S}")
        emit("step", step="stop")
        with stopped(config, keep=config.pg_service):
            emit("step", step="swap")
            exchange(live, fresh)
            fresh.rename(kept)
            emit("step", step="start")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [str(kept)]


def extract(repository: Repository, snapshot: Snapshot, target: Path) -> None:
    """Restore and verify every file; the number must be what the snapshot lists."""
    expected = repository.files(snapshot.id)
    target.mkdir(mode=0o700)
    repository.run(
        "restore",
        f"{snapshot.id}:{snapshot.paths[0]}",
        "--target",
        str(target),
        "--verify",
        "--json",
        "--no-lock",
        "--sparse",
        timeout=None,
    )
    prefix = snapshot.paths[0].rstrip("/") + "/"
    there = files_below(target)
    wrong = [path for path, size in expected.items() if (path.removeprefix(prefix), size) not in there]
    if wrong:
        raise Failure(
            f"{len(wrong)} of {len(expected)} files were not restored, the first: {', '.join(wrong[:5])}. The live "
            "files are as they were"
        )


def files_below(folder: Path) -> set[tuple[str, int]]:
    """Path and size of every file, spelt as restic lists it: bytes that are no UTF-8 are U+FFFD there."""
    found: set[tuple[str, int]] = set()
    for parent, _, names in os.walk(folder):
        paths = [Path(parent, name) for name in names]
        found |= {
            (re.sub("[\udc80-\udcff]", "\ufffd", str(path.relative_to(folder))), path.lstat().st_size) for path in paths
        }
    return found


def extract_paths(repository: Repository, snapshot: Snapshot, paths: list[str], target: Path) -> int:
    """Restore some paths, absolute or below the snapshot's root, into an empty directory; returns the number of
    files.
    """
    if target.exists() and any(target.iterdir()):
        raise Failure(f"{target} is not empty: name a new directory")
    listed = repository.files(snapshot.id)
    paths = [name if name.startswith("/") else f"{snapshot.paths[0]}/{name}" for name in paths]
    wanted = [path for path in listed if any(path == name or path.startswith(name.rstrip("/") + "/") for name in paths)]
    absent = [
        name for name in paths if not any(path == name or path.startswith(name.rstrip("/") + "/") for path in wanted)
    ]
    if absent:
        raise Failure(f"snapshot {snapshot.id[:8]} has nothing at {', '.join(absent)}")
    includes = [word for name in paths for word in ("--include", escape(name))]
    repository.run("restore", snapshot.id, "--target", str(target), "--verify", "--no-lock", *includes, timeout=None)
    there = files_below(target)
    wrong = [path for path in wanted if (path.lstrip("/"), listed[path]) not in there]
    if wrong:
        raise Failure(f"{len(wrong)} of {len(wanted)} files were not restored, the first: {', '.join(wrong[:5])}")
    return len(wanted)


def escape(path: str) -> str:
    """A path as a restic pattern that matches only itself."""
    return "".join("\\" + char if char in "*?[\\" else char for char in path)


def exchange(one: Path, other: Path) -> None:
    """Swap two directories in one step of the kernel: at no moment is either missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise Failure(f"cannot exchange {one} and {other}: {os.strerror(code)}")


def drop_old(config: Config) -> list[str]:
    """Remove the directories that earlier restores put aside."""
    live = docker.volume_folder(config.project, config.media_volume)
    old = sorted(live.parent.glob(f"{live.name}.before_*"))
    for folder in old:
        shutil.rmtree(folder)
    return [str(folder) for folder in old]


def undo(config: Config, emit: Emit) -> list[str]:
    """Exchange the live files with the newest directory that was put aside."""
    live = docker.volume_folder(config.project, config.media_volume)
    old = sorted(live.parent.glob(f"{live.name}.before_*"))
    if not old:
        raise Failure(f"no earlier media are kept beside {live}")
    with stopped(config, keep=config.pg_service):
        emit("step", step="swap")
        exchange(live, old[-1])
    return [str(old[-1])]
