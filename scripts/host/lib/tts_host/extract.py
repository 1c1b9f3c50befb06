"""Take files out of a snapshot into an empty folder, and believe only what is there afterwards."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tts_host.log import Failure

if TYPE_CHECKING:
    from tts_host.restic import Repository, Snapshot


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
