"""Restore configuration files in place, each by a rename; what they replace is kept. Undo."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tts_host.extract import extract_paths
from tts_host.log import Failure, log, now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tts_host.config import Config
    from tts_host.restic import Repository, Snapshot

RECORD, FILES = "files.json", "files"


def restore(
    config: Config, repository: Repository, snapshot: Snapshot, names: list[str]
) -> tuple[list[str], list[str]]:
    """Put back the files that differ from the snapshot's, all or those at `names`; files that came since stay.

    Returns the paths that were changed, and the folder that keeps what they were.
    """
    chosen = names or [path for path in snapshot.paths if is_ours(config, Path(path))]
    strange = [name for name in chosen if not is_ours(config, Path(name))]
    if strange:
        ours = ", ".join(map(str, config.config_paths))
        raise Failure(f"{', '.join(strange)} is not part of the configuration: {ours}. Use --target to look at it")
    fresh = config.state_dir / "config.restore"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        extract_paths(repository, snapshot, chosen, fresh)
        different = [path for path in below(fresh) if not same(fresh / path, Path("/") / path)]
        if not different:
            return [], []
        kept = keep(config, different)
        for path in different:
            put(fresh / path, Path("/") / path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [f"/{path}" for path in different], [str(kept)]


def is_ours(config: Config, path: Path) -> bool:
    return any(path == each or each in path.parents for each in config.config_paths) and ".." not in path.parts


def below(folder: Path) -> list[Path]:
    """Files and links, as paths from the root."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return sorted(path.relative_to(folder) for path in found)


def same(one: Path, other: Path) -> bool:
    """Content, mode and owner are equal."""
    if one.is_symlink() or other.is_symlink() or not other.is_file():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    mine, theirs = one.stat(), other.stat()
    marks = [(info.st_mode, info.st_uid, info.st_gid) for info in (mine, theirs)]
    return marks[0] == marks[1] and one.read_bytes() == other.read_bytes()


def keep(config: Config, paths: Iterable[Path]) -> Path:
    """A folder with these files as they are now, and a list of all, also of those that are not there."""
    folder = config.state_dir / "kept" / f"config.before_{now():%Y%m%d%H%M%S%f}"
    folder.mkdir(parents=True, mode=0o700)
    (folder / RECORD).write_text(json.dumps([str(path) for path in paths]), encoding="utf-8")
    for path in paths:
        live = Path("/") / path
        if os.path.lexists(live):
            put(live, folder / FILES / path)
    return folder


def put(source: Path, target: Path) -> None:
    """A copy under its name at once or not at all, with mode and owner."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tts-") as place:
        draft = Path(place) / "draft"
        shutil.copy2(source, draft, follow_symlinks=False)
        info = source.lstat()
        os.chown(draft, info.st_uid, info.st_gid, follow_symlinks=False)
        draft.replace(target)


def kept(config: Config) -> list[Path]:
    """What earlier restores kept, oldest first."""
    return sorted((config.state_dir / "kept").glob("config.before_*"))


def undo(config: Config) -> list[str]:
    """Put back the files of before the last restore, and take away those that it added."""
    if not kept(config):
        raise Failure("no earlier configuration is kept")
    folder = kept(config)[-1]
    paths = [Path(each) for each in json.loads((folder / RECORD).read_text(encoding="utf-8"))]
    again = keep(config, paths)
    for path in paths:
        if os.path.lexists(folder / FILES / path):
            put(folder / FILES / path, Path("/") / path)
        else:
            (Path("/") / path).unlink(missing_ok=True)
    shutil.rmtree(folder)
    log("info", put_back=len(paths))
    return [str(again)]


def drop_old(config: Config) -> list[str]:
    """Remove what earlier restores kept."""
    old = kept(config)
    for folder in old:
        shutil.rmtree(folder)
    return [str(folder) for folder in old]
