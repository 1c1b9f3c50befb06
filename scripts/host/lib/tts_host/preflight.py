"""Step `preflight`: everything that can be known to be wrong before anything is written."""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.error
import urllib.request
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tts_host import bucket, docker
from tts_host.config import Config, load
from tts_host.log import ConfigError, Failure, log, now, record, step, warn
from tts_host.postgres import connect
from tts_host.restic import CLOCK_SLACK, KINDS, check_password_file, installed_version, local_repository
from tts_host.sizes import below, remembered

if TYPE_CHECKING:
    from pathlib import Path

MARGIN = 256 << 20  # bytes that must stay free on top of what a run needs
MIN_INODES = 1000
COMMANDS = {
    "container": ("docker",),
    "host": ("docker", "psql", "pg_dump", "pg_restore", "pg_dumpall"),
    "managed": ("psql", "pg_dump", "pg_restore", "pg_dumpall"),
}


def main(args: list[str]) -> None:
    kind = args[0]
    if kind not in KINDS:
        raise ConfigError(f"unknown kind {kind!r}")
    config = load()
    record(kind=kind, run=now().strftime("%Y%m%dT%H%M%SZ"), stack=config.stack)
    check_commands(config)
    check_password_file(config.password_file)
    check_writable(config.state_dir, config.local_repository)
    times, sizes = known(config, kind)
    check_clock(config, times)
    record(history=sizes)
    check_space(config, need(config, kind))


def known(config: Config, kind: str) -> tuple[list[datetime], list[int]]:
    """When snapshots were made, and the sizes of the last seven of this kind.

    The repository says it, which proves that it can be opened: a second of key derivation. Media are stored by the
    next step, which proves that too: for them what this host remembers is enough.
    """
    last = remembered(config, kind) if kind == "media" else []
    if last:
        return [time for time, _ in last], [size for _, size in last]
    there = local_repository(config).snapshots(config.host)
    return [item.time for item in there], [item.bytes for item in there if item.kind == kind][-7:]


def check_commands(config: Config) -> None:
    """All missing programs in one message, before the version of restic."""
    if not config.backs_up:
        raise ConfigError("this host holds nothing to back up: the jobs run on another one (tts status)")
    wanted = ["restic", "setpriv", *COMMANDS[config.pg_mode], *(["rclone"] if config.media_bucket else [])]
    missing = [name for name in wanted if not shutil.which(name)]
    if missing:
        raise ConfigError(f"programs are missing: {', '.join(missing)}. Prepare the host again (pulumi up)")
    installed_version()


def check_writable(*folders: Path) -> None:
    """restic itself would try again for a quarter of an hour."""
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=existing(folder)):
                pass
        except OSError as error:
            raise Failure(f"cannot write to {folder}: {error.strerror}") from None


def check_clock(config: Config, times: list[datetime]) -> None:
    """A wrong clock makes snapshots that retention and `latest` misread for ever."""
    newest = max(times, default=now())
    if newest > now() + CLOCK_SLACK:
        raise Failure(
            f"the newest snapshot is from {newest:%Y-%m-%dT%H:%M:%SZ}, this host's clock says "
            f"{now():%Y-%m-%dT%H:%M:%SZ}: set the clock"
        )
    for offsite in config.offsite:
        theirs = store_time(offsite.repository)
        if theirs and abs(theirs - now()) > CLOCK_SLACK:
            raise Failure(
                f"the clock of {offsite.name} says {theirs:%Y-%m-%dT%H:%M:%SZ}, this host's "
                f"{now():%Y-%m-%dT%H:%M:%SZ}: set the clock"
            )


def store_time(repository: str) -> datetime | None:
    """The `Date` that an S3 store answers with; None for other stores and for one that cannot be reached."""
    if not repository.startswith("s3:"):
        return None
    parts = urlsplit(repository[3:] if "://" in repository else "https://" + repository[3:])
    request = urllib.request.Request(f"{parts.scheme}://{parts.netloc}/", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        date = error.headers.get("Date")
    except (OSError, ValueError):
        return None
    try:
        return parsedate_to_datetime(date).astimezone(timezone.utc) if date else None
    except ValueError:
        return None


def need(config: Config, kind: str) -> dict[Path, int]:
    """Bytes a run may write, by folder: the dumps once in staging and once, at worst, in the repository."""
    if kind == "databases":
        size = sum(item["bytes"] for item in connect(config).databases())
        return {config.staging: size, config.local_repository: size}
    if kind == "media":
        return need_of_media(config)
    return {config.local_repository: sum(below(path).disk for path in config.config_paths)}


def need_of_media(config: Config) -> dict[Path, int]:
    """Once in the repository and, when media are in a bucket, once in the mirror."""
    source = bucket.of(config)
    if source is None:
        folder = docker.volume_folder(config.project, config.media_volume)
        size = below(folder)
        record(source={"folder": str(folder), "files": size.files, "bytes": size.bytes})
        return {config.local_repository: max(0, size.disk - below(config.local_repository).disk)}
    source.check()
    size = source.size()
    mirrored = below(config.media_mirror).disk
    return {
        config.local_repository: max(0, size - below(config.local_repository).disk),
        config.media_mirror: max(0, size - mirrored),
    }


def check_space(config: Config, needs: dict[Path, int]) -> None:
    """Refuse a run that would fill a disk; warn below the configured thresholds."""
    by_device: dict[int, tuple[Path, int]] = {}
    for folder, size in needs.items():
        there = existing(folder)
        device = there.stat().st_dev
        by_device[device] = (there, by_device.get(device, (there, 0))[1] + size)
    for folder, size in by_device.values():
        check_device(folder, size + MARGIN, config.min_free_percent)
    size = below(config.local_repository).disk
    record(repository_bytes=size)
    if size > config.max_repository_gb << 30:
        warn(
            f"{config.local_repository} takes {size >> 20} MiB, more than "
            f"TTS_MAX_REPOSITORY_GB={config.max_repository_gb}"
        )


def check_device(folder: Path, size: int, min_free_percent: int) -> None:
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    log("info", folder=folder, need_bytes=size, free_bytes=free)
    if free < size:
        raise Failure(f"not enough space at {folder}: {size} bytes needed, {free} available. Nothing was written")
    if disk.f_files and disk.f_favail < MIN_INODES:
        raise Failure(f"not enough inodes at {folder}: {disk.f_favail} left, {MIN_INODES} needed. Nothing was written")
    percent = 100 * disk.f_bavail // max(1, disk.f_blocks)
    if percent < min_free_percent:
        warn(f"only {percent} % of the disk at {folder} is free, the threshold is {min_free_percent} %")


def existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


if __name__ == "__main__":
    step(main)
