"""What the API knows, in one JSON file: whole transactions, replaced atomically, safe against a kill at any moment."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Record = dict[str, Any]
FIRST_ID = 1000


class Store:
    """Kinds of records by id. Everything happens inside `transaction()`; what raises there leaves no trace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._depth = 0
        self._text = path.read_text() if path.exists() else "{}"
        self._data: dict[str, Any] = json.loads(self._text)

    @contextmanager
    def transaction(self) -> Iterator["Store"]:
        """Hold the store for one thread; the outermost of nested transactions saves, or forgets on an exception."""
        with self._lock:
            self._depth += 1
            try:
                yield self
                if self._depth == 1:
                    self._save()
            except BaseException:
                if self._depth == 1:
                    self._data = json.loads(self._text)
                raise
            finally:
                self._depth -= 1

    def kind(self, name: str) -> dict[str, Record]:
        """Give the records of a kind, by id as text, in the order of their creation. For use in a transaction."""
        return self._data.setdefault(name, {})

    def next_id(self) -> int:
        """Give a number that was never given before."""
        self._data["last_id"] = self._data.get("last_id", FIRST_ID) + 1
        return self._data["last_id"]

    def _save(self) -> None:
        text = json.dumps(self._data, indent=1)
        if text != self._text:
            write_private(self._path, text)
            self._text = text


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner can read it."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
