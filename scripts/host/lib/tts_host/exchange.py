"""Two paths change places in one step of the kernel: at no moment is either missing."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from tts_host.log import Failure

if TYPE_CHECKING:
    from pathlib import Path

RENAME_EXCHANGE = 2
AT_FDCWD = -100


def exchange(one: Path, other: Path) -> None:
    """Swap two files or directories of one file system."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise Failure(f"cannot exchange {one} and {other}: {os.strerror(code)}")
