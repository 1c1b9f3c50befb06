"""The state on disk: one SQLite file, a row per object key, written in the transaction that precedes each answer.

A row is a pickle of moto's models, so writing costs the same however many objects a bucket holds. Bodies are files
beside it: they exist before the row that names them and go after the commit that forgets them. The journal is not
synced at each commit: a killed process loses nothing, a machine that loses power may lose the last moments.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from localcloud.objects.models import Bucket, StoredKey

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.objects.backend import DurableBackend
    from localcloud.objects.bodies import BodyFiles

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS identities (account TEXT PRIMARY KEY, state BLOB);
CREATE TABLE IF NOT EXISTS buckets (account TEXT, bucket TEXT, state BLOB, PRIMARY KEY (account, bucket));
CREATE TABLE IF NOT EXISTS items (account TEXT, bucket TEXT, kind TEXT, name TEXT, state BLOB, bodies TEXT,
                                  PRIMARY KEY (account, bucket, kind, name)) WITHOUT ROWID;
"""


class StoreVersionError(Exception):
    """The state was written by another version of moto."""


class Database:
    """Loads an account's backends and saves what a request touched. Every method runs under the store's lock."""

    def __init__(self, path: Path, bodies: BodyFiles) -> None:
        path.touch(mode=0o600)
        self._bodies = bodies
        self._garbage: list[str] = []
        self._connection = sqlite3.connect(path, timeout=1, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        self._check_version(path)

    def _check_version(self, path: Path) -> None:
        pinned = version("moto")
        self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('moto', ?)", (pinned,))
        (written,) = self._connection.execute("SELECT value FROM meta WHERE name = 'moto'").fetchone()
        if written != pinned:
            raise StoreVersionError(
                f"{path} was written with moto {written}, and moto {pinned} is installed: "
                f"install moto {written}, or remove {path.parent} (and all objects in it) to start anew"
            )

    def load(self, account: str) -> None:
        """Put an account's stored state into moto's backends."""
        row = self._connection.execute("SELECT state FROM identities WHERE account = ?", (account,)).fetchone()
        if row:
            iam_backends[account]["aws"] = pickle.loads(row[0])  # noqa: S301 (own file)
        backend = _backend(account)
        for name, state in self._connection.execute("SELECT bucket, state FROM buckets WHERE account = ?", (account,)):
            backend.buckets[name], tags = pickle.loads(state)  # noqa: S301 (own file)
            backend.tagger.tags.update(tags)
        query = "SELECT bucket, kind, name, state FROM items WHERE account = ?"
        for bucket, kind, name, state in self._connection.execute(query, (account,)):
            item, tags = pickle.loads(state)  # noqa: S301 (own file)
            backend.tagger.tags.update(tags)
            target = backend.buckets[bucket]
            if kind == "key":
                target.set_versions(name, item)
            else:
                target.multiparts[name] = item

    def reload(self, account: str) -> None:
        """Forget what is in memory and load again: after a failure in the middle of a change."""
        backend = _backend(account)
        backend.buckets.clear()
        backend.tagger.tags.clear()
        self.load(account)

    def sweep(self) -> int:
        """Delete bodies that no row names; returns how many."""
        rows = self._connection.execute("SELECT bodies FROM items")
        return self._bodies.sweep({body for (bodies,) in rows for body in json.loads(bodies)})

    def save_identities(self, account: str) -> None:
        """Write an account's users, keys and policies."""
        state = pickle.dumps(iam_backends[account]["aws"])
        self._begin()
        self._connection.execute("INSERT OR REPLACE INTO identities VALUES (?, ?)", (account, state))

    def save_bucket(self, account: str, name: str) -> None:
        """Write a bucket's own settings, or forget it and all its rows when it is gone."""
        backend = _backend(account)
        bucket = backend.buckets.get(name)
        self._begin()
        if isinstance(bucket, Bucket):
            state = pickle.dumps((bucket, _tags(backend, [bucket.arn])))
            self._connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (account, name, state))
            return
        old = self._connection.execute("SELECT bodies FROM items WHERE account = ? AND bucket = ?", (account, name))
        self._garbage += [body for (bodies,) in old for body in json.loads(bodies)]
        for table in ("items", "buckets"):
            self._connection.execute(f"DELETE FROM {table} WHERE account = ? AND bucket = ?", (account, name))  # noqa: S608

    def save_key(self, account: str, bucket_name: str, key: str) -> None:
        """Write all versions of a key with their tags."""
        backend = _backend(account)
        bucket = backend.buckets.get(bucket_name)
        versions = bucket.versions(key) if bucket else []
        keys = [version for version in versions if isinstance(version, StoredKey)]
        state = pickle.dumps((versions, _tags(backend, [item.arn for item in keys]))) if versions else None
        self._save((account, bucket_name, "key", key), state, [item.body_id for item in keys])

    def save_upload(self, account: str, bucket_name: str, upload_id: str) -> None:
        """Write an upload in parts, or forget it when it is completed or aborted."""
        bucket = _backend(account).buckets.get(bucket_name)
        upload = bucket.multiparts.get(upload_id) if bucket else None
        bodies = [part.body_id for part in upload.parts.values() if isinstance(part, StoredKey)] if upload else []
        self._save((account, bucket_name, "upload", upload_id), pickle.dumps((upload, {})) if upload else None, bodies)

    def _save(self, row: tuple[str, str, str, str], state: bytes | None, bodies: list[str]) -> None:
        self._begin()
        where = "account = ? AND bucket = ? AND kind = ? AND name = ?"
        old = self._connection.execute(f"SELECT bodies FROM items WHERE {where}", row).fetchone()  # noqa: S608
        self._garbage += [body for body in json.loads(old[0]) if body not in bodies] if old else []
        if state is None:
            self._connection.execute(f"DELETE FROM items WHERE {where}", row)  # noqa: S608
        else:
            self._connection.execute(
                "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?)", (*row, state, json.dumps(bodies))
            )

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")

    def commit(self) -> None:
        """Make the saved durable, then remove the bodies that it forgot."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._bodies.remove(self._garbage)
        self._garbage.clear()

    def rollback(self) -> None:
        """Drop what was saved since the last commit."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._garbage.clear()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _backend(account: str) -> DurableBackend:
    return s3_backends[account]["aws"]  # pyright: ignore[reportReturnType]


def _tags(backend: DurableBackend, arns: list[str]) -> dict[str, Any]:
    """The tags of these resources; moto's empty entries, one per object ever put, are dropped on the way."""
    tags = backend.tagger.tags
    for arn in arns:
        if not tags.get(arn):
            tags.pop(arn, None)
    return {arn: tags[arn] for arn in arns if arn in tags}
