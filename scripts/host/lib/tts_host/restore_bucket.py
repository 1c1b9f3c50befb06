"""Restore media into the bucket: what it holds is copied to this disk first, and put back when the restore fails."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tts_host import bucket
from tts_host.extract import extract
from tts_host.log import Failure, log, now
from tts_host.preflight import check_space
from tts_host.services import stopped

if TYPE_CHECKING:
    from pathlib import Path

    from tts_host.bucket import Bucket
    from tts_host.config import Config
    from tts_host.restic import Repository, Snapshot
    from tts_host.restore_media import Emit


def restore(config: Config, repository: Repository, snapshot: Snapshot, emit: Emit) -> list[str]:
    """Replace the bucket's content by the snapshot's; returns the folder in which the old content is kept."""
    live, mirror = store_of(config), config.media_mirror
    fresh = mirror.with_name(mirror.name + ".restore")
    shutil.rmtree(fresh, ignore_errors=True)  # of a killed attempt
    check_space(config, {mirror: snapshot.bytes + live.size()})
    try:
        emit("step", step="download", files=snapshot.files, bytes=snapshot.bytes)
        extract(repository, snapshot, fresh)
        emit("step", step="stop")
        with stopped(config, keep=config.pg_service):
            kept = put_in(live, fresh, mirror, emit)
            emit("step", step="start")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [str(kept)]


def restore_paths(config: Config, _repository: Repository, _snapshot: Snapshot, names: list[str]) -> list[str]:
    """Objects have no folder that a rename could exchange, so single paths are for a person to look at first."""
    raise Failure(
        f"the media are in bucket {config.media_bucket}: {', '.join(names)} is not put there by itself. Lay it into a "
        "folder with --target and copy it, or restore all media"
    )


def put_in(live: Bucket, fresh: Path, mirror: Path, emit: Emit) -> Path:
    """Copy the bucket to the side, then make it equal to `fresh`. An end in between is undone here, or by `undo`."""
    live.mirror(mirror)
    kept = mirror.with_name(f"{mirror.name}.before_{now():%Y%m%d%H%M%S%f}")
    mirror.rename(kept)
    emit("step", step="swap")
    try:
        live.replace(fresh)
        check_equal(live, fresh)
    except BaseException:
        log("warning", warning="the bucket gets back what it held")
        live.replace(kept)
        raise
    fresh.rename(mirror)
    return kept


def check_equal(live: Bucket, folder: Path) -> None:
    wrong = bucket.differences(bucket.hashes_below(folder), live.hashes())
    if wrong:
        raise Failure(f"bucket {live.name} does not hold what was restored: {bucket.shown(wrong)}")


def undo(config: Config, emit: Emit) -> list[str]:
    """Make the bucket equal to the newest folder that was put aside; what it held is kept in turn."""
    live, mirror = store_of(config), config.media_mirror
    old = sorted(mirror.parent.glob(f"{mirror.name}.before_*"))
    if not old:
        raise Failure(f"no earlier media are kept beside {mirror}")
    with stopped(config, keep=config.pg_service):
        return [str(put_in(live, old[-1], mirror, emit))]


def drop_old(config: Config) -> list[str]:
    """Remove the folders that earlier restores put aside."""
    old = sorted(config.media_mirror.parent.glob(f"{config.media_mirror.name}.before_*"))
    for folder in old:
        shutil.rmtree(folder)
    return [str(folder) for folder in old]


def store_of(config: Config) -> Bucket:
    found = bucket.of(config)
    if found is None:
        raise Failure("TTS_MEDIA_BUCKET is empty: media are not in a bucket")
    return found
