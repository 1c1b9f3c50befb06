"""State files: small JSON documents, replaced in one move so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol


class Home(Protocol):
    """What knows where the state files are: the settings of the jobs, or less."""

    @property
    def state_dir(self) -> Path: ...


def read(home: Home, name: str) -> dict[str, Any]:
    """The document of that name; empty when there is none or it is damaged."""
    try:
        found = json.loads((home.state_dir / "state" / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(home: Home, name: str, document: dict[str, Any]) -> None:
    replace(home.state_dir / "state" / f"{name}.json", json.dumps(document, indent=1) + "\n", 0o600)


def replace(path: Path, text: str, mode: int) -> None:
    """Write a whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
        keep_entry(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def keep_entry(folder: Path) -> None:
    """What was renamed in a folder stays renamed when the host loses its power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
