"""Restore single files or folders of the media in place, by renames; what they replace is kept beside them. Undo."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tts_host.exchange import exchange
from tts_host.extract import extract_paths
from tts_host.log import Failure
from tts_host.preflight import check_space

if TYPE_CHECKING:
    from tts_host.config import Config
    from tts_host.restic import Repository, Snapshot

RECORD = "paths.json"


def restore(
    config: Config, repository: Repository, snapshot: Snapshot, live: Path, asked: list[str], fresh: Path, part: Path
) -> int:
    """Put these paths of the snapshot in their places below `live`; `fresh` is where they are made, `part` keeps what
    was there. Returns the number of files. Nothing live is touched before all of them are there.
    """
    names = outermost(asked)
    for name in names:
        place(live, name)
    check_space(config, {live: size_of(repository, snapshot, names)})
    try:
        files = extract_paths(repository, snapshot, names, fresh)
        restored = fresh / snapshot.paths[0].lstrip("/")
        part.mkdir(mode=0o700)
        (part / RECORD).write_text(json.dumps(names), encoding="utf-8")
        for number, name in enumerate(names):
            make_parents(live, restored, PurePosixPath(name).parent)
            (restored / name).rename(part / str(number))
        put_back(live, part)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return files


def outermost(names: list[str]) -> list[str]:
    """The paths without those that lie below another of them."""
    paths = sorted({PurePosixPath(name) for name in names})
    return [str(path) for path in paths if not any(other in path.parents for other in paths)]


def size_of(repository: Repository, snapshot: Snapshot, names: list[str]) -> int:
    """Bytes of what the snapshot has at these paths."""
    roots = [f"{snapshot.paths[0].rstrip('/')}/{name}/" for name in names]
    listed = repository.files(snapshot.id).items()
    return sum(size for path, size in listed if any(f"{path}/".startswith(root) for root in roots))


def check(name: str) -> None:
    """A Failure when the name is not that of a path below the media."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise Failure(f"{name} is not a path below the media, like tickets/7.pdf")


def place(live: Path, name: str) -> Path:
    """Where the path of that name is; a Failure when it leads out of the media."""
    check(name)
    target = live / name
    if not target.parent.resolve().is_relative_to(live.resolve()):
        raise Failure(f"{name} leads out of the media by a link: it is not restored in place")
    return target


def make_parents(live: Path, restored: Path, folder: PurePosixPath) -> None:
    """The folders above it that are gone, with the owners and modes of the snapshot."""
    for parent in reversed([folder, *folder.parents][:-1]):
        if not (live / parent).exists():
            like = (restored / parent).stat()
            (live / parent).mkdir()
            os.chown(live / parent, like.st_uid, like.st_gid)
            shutil.copystat(restored / parent, live / parent)


def put_back(live: Path, part: Path) -> None:
    """Exchange what `part` holds with the live paths of its record; that there is nothing is exchanged too."""
    for number, name in enumerate(json.loads((part / RECORD).read_text(encoding="utf-8"))):
        target, content = place(live, name), part / str(number)
        there, held = os.path.lexists(target), os.path.lexists(content)
        if there and held:
            exchange(target, content)
        elif there:
            target.rename(content)
        elif held:
            content.rename(target)
