"""Restore media into a new directory beside the live one and exchange the two: files deleted since do not return
half-way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from tts_host import docker, restore_path
from tts_host.exchange import exchange
from tts_host.extract import extract
from tts_host.log import Failure, log, now
from tts_host.preflight import check_space
from tts_host.services import stopped

if TYPE_CHECKING:
    from pathlib import Path

    from tts_host.config import Config
    from tts_host.restic import Repository, Snapshot

Emit = Callable[..., None]
BEFORE = "before_"  # in the name of a folder that holds all media of before a restore
PART = "part_"  # in that of one that holds one path of before


def restore(config: Config, repository: Repository, snapshot: Snapshot, emit: Emit) -> list[str]:
    """Replace the volume's content by the snapshot's; returns where the old content is kept."""
    live = docker.volume_folder(config.project, config.media_volume)
    fresh = side_of(live)
    check_space(config, {live: snapshot.bytes})
    try:
        emit("step", step="download", files=snapshot.files, bytes=snapshot.bytes)
        extract(repository, snapshot, fresh)
        shutil.copystat(live, fresh)
        owner = live.stat()
        os.chown(fresh, owner.st_uid, owner.st_gid)
        kept = live.with_name(f"{live.name}.{BEFORE}{now():%Y%m%d%H%M%S%f}")
        emit("step", step="stop")
        with stopped(config):
            emit("step", step="swap")
            fresh.rename(kept)  # first: killed after the exchange, this must not look like an unfinished restore
            exchange(live, kept)
            emit("step", step="start")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [str(kept)]


def restore_paths(config: Config, repository: Repository, snapshot: Snapshot, names: list[str]) -> list[str]:
    """Put single files or folders back in place. Each is one rename, so the application goes on."""
    live = docker.volume_folder(config.project, config.media_volume)
    part = live.with_name(f"{live.name}.{PART}{now():%Y%m%d%H%M%S%f}")
    files = restore_path.restore(config, repository, snapshot, live, names, side_of(live), part)
    log("info", files=files)
    return [str(part)]


def side_of(live: Path) -> Path:
    """The folder beside the live one in which a restore is made; what an unfinished one left there goes."""
    fresh = live.with_name(live.name + ".restore")
    if fresh.exists():
        log("warning", warning=f"unfinished restore {fresh} is removed")
        shutil.rmtree(fresh)
    return fresh


def kept(live: Path) -> list[Path]:
    """The folders that earlier restores put aside, oldest first."""
    found = [path for word in (BEFORE, PART) for path in live.parent.glob(f"{live.name}.{word}*")]
    return sorted(found, key=lambda path: path.name.rpartition("_")[2])


def drop_old(config: Config) -> list[str]:
    """Remove the directories that earlier restores put aside."""
    old = kept(docker.volume_folder(config.project, config.media_volume))
    for folder in old:
        shutil.rmtree(folder)
    return [str(folder) for folder in old]


def undo(config: Config, emit: Emit) -> list[str]:
    """Put back what was put aside last: the whole directory, or one path of it."""
    live = docker.volume_folder(config.project, config.media_volume)
    old = kept(live)
    if not old:
        raise Failure(f"no earlier media are kept beside {live}")
    if f".{PART}" in old[-1].name:
        emit("step", step="swap")
        restore_path.put_back(live, old[-1])
    else:
        with stopped(config):
            emit("step", step="swap")
            exchange(live, old[-1])
    return [str(old[-1])]
