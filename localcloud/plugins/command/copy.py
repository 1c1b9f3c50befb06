"""Copy a file, a text or a directory to a host, with the real plugin's rules for where it lands.

| source | destination is a directory | does not exist | is a file |
|---|---|---|---|
| dir | dest/dir | dest/dir | error |
| dir/ | dest/x for each x in dir | the same | error |
| file | dest/file | dest | dest, overwritten |

Files are truncated and written in place, without modes; nothing that is already there is removed.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from localcloud.plugins.codec import CloudError

if TYPE_CHECKING:
    from localcloud.plugins.values import Asset


async def copy(host: asyncssh.SSHClientConnection, source: Asset, destination: str) -> None:
    """Copy the source; raises CloudError when the two do not fit together."""
    async with host.start_sftp_client() as sftp:
        if source.text is not None:
            await _copy_text(sftp, source.text, destination)
        else:
            await _copy_path(sftp, source.path or "", destination)


async def _copy_text(sftp: Any, text: str, destination: str) -> None:
    if await sftp.isdir(destination):
        raise CloudError(
            f"remote path {destination} is a directory; when using a text asset, remotePath must be a file path"
        )
    await sftp.makedirs(posixpath.dirname(destination) or ".", exist_ok=True)
    await _write(sftp, text.encode(), destination)


async def _copy_path(sftp: Any, source: str, destination: str) -> None:
    path = Path(source)
    if path.is_dir():
        await _copy_root(sftp, source, destination)
        return
    if await sftp.isdir(destination):
        destination = posixpath.join(destination, path.name)
    elif not await sftp.exists(destination):
        await sftp.makedirs(posixpath.dirname(destination) or ".", exist_ok=True)
    await _copy_file(sftp, path, destination)


async def _copy_root(sftp: Any, source: str, destination: str) -> None:
    if await sftp.exists(destination) and not await sftp.isdir(destination):
        raise CloudError(f"remote path {destination} exists but is not a directory")
    await sftp.makedirs(destination, exist_ok=True)
    if not source.endswith("/"):
        destination = posixpath.join(destination, Path(source).name)
    await _copy_tree(sftp, Path(source), destination)


async def _copy_tree(sftp: Any, source: Path, destination: str) -> None:
    if not await sftp.exists(destination):
        await sftp.mkdir(destination)
    elif not await sftp.isdir(destination):
        raise CloudError(f"remote path {destination} exists but is not a directory")
    for entry in sorted(source.iterdir()):
        target = posixpath.join(destination, entry.name)
        if entry.is_dir() and not entry.is_symlink():
            await _copy_tree(sftp, entry, target)
        else:
            await _copy_file(sftp, entry, target)


async def _copy_file(sftp: Any, source: Path, destination: str) -> None:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise CloudError(f"cannot read {source}: {error.strerror}") from error
    await _write(sftp, content, destination)


async def _write(sftp: Any, content: bytes, destination: str) -> None:
    try:
        async with sftp.open(destination, "wb") as remote:
            await remote.write(content)
    except asyncssh.SFTPError as error:
        raise CloudError(f"failed to create remote file {destination}: {error}") from error
