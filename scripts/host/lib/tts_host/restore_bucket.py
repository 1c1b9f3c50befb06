"""Restore media into the bucket: what it holds is copied to this disk first, and put back when the restore fails.

All media, or single paths. What was there is kept in a folder beside the mirror: as a whole copy, or as a part with
the names of its paths (RECORD) and what the bucket held at them (OLD).
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from tts_host import bucket, restore_path
from tts_host.extract import extract, extract_paths
from tts_host.log import Failure, log, now
from tts_host.preflight import check_space
from tts_host.restore_media import BEFORE, PART, kept, side_of
from tts_host.restore_path import RECORD
from tts_host.services import stopped

if TYPE_CHECKING:
    from pathlib import Path

    from tts_host.bucket import Bucket
    from tts_host.config import Config
    from tts_host.restic import Repository, Snapshot
    from tts_host.restore_media import Emit

NEW, OLD = "new", "old"


def restore(config: Config, repository: Repository, snapshot: Snapshot, emit: Emit) -> list[str]:
    """Replace the bucket's content by the snapshot's; returns the folder in which the old content is kept."""
    live, mirror = store_of(config), config.media_mirror
    fresh = side_of(mirror)
    check_space(config, {mirror: snapshot.bytes + live.size()})
    try:
        emit("step", step="download", files=snapshot.files, bytes=snapshot.bytes)
        extract(repository, snapshot, fresh)
        emit("step", step="stop")
        with stopped(config):
            old = put_in(live, fresh, mirror, emit)
            emit("step", step="start")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [str(old)]


def restore_paths(config: Config, repository: Repository, snapshot: Snapshot, asked: list[str]) -> list[str]:
    """Make the bucket equal to the snapshot at single paths. The application goes on: no other object is touched."""
    live, mirror = store_of(config), config.media_mirror
    names = restore_path.outermost(asked)
    for name in names:
        restore_path.check(name)
    check_space(config, {mirror: restore_path.size_of(repository, snapshot, names) + live.size(names)})
    fresh = side_of(mirror)
    try:
        files = extract_paths(repository, snapshot, names, fresh / NEW)
        part = put_paths_in(live, fresh, f"{NEW}/{snapshot.paths[0].strip('/')}", names, mirror)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    log("info", files=files)
    return [str(part)]


def put_in(live: Bucket, fresh: Path, mirror: Path, emit: Emit) -> Path:
    """Copy the bucket to the side, then make it equal to `fresh`. An end in between is undone here, or by `undo`."""
    live.mirror(mirror)
    old = aside(mirror, BEFORE)
    mirror.rename(old)
    emit("step", step="swap")
    replace(live, fresh, old)
    fresh.rename(mirror)
    return old


def put_paths_in(live: Bucket, fresh: Path, new: str, names: list[str], mirror: Path) -> Path:
    """The same for these paths alone. `fresh` has what they shall be in its folder `new`; it becomes what is kept."""
    live.mirror(fresh / OLD, names)
    (fresh / RECORD).write_text(json.dumps(names), encoding="utf-8")
    part = aside(mirror, PART)
    fresh.rename(part)  # only now that what it holds is whole: an undo makes the bucket equal to it
    replace(live, part / new, part / OLD, names)
    shutil.rmtree(part / NEW)
    return part


def replace(live: Bucket, wanted: Path, old: Path, names: list[str] | None = None) -> None:
    """Make the bucket equal to `wanted`, or else to what it was."""
    try:
        live.replace(wanted, names)
        wrong = bucket.differences(bucket.hashes_below(wanted), live.hashes(names))
        if wrong:
            raise Failure(f"bucket {live.name} does not hold what was restored: {bucket.shown(wrong)}")
    except BaseException:
        log("warning", warning="the bucket gets back what it held")
        live.replace(old, names)
        raise


def aside(mirror: Path, word: str) -> Path:
    return mirror.with_name(f"{mirror.name}.{word}{now():%Y%m%d%H%M%S%f}")


def undo(config: Config, emit: Emit) -> list[str]:
    """Give the bucket what was put aside last: all of it, or some paths. What it held is kept in turn."""
    live, mirror = store_of(config), config.media_mirror
    old = kept(mirror)
    if not old:
        raise Failure(f"no earlier media are kept beside {mirror}")
    if f".{PART}" not in old[-1].name:
        with stopped(config):
            return [str(put_in(live, old[-1], mirror, emit))]
    fresh = side_of(mirror)
    names = json.loads((old[-1] / RECORD).read_text(encoding="utf-8"))
    try:
        shutil.copytree(old[-1] / OLD, fresh / NEW)
        part = put_paths_in(live, fresh, NEW, names, mirror)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old[-1])
    return [str(part)]


def drop_old(config: Config) -> list[str]:
    """Remove the folders that earlier restores put aside."""
    old = kept(config.media_mirror)
    for folder in old:
        shutil.rmtree(folder)
    return [str(folder) for folder in old]


def store_of(config: Config) -> Bucket:
    found = bucket.of(config)
    if found is None:
        raise Failure("TTS_MEDIA_BUCKET is empty: media are not in a bucket")
    return found
