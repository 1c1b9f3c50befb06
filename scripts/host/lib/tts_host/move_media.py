"""Copy the media between the volume and the bucket. A file has one name on both sides, so rows that name it hold."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_host.bucket import COMMON, differences, hashes_below, shown
from tts_host.log import Failure, log

if TYPE_CHECKING:
    from pathlib import Path

    from tts_host.bucket import Bucket


@dataclass
class Media:
    """The two places, and which way the files go. `pass_s` is the time of the last pass, in which little was new."""

    folder: Path
    bucket: Bucket
    outwards: bool
    pass_s: float = 0.0

    def check(self) -> None:
        """The bucket answers, and everything in the volume can be in a bucket."""
        self.bucket.check()
        if self.outwards:
            odd = [text for text in map(self.unfit, walk(self.folder)) if text]
            if odd:
                raise Failure(f"the media volume has what no bucket can hold: {shown(odd)}")

    def unfit(self, path: Path) -> str | None:
        name = os.fsencode(path.relative_to(self.folder))
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            return f"{name!r} (its name is no UTF-8)"
        mode = path.lstat().st_mode
        return None if stat.S_ISREG(mode) else f"{name.decode()} ({'a link' if stat.S_ISLNK(mode) else 'no file'})"

    def copy(self) -> None:
        """While the application runs: what is there now. Files that come and go meanwhile are for the last pass."""
        done = self.bucket.try_run("copy", *self.words())
        if done.code != 0:
            log("warning", warning=f"some media could not be copied yet: {done.words[-500:]}")
        self.own()

    def sync(self) -> None:
        """Make the new place equal to the old one. Only what is not new there goes; a bucket keeps it as a version."""
        began = time.monotonic()
        self.bucket.run("sync", *self.words())
        self.own()
        self.pass_s = time.monotonic() - began

    def words(self) -> tuple[str, ...]:
        """Where from and where to, by checksum."""
        places = (str(self.folder), self.bucket.remote)
        return (*COMMON, "--checksum", *(places if self.outwards else reversed(places)))

    def compare(self) -> int:
        """Every file by its hash, read on this disk and told by the store. Returns how many there are."""
        here, there = hashes_below(self.folder), self.bucket.hashes()
        old, new = (here, there) if self.outwards else (there, here)
        wrong = differences(old, new)
        if wrong:
            raise Failure(f"media differ on the new side: {shown(wrong)}")
        return len(old)

    def own(self) -> None:
        """Files that came from a bucket belong to whom the volume belongs to, as the application's own do."""
        if self.outwards or os.geteuid() != 0:
            return
        owner = self.folder.stat()
        for path in (self.folder, *self.folder.rglob("*")):
            there = path.lstat()
            if (there.st_uid, there.st_gid) != (owner.st_uid, owner.st_gid):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
            mode = 0o755 if stat.S_ISDIR(there.st_mode) else 0o644
            if path != self.folder and not stat.S_ISLNK(there.st_mode) and there.st_mode & mode != mode:
                path.chmod(stat.S_IMODE(there.st_mode) | mode)


def walk(folder: Path) -> list[Path]:
    """Everything below the folder that is no directory."""
    return [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
