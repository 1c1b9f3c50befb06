"""How much lies below a folder, and what the last runs of each kind have stored."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tts_host import state
from tts_host.log import now, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tts_host.config import Config

KEPT = 7  # runs of which the sizes are known
STATE = "sizes"


@dataclass(frozen=True)
class Size:
    """Files, their bytes, and the bytes that they take on disk."""

    files: int
    bytes: int
    disk: int


def below(path: Path) -> Size:
    """What is there now, of a file or a folder. What vanishes or cannot be read meanwhile counts nothing."""
    files = size = disk = 0
    for found in _found(path):
        files, size, disk = files + 1, size + found.st_size, disk + found.st_blocks * 512
    return Size(files, size, disk)


def _found(path: Path) -> Iterator[os.stat_result]:
    """Of every file. A list of folders and not `os.walk`: of tens of thousands of files that takes half the time."""
    if path.is_file():
        yield path.stat()
        return
    folders = [str(path)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False)


def remember(config: Config, kind: str, size: int) -> None:
    """A snapshot of that many bytes was stored just now."""
    known = state.read(config, STATE)
    state.write(config, STATE, {**known, kind: [*known.get(kind, []), {"time": stamp(now()), "bytes": size}][-KEPT:]})


def remembered(config: Config, kind: str) -> list[tuple[datetime, int]]:
    """Time and bytes of the last snapshots of this host, oldest first."""
    found = state.read(config, STATE).get(kind, [])
    return [(datetime.strptime(item["time"], "%Y-%m-%dT%H:%M:%S%z"), int(item["bytes"])) for item in found]
