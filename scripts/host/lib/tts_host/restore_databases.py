"""Restore databases to the side, compare every row count with the manifest, then swap all of them in at once."""

from __future__ import annotations

import hashlib
import re
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from subprocess import DEVNULL, PIPE
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from tts_host import services
from tts_host.fetch import Dumps, copy
from tts_host.log import Failure, log
from tts_host.postgres import RESTORE_MARK, RESTORE_NAME, Server, connect, identifier, literal
from tts_host.preflight import check_space
from tts_host.process import Done, end
from tts_host.swap import Emit, aside_name, swap_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tts_host.config import Config
    from tts_host.restic import Repository, Snapshot

SIDE_BY_SIDE = 2  # databases that are filled at once: a droplet of the first rung has two processors
# Settings that are stored as lists of quoted names already.
RAW_LISTS = {"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}
SPOOL = "/var/tmp/tts-restore"  # noqa: S108 - mktemp makes a private directory of that prefix


def restore(
    config: Config,
    repository: Repository,
    snapshot: Snapshot,
    folder: Path,
    entries: list[dict[str, Any]],
    manifest: dict[str, Any],
    emit: Emit,
) -> list[str]:
    """Restore these databases; returns the names under which the old ones are kept. Until the swap nothing live is
    touched.
    """
    server = connect(config)
    check_version(server, manifest)
    check_space(config, {config.state_dir: sum(entry["database_bytes"] for entry in entries)})
    dumps = Dumps(repository, snapshot, folder)
    add_missing_roles(server, dumps, manifest["globals"])
    server.end_own_sessions()
    remove_leftovers(server)
    entries = [as_is_here(server, entry) for entry in entries]
    incoming = [(entry["name"], aside_name(entry["name"], "restore")) for entry in entries]
    try:
        with services.ahead(config) as stop:
            fill_aside(server, dumps, entries, emit, stop.begin)
            return swap_in(config, server, incoming, "before", emit, stop)
    finally:
        remove_leftovers(server)


def check_version(server: Server, manifest: dict[str, Any]) -> None:
    number, text = server.version()
    theirs = manifest["server"]
    if theirs["version_num"] // 10000 > number // 10000:
        raise Failure(
            f"the backup is from PostgreSQL {theirs['version']}, this server is {text}: restore into the same or a "
            "newer major version"
        )


def add_missing_roles(server: Server, dumps: Dumps, expected: dict[str, Any]) -> None:
    """Create the roles that this server lacks. Roles that exist keep their password and settings."""
    there = {row["name"] for row in server.rows(server.maintenance, "select rolname as name from pg_roles")}
    missing = [role for role in expected["roles"] if role not in there]
    if not missing:
        return
    globals_sql = dumps.repository.read(dumps.snapshot.id, str(dumps.folder / expected["file"]))
    if hashlib.sha256(globals_sql.encode("utf-8", "surrogateescape")).hexdigest() != expected["sha256"]:
        raise Failure("the globals of this snapshot do not have the checksum of its manifest")
    server.sql(
        server.maintenance, "\n".join(role_statements(globals_sql, missing, humbly=server.mode == "managed")) + "\n"
    )
    log("info", created_roles=", ".join(missing))


def as_is_here(server: Server, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry as this server has that database. A backup may be from the other side of a move, where the database is
    another role's; and the administrator of a managed server can give tables to an owner only by being one.
    """
    live = next((item for item in server.databases() if item["name"] == entry["name"]), None)
    if live is None or (server.mode != "managed" and live["owner"] == entry["owner"]):
        return entry
    log("info", database=entry["name"], restored_for=live["owner"])
    return {**entry, **{key: live[key] for key in ("owner", "acl", "settings")}, "adopted": True}


def role_statements(globals_sql: str, missing: list[str], *, humbly: bool = False) -> list[str]:
    """The lines of the globals that make these roles and their memberships; `humbly` by one who is no superuser."""
    if humbly:  # what only a superuser may give goes; a role that is one belongs to the other server's administration
        above = set(re.findall(r"^ALTER ROLE (.+) WITH SUPERUSER\b", globals_sql, re.MULTILINE))
        missing = [role for role in missing if not above & {role, identifier(role)}]
        globals_sql = re.sub(r" (NO)?(SUPERUSER|REPLICATION|BYPASSRLS)\b", "", globals_sql)
    if not missing:
        return []
    written = "|".join(re.escape(name) for role in missing for name in {role, identifier(role)})
    pattern = re.compile(rf"(CREATE ROLE|ALTER ROLE|COMMENT ON ROLE) ({written})[ ;]|GRANT .* TO ({written})[ ;]")
    return [line for line in globals_sql.splitlines() if pattern.match(line)]


def fill_aside(
    server: Server, dumps: Dumps, entries: list[dict[str, Any]], emit: Emit, loaded: Callable[[], None]
) -> None:
    """Fill NAME__restore of every database, some at a time; the largest first, for they end together then.

    `loaded` is called when all of them have their rows, which are still to be counted: the application takes seconds
    to stop, and may begin to.
    """
    halt, left, lock = Event(), len(entries), Lock()

    def one_loaded() -> None:
        nonlocal left
        with lock:
            left -= 1
        if not left and not halt.is_set():
            loaded()

    def one(entry: dict[str, Any]) -> None:
        if not halt.is_set():
            emit("step", step="restore", database=entry["name"], done=sum(map(Future.done, begun)), of=len(entries))
            restore_aside(server, dumps, entry, one_loaded)

    begun: dict[Future[None], dict[str, Any]] = {}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        begun |= {pool.submit(one, entry): entry for entry in sorted(entries, key=lambda entry: -entry["bytes"])}
        try:
            for number, future in enumerate(as_completed(begun), start=1):
                future.result()
                entry = begun[future]
                emit("step", step="compare", database=entry["name"], done=number, of=len(entries), rows=entry["rows"])
        except BaseException:
            halt.set()
            with suppress(Failure):
                server.end_own_sessions()  # else the pool would wait for them
            raise


def restore_aside(
    server: Server, dumps: Dumps, entry: dict[str, Any], loaded: Callable[[], None] = lambda: None
) -> None:
    """Fill NAME__restore from the snapshot and prove that it has the manifest's rows."""
    side = aside_name(entry["name"], "restore")
    create(server, side, entry)
    fill(server, dumps, entry, side)
    loaded()
    apply_properties(server, side, entry)
    compare(entry, server.count_rows(side))
    server.sql(side, "analyze", timeout=None)


def fill(server: Server, dumps: Dumps, entry: dict[str, Any], side: str) -> None:
    """Give the dump to pg_restore as it comes: no copy of it needs room on the host."""
    owner = ("--no-owner", "--no-acl", f"--role={entry['owner']}") if entry.get("adopted") else ()
    with tempfile.TemporaryFile() as said, dumps.stream(entry) as content:
        process = server.stream(
            "pg_restore", "--exit-on-error", *owner, database=side, stdin=PIPE, stdout=DEVNULL, stderr=said
        )
        digest = ""
        try:
            with suppress(BrokenPipeError):  # it has ended, and says why
                digest = copy(content, process)
            code = process.wait()
        finally:
            end(process)
        said.seek(0)
        # Other bytes than the manifest's are the reason themselves: the repository's, or the check's below.
        if not digest or (code != 0 and digest == entry["sha256"]):
            done = Done(code, "", said.read().decode("utf-8", "replace"))
            raise Failure(f"pg_restore of {entry['name']} ended with {code}: {done.words}")
    dumps.check(entry, digest)


def create(server: Server, side: str, entry: dict[str, Any]) -> None:
    """An empty database like the original, marked as unfinished.

    `create database` takes no transaction, so it is made under a name that says the same as the mark: killed between
    the two, the next restore still knows whose it is.
    """
    made = RESTORE_NAME + hashlib.sha256(side.encode()).hexdigest()[:12]
    locale = {"i": "icu_locale", "b": "builtin_locale"}.get(entry.get("provider") or "")
    extra = f" locale_provider {locale.split('_')[0]} {locale} {literal(entry['locale'])}" if locale else ""
    try:
        server.sql(
            server.maintenance,
            f"create database {made} template template0 owner {identifier(entry['owner'])} encoding "
            f"{literal(entry['encoding'])}"
            f" lc_collate {literal(entry['collate'])} lc_ctype {literal(entry['ctype'])}{extra};\n"
            f"begin;\nalter database {made} rename to {identifier(side)};\n"
            f"comment on database {identifier(side)} is {literal(RESTORE_MARK)};\ncommit;\n",
        )
    except Failure:
        server.drop(made)
        raise


def apply_properties(server: Server, side: str, entry: dict[str, Any]) -> None:
    """Grants on the database and its settings, which an archive does not restore under another name."""
    name = identifier(side)
    lines = [f"revoke all on database {name} from public;"] if entry["acl"] else []
    lines += [
        f"grant {a['privilege']} on database {name} to {a['role']}{' with grant option' if a['grantable'] else ''};"
        for a in entry["acl"]
    ]
    for item in entry["settings"]:
        key, _, value = item["setting"].partition("=")
        target = (
            f"alter role {identifier(item['role'])} in database {name}" if item["role"] else f"alter database {name}"
        )
        lines.append(f"{target} set {identifier(key)} to {value if key in RAW_LISTS else literal(value)};")
    if lines:
        server.sql(server.maintenance, "\n".join(lines) + "\n")


def compare(entry: dict[str, Any], found: list[dict[str, Any]]) -> None:
    """Every table and every row count, exactly."""
    wanted = {(table["schema"], table["name"]): table["rows"] for table in entry["tables"]}
    there = {(table["schema"], table["name"]): table["rows"] for table in found}
    wrong = [
        f"{'.'.join(key)}: {there.get(key, 'missing')} instead of {wanted.get(key, 'none')}"
        for key in sorted({*wanted, *there})
        if wanted.get(key) != there.get(key)
    ]
    if wrong:
        raise Failure(
            f"{entry['name']}: restored rows differ from the manifest: {'; '.join(wrong[:10])}. The live database is "
            "as it was"
        )


def remove_leftovers(server: Server) -> None:
    """Drop what an unfinished restore left: databases with our mark or name, and a copy of a dump."""
    for row in server.rows(
        server.maintenance,
        "select datname as name from pg_database where shobj_description(oid, 'pg_database') = "
        f"{literal(RESTORE_MARK)} or starts_with(datname, {literal(RESTORE_NAME)})",
    ):
        log("warning", warning=f"unfinished restore {row['name']} is removed")
        server.drop(row["name"])
    server.tool_output("sh", "-c", f"rm -rf {SPOOL}.*")
