"""Step `restore`: read what is asked for, show the plan, and only with --yes do it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host import (
    extract,
    restore_bucket,
    restore_config,
    restore_databases,
    restore_media,
    restore_tables,
    swap,
)
from tts_host.choose import choose, read_manifest
from tts_host.config import Config, load
from tts_host.log import Failure, now, record, stamp, step
from tts_host.restic import Repository, Snapshot, repository

if TYPE_CHECKING:
    from types import ModuleType


def main(args: list[str]) -> None:
    options = arguments().parse_args(args)
    begun = now()
    config = load()
    outcome: dict[str, Any] = {"result": "ok", "error": None, "kept": []}
    try:
        outcome["kept"] = ACTIONS[options.what](config, options)
    except Failure as failure:
        outcome |= {"result": "failed", "error": str(failure)}
        raise
    finally:
        if not options.dry_run:
            emit(options, "result", **outcome, seconds=round((now() - begun).total_seconds()))


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tts-restore")
    parser.add_argument("what", choices=sorted(ACTIONS))
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--database", action="append", default=[])
    parser.add_argument("--table", action="append", default=[])
    parser.add_argument("--missing-only", action="store_true", help="add the rows that are gone, change no other")
    parser.add_argument("--snapshot", default="latest")
    parser.add_argument("--repository", default="local")
    parser.add_argument("--host", help="whose snapshots; this host's own when left out")
    parser.add_argument("--stack", help="which stack's snapshots; this host's own when left out")
    parser.add_argument("--kind", choices=("config", "media"), default="config")
    parser.add_argument("--target", type=Path)
    for flag in ("--dry-run", "--yes", "--json", *(f"--{part}" for part in PARTS)):
        parser.add_argument(flag, action="store_true")
    return parser


def emit(options: argparse.Namespace, event: str, **fields: Any) -> None:
    """One event: a JSON line for programs, else words."""
    if options.json:
        print(json.dumps({"event": event, **fields}, ensure_ascii=False), flush=True)
        return
    words = " ".join(
        f"{key}={json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value}"
        for key, value in fields.items()
        if value is not None
    )
    print(f"{event}: {words}", flush=True)


def find(config: Config, options: argparse.Namespace, kind: str) -> tuple[Repository, Snapshot]:
    source = repository(config, options.repository)
    return source, choose(source, options.host or config.host, options.stack or config.stack, kind, options.snapshot)


def planned(options: argparse.Namespace, **plan: Any) -> bool:
    """Show the plan; False for a dry run. Without --yes this is the end."""
    emit(options, "plan", **plan)
    if options.dry_run:
        return False
    if not options.yes:
        raise Failure("nothing was changed: add --yes to do this, or --dry-run to see the plan only")
    return True


def restore_of_databases(config: Config, options: argparse.Namespace) -> list[str]:
    source, snapshot = find(config, options, "databases")
    folder, manifest = read_manifest(source, snapshot)
    known = [entry["name"] for entry in manifest["databases"]]
    absent = [name for name in options.database if name not in known]
    if absent:
        raise Failure(f"snapshot {snapshot.id[:8]} has no database {', '.join(absent)}; it has {', '.join(known)}")
    entries = [entry for entry in manifest["databases"] if not options.database or entry["name"] in options.database]
    shown = [{"name": entry["name"], "rows": entry["rows"], "bytes": entry["bytes"]} for entry in entries]
    if not planned(options, **about(source, snapshot), databases=shown):
        return []
    return restore_databases.restore(config, source, snapshot, folder, entries, manifest, sayer(options))


def restore_of_tables(config: Config, options: argparse.Namespace) -> list[str]:
    if len(options.database) != 1:
        raise Failure("say in which one database: tts-restore tables --database NAME --table NAME")
    source, snapshot = find(config, options, "databases")
    folder, manifest = read_manifest(source, snapshot)
    entry = next((each for each in manifest["databases"] if each["name"] == options.database[0]), None)
    if not entry:
        known = ", ".join(each["name"] for each in manifest["databases"])
        raise Failure(f"snapshot {snapshot.id[:8]} has no database {options.database[0]}; it has {known}")
    chosen = restore_tables.wanted(entry, options.table)
    shown = [{"name": f"{each['schema']}.{each['name']}", "rows": each["rows"]} for each in chosen]
    plan = {"database": entry["name"], "tables": shown, "missing_only": options.missing_only}
    if not planned(options, **about(source, snapshot), **plan):
        return []
    return restore_tables.restore(
        restore_tables.Origin(source, snapshot, folder, manifest, entry),
        config,
        chosen,
        missing_only=options.missing_only,
        emit=sayer(options),
    )


def restore_of_media(config: Config, options: argparse.Namespace) -> list[str]:
    source, snapshot = find(config, options, "media")
    if options.paths:
        if not planned(options, **about(source, snapshot), paths=options.paths):
            return []
        return media(config).restore_paths(config, source, snapshot, options.paths)
    if not planned(options, **about(source, snapshot), files=snapshot.files, bytes=snapshot.bytes):
        return []
    return media(config).restore(config, source, snapshot, sayer(options))


def restore_of_config(config: Config, options: argparse.Namespace) -> list[str]:
    source, snapshot = find(config, options, "config")
    paths = options.paths or [str(path) for path in config.config_paths]
    if not planned(options, **about(source, snapshot), files=snapshot.files, bytes=snapshot.bytes, paths=paths):
        return []
    changed, kept = restore_config.restore(config, source, snapshot, options.paths)
    emit(options, "step", step="restored", files=len(changed), changed=changed)
    return kept


def media(config: Config) -> ModuleType:
    """Who restores media: into the bucket, or into the volume."""
    return restore_bucket if config.media_bucket else restore_media


def restore_of_paths(config: Config, options: argparse.Namespace) -> list[str]:
    if not options.paths or not options.target:
        raise Failure("say which paths and where to: tts-restore path PATH... --target DIR")
    source, snapshot = find(config, options, options.kind)
    if not planned(options, **about(source, snapshot), paths=options.paths, target=str(options.target)):
        return []
    files = extract.extract_paths(source, snapshot, options.paths, options.target)
    emit(options, "step", step="restored", files=files)
    return []


def undo(config: Config, options: argparse.Namespace) -> list[str]:
    if not planned(options, undo=what_is_kept(options)):
        return []
    if options.media:
        return media(config).undo(config, sayer(options))
    if options.config:
        return restore_config.undo(config)
    if options.tables:
        return restore_tables.undo(config, one_database(options), options.table, sayer(options))
    return swap.undo(config, options.database, sayer(options))


def drop_old(config: Config, options: argparse.Namespace) -> list[str]:
    if not planned(options, drop=what_is_kept(options)):
        return []
    if options.media:
        dropped = media(config).drop_old(config)
    elif options.config:
        dropped = restore_config.drop_old(config)
    elif options.tables:
        dropped = restore_tables.drop_old(config, one_database(options), options.table)
    else:
        dropped = swap.drop_old(config, options.database)
    emit(options, "step", step="drop", dropped=dropped)
    return []


def what_is_kept(options: argparse.Namespace) -> str:
    """The kept data that an undo or a drop is about, in words."""
    part = next((part for part in PARTS if getattr(options, part)), "")
    if part == "tables":
        return f"{', '.join(options.table) or 'tables'} of {one_database(options)}"
    return part or ", ".join(options.database) or "every database with a kept copy"


def one_database(options: argparse.Namespace) -> str:
    if len(options.database) != 1:
        raise Failure("say in which one database: --tables --database NAME")
    return options.database[0]


def sayer(options: argparse.Namespace) -> swap.Emit:
    return lambda event, **fields: emit(options, event, **fields)


def about(source: Repository, snapshot: Snapshot) -> dict[str, Any]:
    record(snapshot=snapshot.id)
    return {"repository": source.name, "snapshot": snapshot.id, "time": stamp(snapshot.time)}


ACTIONS = {
    "databases": restore_of_databases,
    "tables": restore_of_tables,
    "media": restore_of_media,
    "config": restore_of_config,
    "path": restore_of_paths,
    "undo": undo,
    "drop-old": drop_old,
}
PARTS = ("media", "config", "tables")  # what undo and drop-old are about, if not whole databases

if __name__ == "__main__":
    step(main)
