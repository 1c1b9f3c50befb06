"""What a versioned bucket remembers: every version of every object of a repository, and what held at a moment.

restic names its files by the SHA-256 of their content and writes each once, so a second version with other content is
always the work of somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ops.vault import Vault

History = dict[str, "list[Version]"]
"""The versions of each object, newest first, by its name inside the repository."""


@dataclass(frozen=True)
class Version:
    """One version, or the mark that hides those before it (`marker`). `modified` is the store's clock; `size` bytes."""

    name: str
    key: str
    version_id: str
    modified: datetime
    size: int
    etag: str
    latest: bool
    marker: bool


def read_history(client: Any, vault: Vault) -> History:
    """Every version under the repository's prefix. restic's locks are left out: they live for minutes."""
    found: History = {}
    pages = client.get_paginator("list_object_versions").paginate(Bucket=vault.bucket, Prefix=vault.prefix)
    for page in pages:
        for version in _of_page(page, vault.prefix):
            if not version.name.startswith("locks/"):
                found.setdefault(version.name, []).append(version)
    for versions in found.values():
        versions.sort(key=lambda item: (item.latest, item.modified), reverse=True)
    return found


def _of_page(page: Mapping[str, Any], prefix: str) -> Iterator[Version]:
    for marker, items in ((False, page.get("Versions", ())), (True, page.get("DeleteMarkers", ()))):
        for item in items:
            key = str(item["Key"])
            yield Version(
                name=key.removeprefix(prefix),
                key=key,
                version_id=str(item["VersionId"]),
                modified=item["LastModified"],
                size=int(item.get("Size", 0)),
                etag=str(item.get("ETag", "")),
                latest=bool(item["IsLatest"]),
                marker=marker,
            )


def current(history: History) -> dict[str, Version]:
    """What is there now."""
    return {name: versions[0] for name, versions in history.items() if not versions[0].marker}


def at(history: History, moment: datetime) -> dict[str, Version]:
    """What was there at the end of `moment`'s second: stores keep times to the second."""
    found: dict[str, Version] = {}
    for name, versions in history.items():
        newest = next((item for item in versions if item.modified.replace(microsecond=0) <= moment), None)
        if newest and not newest.marker:
            found[name] = newest
    return found


def overwritten(history: History) -> list[str]:
    """Objects whose content now is not what was first written."""
    return sorted(name for name, item in current(history).items() if item.etag != first(history[name]).etag)


def first_upload(history: History, name: str) -> datetime | None:
    """When the store first received this object; nobody who writes to the store can move it."""
    return first(history[name]).modified if name in current(history) else None


def first(versions: Sequence[Version]) -> Version:
    """The first content that an object had."""
    return next(item for item in reversed(versions) if not item.marker)
