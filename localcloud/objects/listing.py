"""ListObjectVersions: names in order, in each name the newest version first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.s3.models import FakeKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.objects.models import Bucket


@dataclass(frozen=True)
class Page:
    """What was asked for. The markers name the last entry of the page before."""

    prefix: str
    delimiter: str | None
    key_marker: str | None
    version_marker: str | None
    size: int


def list_versions(bucket: Bucket, page: Page) -> tuple[list[Any], list[str], list[Any], str | None, str | None]:
    """(versions, common prefixes, delete markers, next key marker, next version marker)."""
    entries: list[Any] = []
    prefixes: list[str] = []
    last: tuple[str | None, str | None] = (None, None)
    for name, version in _following(bucket, page):
        group = _group(name, page)
        if group and (group == page.key_marker or (prefixes and prefixes[-1] == group)):
            continue
        if len(entries) + len(prefixes) >= page.size:
            return _result(entries, prefixes, last)
        if group:
            prefixes.append(group)
            last = (group, None)
        else:
            entries.append(version)
            last = (name, str(version.version_id))
    return _result(entries, prefixes, (None, None))


def _following(bucket: Bucket, page: Page) -> Iterator[tuple[str, Any]]:
    for name in sorted(name for name in dict(bucket.keys) if name.startswith(page.prefix)):
        if page.key_marker and name < page.key_marker:
            continue
        versions = bucket.versions(name)[::-1]
        for index, version in enumerate(versions):
            version.is_latest = index == 0
        if name == page.key_marker:
            versions = _after(versions, page.version_marker)
        for version in versions:
            yield name, version


def _after(versions: list[Any], marker: str | None) -> list[Any]:
    if not marker:
        return []
    ids = [str(version.version_id) for version in versions]
    # A marker that is gone was deleted between two pages, with all that the first page showed: the rest is to come.
    return versions[ids.index(marker) + 1 :] if marker in ids else versions


def _group(name: str, page: Page) -> str | None:
    rest = name[len(page.prefix) :]
    if not page.delimiter or page.delimiter not in rest:
        return None
    return page.prefix + rest[: rest.index(page.delimiter) + len(page.delimiter)]


def _result(
    entries: list[Any], prefixes: list[str], last: tuple[str | None, str | None]
) -> tuple[list[Any], list[str], list[Any], str | None, str | None]:
    versions = [entry for entry in entries if isinstance(entry, FakeKey)]
    markers = [entry for entry in entries if not isinstance(entry, FakeKey)]
    return versions, prefixes, markers, *last
