"""Restore single tables of a live database: read into the side, counted, then merged in one transaction. Undo."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_host.fetch import Dumps, fetch
from tts_host.log import Failure, log, now
from tts_host.merge import merge
from tts_host.merge_sql import KEPT, SCHEMA, Merge, Source
from tts_host.postgres import Server, connect, identifier, literal
from tts_host.preflight import check_space
from tts_host.restore_databases import SPOOL, check_version, create, remove_leftovers
from tts_host.swap import Emit, aside_name
from tts_host.tables import Table, describe

if TYPE_CHECKING:
    from pathlib import Path

    from tts_host.config import Config
    from tts_host.restic import Repository, Snapshot


@dataclass(frozen=True)
class Origin:
    """One database in a snapshot: where its dump is, and what its manifest says of it."""

    repository: Repository
    snapshot: Snapshot
    folder: Path
    manifest: dict[str, Any]
    entry: dict[str, Any]


def wanted(entry: dict[str, Any], asked: list[str]) -> list[dict[str, Any]]:
    """The manifest's tables of these names: NAME, where only one schema has it, or SCHEMA.NAME."""
    found: list[dict[str, Any]] = []
    for text in asked:
        same = [each for each in entry["tables"] if text in (each["name"], f"{each['schema']}.{each['name']}")]
        if len(same) != 1:
            known = ", ".join(f"{each['schema']}.{each['name']}" for each in same or entry["tables"])
            raise Failure(
                f"the snapshot has {len(same)} tables {text} in {entry['name']}: name one, as SCHEMA.NAME, of {known}"
            )
        found += [each for each in same if each not in found]
    if not found:
        raise Failure("say which tables: tts-restore tables --database NAME --table NAME")
    return found


def restore(
    origin: Origin, config: Config, chosen: list[dict[str, Any]], *, missing_only: bool, emit: Emit
) -> list[str]:
    """Bring these tables back; returns the tables that keep the rows of before."""
    server, entry = connect(config), origin.entry
    check_version(server, origin.manifest)
    check_space(config, {config.state_dir: 2 * entry["bytes"]})
    database = entry["name"]
    owner = owner_of(server, database)
    live = [describe(server, database, each["schema"], each["name"]) for each in chosen]
    check_keys(live, missing_only=missing_only)
    server.end_own_sessions()
    remove_leftovers(server)
    side = aside_name(database, "restore")
    try:
        emit("step", step="fetch", database=database)
        fill(server, origin, side, owner, chosen)
        sources = [source_of(server, side, table, each["rows"]) for table, each in zip(live, chosen, strict=True)]
        return carry_out(config, server, database, sources, "before", missing_only=missing_only, emit=emit)
    finally:
        remove_leftovers(server)


def check_keys(live: list[Table], *, missing_only: bool) -> None:
    """What cannot be done to a table without a primary key."""
    for table in live:
        if not table.key and missing_only:
            raise Failure(f"{table.shown} has no primary key: which of its rows are missing cannot be told")
        if not table.key and table.referrers:
            raise Failure(
                f"{table.shown} has no primary key and {table.referrers[0].name} refers to it: restore the database"
            )


def fill(server: Server, origin: Origin, side: str, owner: str, chosen: list[dict[str, Any]]) -> None:
    """A database to the side with every definition of the dump, and the rows of the chosen tables only."""
    entry = origin.entry
    with ExitStack() as stack:
        place = server.tool_output("mktemp", "-d", f"{SPOOL}.XXXXXX").strip()
        stack.callback(server.tool_output, "rm", "-rf", place)
        dump = f"{place}/dump"
        fetch(server, Dumps(origin.repository, origin.snapshot, origin.folder), entry, dump)
        create(server, side, {**entry, "owner": owner})
        bare = ("--exit-on-error", "--no-owner", "--no-privileges", "--no-comments")
        read(server, side, dump, *bare, "--section=pre-data")
        for each in chosen:
            read(server, side, dump, *bare, "--data-only", f"--schema={each['schema']}", f"--table={each['name']}")


def owner_of(server: Server, database: str) -> str:
    found = server.rows(
        server.maintenance,
        f"select r.rolname as name from pg_database d join pg_roles r on r.oid = d.datdba where d.datname = "
        f"{literal(database)}",
    )
    if not found:
        raise Failure(f"there is no database {database} now: restore it as a whole")
    return found[0]["name"]


def read(server: Server, side: str, dump: str, *options: str) -> None:
    done = server.tool("pg_restore", *options, dump, database=side)
    if done.code != 0:
        raise Failure(f"pg_restore into {side} ended with {done.code}: {done.words}")


def source_of(server: Server, side: str, live: Table, rows: int) -> Source:
    """The rows in the side, after a comparison: their number with the manifest, their columns with the live ones."""
    theirs = describe(server, side, live.schema, live.name)
    found = int(server.sql(side, f"select count(*) from only {live.sql}", timeout=None))
    if found != rows:
        raise Failure(f"{live.shown} has {found} rows in the side instead of {rows}: the live table is as it was")
    unlike = [
        f"{name} was {kind} and is {live.columns.get(name, 'gone')}"
        for name, kind in theirs.columns.items()
        if live.columns.get(name) != kind
    ]
    if unlike:
        raise Failure(f"{live.shown} has changed since that backup ({', '.join(unlike)}): restore the whole database")
    return Source(live, tuple(theirs.columns), rows, side=side)


def carry_out(
    config: Config,
    server: Server,
    database: str,
    sources: list[Source],
    reason: str,
    *,
    missing_only: bool,
    emit: Emit,
) -> list[str]:
    order = Merge(
        database, tuple(sources), f"{now():%Y%m%d%H%M%S}", reason, missing_only, lock_timeout_s=config.lock_timeout_s
    )
    emit("step", step="merge", database=database)
    for counts in merge(server, order):
        emit("step", step="merged", database=database, **counts)
        log("info", database=database, **counts)
    for source in sources:
        server.sql(database, f"analyze {source.table.sql}", timeout=None)
    return [f"{database}:{SCHEMA}.{order.kept_name(source.table)}" for source in sources]


def kept(server: Server, database: str, names: list[str]) -> list[dict[str, str]]:
    """What earlier merges kept in this database, oldest first: all, or of the tables of these names."""
    found = server.rows(
        database,
        f"select c.relname as kept, substr(obj_description(c.oid, 'pg_class'), {len(KEPT) + 1}) as about"
        f" from pg_class c"
        f" where c.relnamespace = to_regnamespace('{SCHEMA}')"
        f" and starts_with(obj_description(c.oid, 'pg_class'), {literal(KEPT)})",
    )
    all_ = [{"kept": each["kept"], **json.loads(each["about"])} for each in found]
    chosen = [each for each in all_ if not names or {each["name"], f"{each['schema']}.{each['name']}"} & set(names)]
    return sorted(chosen, key=lambda each: each["at"])


def undo(config: Config, database: str, names: list[str], emit: Emit) -> list[str]:
    """Put the newest kept rows back, those of one merge together; what they replace is kept in turn."""
    server = connect(config)
    found = kept(server, database, names)
    if not found:
        raise Failure(f"no rows of {', '.join(names) or 'any table'} are kept in {database}")
    sources: list[Source] = []
    for each in (each for each in found if each["at"] == found[-1]["at"]):
        table = describe(server, database, each["schema"], each["name"])
        text = f"select count(*) from {SCHEMA}.{identifier(each['kept'])}"
        there = describe(server, database, SCHEMA, each["kept"])
        columns = tuple(name for name in there.columns if name in table.columns)
        sources.append(Source(table, columns, int(server.sql(database, text, timeout=None)), kept=each["kept"]))
    return carry_out(config, server, database, sources, "undone", missing_only=False, emit=emit)


def drop_old(config: Config, database: str, names: list[str]) -> list[str]:
    """Drop kept rows for good."""
    server = connect(config)
    found = [each["kept"] for each in kept(server, database, names)]
    for name in found:
        server.sql(database, f"drop table {SCHEMA}.{identifier(name)}")
    if found and not kept(server, database, []):
        server.sql(database, f"drop schema if exists {SCHEMA}")
    return [f"{database}:{SCHEMA}.{name}" for name in found]
