"""A folder as one tar whose name and bytes depend on nothing but the files: the unit that is copied to hosts.

One file instead of a directory, because the copy over SFTP keeps no modes, leaves stale files and writes in place. The
digest is in the name, so a new content is a new file beside the old one, and a script that runs is never overwritten.
"""

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEFT_OUT: Final = frozenset(
    {".git", ".local", ".env", ".venv", "venv", "node_modules", "__pycache__", ".pytest_cache", ".ruff_cache"}
)
"""Names that are never copied: secrets of a developer's machine, and what tools leave behind."""


@dataclass(frozen=True)
class Bundle:
    """A packed folder: its role (`host`, `app`), the tar on this machine, the first 12 digits of its SHA-256."""

    label: str
    tar: Path
    digest: str

    @property
    def remote_tar(self) -> str:
        """Where the tar goes on a host; the directory exists on every host and is root's alone."""
        return f"{self.remote_folder}.tar"

    @property
    def remote_folder(self) -> str:
        """Where it is unpacked on a host."""
        return f"/root/tts-{self.label}-{self.digest}"

    @property
    def unpack(self) -> str:
        """Shell text that unpacks the tar and removes what earlier versions left."""
        mine = f"tts-{self.label}-{self.digest}"
        return (
            f"find /root -mindepth 1 -maxdepth 1 -name 'tts-{self.label}-*' ! -name '{mine}*' -exec rm -rf {{}} + && "
            f"mkdir -p {self.remote_folder} && tar -xf {self.remote_tar} -C {self.remote_folder}"
        )


def pack(label: str, folder: Path, into: Path) -> Bundle:
    """Pack `folder` into the directory `into`. Raises FileNotFoundError, with the folder's name, if it is not there."""
    if not folder.is_dir():
        raise FileNotFoundError(f"nothing to copy to the hosts: {folder} is not a directory")
    content = _tar(folder)
    digest = hashlib.sha256(content).hexdigest()[:12]
    target = into / f"{label}-{digest}.tar"
    if not target.exists():
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=into, prefix=".", delete=False) as draft:
            draft.write(content)
        Path(draft.name).replace(target)
    return Bundle(label, target, digest)


def _tar(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(folder):
            entry = archive.gettarinfo(str(path), arcname=path.relative_to(folder).as_posix())
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            entry.mode = 0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644
            if entry.isreg():
                with path.open("rb") as source:
                    archive.addfile(entry, source)
            else:
                archive.addfile(entry)
    return buffer.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name in LEFT_OUT or path.suffix == ".pyc":
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
