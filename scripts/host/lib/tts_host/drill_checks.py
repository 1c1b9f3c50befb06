"""What a drill looks at once the data is back: indexes, constraints, media by hash, files that rows refer to."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host import docker
from tts_host.extract import extract_paths
from tts_host.log import Failure
from tts_host.postgres import identifier
from tts_host.swap import aside_name

if TYPE_CHECKING:
    from tts_host.config import Config
    from tts_host.postgres import Server
    from tts_host.restic import Repository, Snapshot

REFERENCE = re.compile(r"([^:.]+):(?:([^:.]+)\.)?([^:.]+)\.([^:.]+)")  # DATABASE:[SCHEMA.]TABLE.COLUMN
SHOWN = 20
INVALID_INDEXES = """
select indexrelid::regclass::text as name from pg_index where not (indisvalid and indisready and indislive)
"""
UNPROVEN = """
select format('%s on %s', conname, conrelid::regclass) as name from pg_constraint where not convalidated
"""
HAS_AMCHECK = "select count(*) as n from pg_available_extensions where name = 'amcheck'"
# Every entry of the tree in its place, and every row of the table in its index.
AMCHECK = """
create extension if not exists amcheck;
select count(*) from (
  select bt_index_check(c.oid, true)
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
    join pg_namespace n on n.oid = c.relnamespace
   where a.amname = 'btree' and c.relkind = 'i' and i.indisvalid and c.relpersistence <> 't'
     and n.nspname <> 'information_schema' offset 0) checked;
"""


def check_integrity(server: Server, side: str, name: str, report: dict[str, Any], findings: list[str]) -> None:
    """Indexes usable, trees and tables in agreement. The restore itself has proven the validated constraints."""
    invalid = [row["name"] for row in server.rows(side, INVALID_INDEXES)]
    if invalid:
        findings.append(f"{name}: invalid indexes after the restore: {', '.join(invalid)}")
    unproven = [row["name"] for row in server.rows(side, UNPROVEN)]
    if unproven:
        report["notes"].append(
            f"{name}: constraints that are not validated in production either: {', '.join(unproven)}"
        )
    try:
        if server.rows(side, HAS_AMCHECK)[0]["n"]:
            checked = server.sql(side, AMCHECK, timeout=None).split()[-1]
            report["databases"][name]["indexes_checked"] = int(checked)
        else:
            report["notes"].append(f"{name}: the server has no amcheck, indexes were not compared with their tables")
    except Failure as failure:
        raise Failure(f"{name} is damaged: {failure}") from None


def check_media(
    config: Config,
    source: Repository,
    snapshot: Snapshot,
    sample: int,
    report: dict[str, Any],
    findings: list[str],
) -> None:
    """Restore a sample; every file must be readable and whole, and equal to the live one where that has not changed."""
    listed = source.files(snapshot.id)
    if not listed:
        findings.append(f"media snapshot {snapshot.id[:8]} holds no file")
        return
    chosen = random.sample(sorted(listed), min(sample, len(listed)))
    place = Path(tempfile.mkdtemp(prefix="drill-media.", dir=config.state_dir))
    try:
        extract_paths(source, snapshot, chosen, place)
        compared, wrong = compare(config, snapshot, chosen, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    report["media"] = {"files": len(listed), "sampled": len(chosen), "compared_with_live": compared}
    if wrong:
        findings.append(f"media restored with another content than the unchanged live file: {', '.join(wrong[:SHOWN])}")


def compare(config: Config, snapshot: Snapshot, paths: list[str], place: Path) -> tuple[int, list[str]]:
    """How many files were compared with live ones of the same size and time, and which of them differ."""
    try:
        live = live_media(config)
    except (Failure, OSError):
        return 0, []  # a drill away from the host has no live files
    compared, wrong = 0, list[str]()
    for path in paths:
        restored, there = place / path.lstrip("/"), live / path[len(snapshot.paths[0]) :].lstrip("/")
        try:
            same = (
                restored.stat().st_size == there.stat().st_size
                and restored.stat().st_mtime_ns == there.stat().st_mtime_ns
            )
            if same:
                compared += 1
                if sha256_of(restored) != sha256_of(there):
                    wrong.append(path)
        except OSError:
            continue  # deleted since
    return compared, wrong


def live_media(config: Config) -> Path:
    """The live volume, or the mirror of the bucket as the last backup has left it."""
    return config.media_mirror if config.media_bucket else docker.volume_folder(config.project, config.media_volume)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_references(
    config: Config, source: Repository, server: Server, report: dict[str, Any], findings: list[str]
) -> None:
    """Files that restored rows name and the media snapshot lacks. One that the live volume had by then is a finding."""
    if not config.media_references or not config.has_media:
        return
    snapshot = next(
        (item for item in reversed(source.snapshots(config.host, "media")) if item.tag("stack") == config.stack), None
    )
    if snapshot is None:
        return  # the media's own part says so
    stored = {path[len(snapshot.paths[0]) :].lstrip("/") for path in source.files(snapshot.id)}
    missing: list[str] = []
    for reference in config.media_references:
        missing += [name for name in named_files(server, reference) if name.lstrip("/") not in stored]
    report["media_missing"] = missing[:SHOWN]
    if not missing:
        return
    lost = [name for name in missing if was_there(config, snapshot, name)]
    shown = f"{', '.join(missing[:SHOWN])}{' ...' if len(missing) > SHOWN else ''}"
    text = f"{len(missing)} files that rows refer to are not in media snapshot {snapshot.id[:8]}: {shown}"
    (findings if lost else report["notes"]).append(text)


def named_files(server: Server, reference: str) -> list[str]:
    """The distinct file names in one column of a restored database."""
    parts = REFERENCE.fullmatch(reference)
    if not parts:
        raise Failure(f"TTS_MEDIA_REFERENCES: {reference} is not DATABASE:[SCHEMA.]TABLE.COLUMN")
    database, schema, table, column = parts.groups()
    name, of = identifier(column), ".".join(identifier(part) for part in (schema, table) if part)
    select = f"select distinct {name}::text as name from {of} where coalesce({name}::text, '') <> '' order by 1"
    return [row["name"] for row in server.rows(aside_name(database, "restore"), select)]


def was_there(config: Config, snapshot: Snapshot, name: str) -> bool:
    """Whether the live volume has the file, since before the snapshot: then the backup has passed it over."""
    try:
        live = live_media(config) / name.lstrip("/")
        return live.stat().st_ctime < snapshot.time.timestamp()
    except (Failure, OSError):
        return False
