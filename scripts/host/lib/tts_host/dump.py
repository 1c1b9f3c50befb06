"""Step `dump`: every database into the staging directory, each from an exported snapshot, proven readable, with a
manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tts_host.aside import step_aside
from tts_host.config import Config, load
from tts_host.holder import Holder, tail
from tts_host.log import Failure, facts, log, record, stamp, step, warn
from tts_host.postgres import COUNTS, Server, connect
from tts_host.process import end, pipe
from tts_host.restic import installed_version

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1 << 20


def main(_args: list[str]) -> None:
    config = load()
    server = connect(config)
    server.end_own_sessions()
    catalog = server.databases()
    check_expected(config, [item["name"] for item in catalog])
    staging = fresh(config.staging)
    try:
        fill(server, config, catalog, staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def fill(server: Server, config: Config, catalog: list[dict[str, Any]], staging: Path) -> None:
    """Dumps, globals and, last, the manifest: without one a directory is not a backup."""
    entries, failures = dump_all(server, config, catalog, staging)
    if failures:
        raise Failure("; ".join(f"{name}: {reason}" for name, reason in failures.items()))
    manifest = {**describe(server, config), "globals": dump_globals(server, staging), "databases": entries}
    check_tables(config, entries)
    write(staging / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    record(
        files=len(entries) + 2,
        bytes=sum(path.stat().st_size for path in staging.iterdir()),
        rows=sum(e["rows"] for e in entries),
    )


def check_expected(config: Config, names: list[str]) -> None:
    """The configured databases must be there; others are backed up too and named."""
    missing = [name for name in config.pg_expected if name not in names]
    if missing:
        raise Failure(
            f"expected databases are missing or refuse connections: {', '.join(missing)}. Found: "
            f"{', '.join(names) or 'none'}"
        )
    new = [name for name in names if name not in config.pg_expected]
    if config.pg_expected and new:
        warn(f"databases that the configuration does not name are backed up as well: {', '.join(new)}")
    if not names:
        raise Failure("the server has no database to back up")


def check_tables(config: Config, entries: list[dict[str, Any]]) -> None:
    """A database that the application needs and that has no table is not a backup of anything."""
    empty = [entry["name"] for entry in entries if entry["name"] in config.pg_expected and not entry["tables"]]
    if empty and not os.environ.get("TTS_ACCEPT_SIZE"):
        raise Failure(
            f"suspicious: no table in {', '.join(empty)}. If that is right, run tts-backup databases --accept-size"
        )


def fresh(staging: Path) -> Path:
    """An empty private directory: leftovers of a killed run and foreign files go."""
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True, mode=0o700)
    return staging


def dump_all(
    server: Server, config: Config, catalog: list[dict[str, Any]], staging: Path
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Dump each database; one that fails is named and does not stop the others. All snapshots are taken before the
    first dump.
    """
    entries: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        holders: dict[str, Holder] = {}
        for item in catalog:
            try:
                holders[item["name"]] = hold(stack, server, item["name"], config)
            except Failure as failure:
                failures[item["name"]] = str(failure)
        for item in catalog:
            if item["name"] in holders:
                try:
                    entries.append(dump_patiently(stack, server, holders[item["name"]], item, config, staging))
                except Failure as failure:
                    failures[item["name"]] = str(failure)
                    log("error", database=item["name"], error=str(failure))
    return entries, failures


def hold(stack: ExitStack, server: Server, database: str, config: Config) -> Holder:
    holder = Holder(server, database, config.lock_timeout_s)
    stack.callback(holder.close)
    return holder


def dump_patiently(
    stack: ExitStack, server: Server, holder: Holder, item: dict[str, Any], config: Config, staging: Path
) -> dict[str, Any]:
    """Dump one database; when it only waited too long for a lock, take a new snapshot and try again."""
    for left in range(config.lock_retries, -1, -1):
        try:
            return dump_one(server, holder, item, staging, config.lock_timeout_s)
        except Failure as failure:
            if "lock timeout" not in str(failure) or not left:
                raise
            log("warning", database=item["name"], warning=f"{failure}; trying again")
            holder.close()
            holder = hold(stack, server, item["name"], config)
    raise AssertionError("unreachable")


def dump_one(
    server: Server, holder: Holder, item: dict[str, Any], staging: Path, lock_timeout_s: int
) -> dict[str, Any]:
    """Row counts, then the dump, both in the holder's snapshot."""
    step_aside(server, holder)
    tables = [json.loads(line) for line in holder.ask(COUNTS.rstrip() + " \\gexec") if line]
    path = staging / file_name(item["name"])
    pg_dump = [
        "pg_dump",
        "--format=custom",
        "--compress=0",
        f"--snapshot={holder.snapshot}",
        f"--lock-wait-timeout={lock_timeout_s * 1000}",
    ]
    digest = dump_and_prove(server, pg_dump, holder, path)
    size = path.stat().st_size
    log("info", database=item["name"], bytes=size, tables=len(tables), rows=sum(table["rows"] for table in tables))
    return {
        **{key: value for key, value in item.items() if key != "bytes"},
        "file": path.name,
        "bytes": size,
        "sha256": digest,
        "database_bytes": item["bytes"],
        "snapshot_at": holder.taken_at,
        "tables": tables,
        "rows": sum(table["rows"] for table in tables),
    }


def dump_and_prove(server: Server, pg_dump: list[str], holder: Holder, path: Path) -> str:
    """Write the dump, and feed the same bytes to a full `pg_restore` read. Both must end well. Returns the sha256.

    The file is not forced to the disk: the next step reads it and removes it, and every commit of the application
    would wait behind it.
    """
    digest = hashlib.sha256()
    proof_gave_up = False
    with open(path, "xb") as target, tempfile.TemporaryFile() as dump_words, tempfile.TemporaryFile() as proof_words:
        dump = server.stream(
            *pg_dump, database=holder.database, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=dump_words
        )
        proof = server.stream(
            "pg_restore", "--file=/dev/null", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=proof_words
        )
        try:
            while chunk := pipe(dump.stdout).read(CHUNK):
                if not target.tell():
                    step_aside(server, holder)  # a dump begins with its contents: the rows are being read by now
                target.write(chunk)
                digest.update(chunk)
                pipe(proof.stdin).write(chunk)
            pipe(proof.stdin).close()
            dump.wait()
            proof.wait()
            target.flush()
        except BrokenPipeError:
            proof_gave_up = True
            proof.wait()
        except OSError as error:
            raise Failure(f"cannot write {path}: {error.strerror}") from None
        finally:
            end(dump)
            end(proof)
        if dump.returncode != 0 and not proof_gave_up:
            raise Failure(f"pg_dump ended with {dump.returncode}: {tail(dump_words)}")
        if proof.returncode != 0:
            raise Failure(f"pg_restore cannot read the dump to its end ({proof.returncode}): {tail(proof_words)}")
    return digest.hexdigest()


def dump_globals(server: Server, staging: Path) -> dict[str, Any]:
    """Roles and their memberships. Where the login may not read passwords, the rest, and the manifest says so."""
    done = server.tool("pg_dumpall", "--globals-only", f"--database={server.maintenance}", timeout=300)
    passwords = done.code == 0
    if not passwords and server.mode == "managed":
        done = server.tool(
            "pg_dumpall", "--globals-only", "--no-role-passwords", f"--database={server.maintenance}", timeout=300
        )
    if done.code != 0 or "database cluster dump complete" not in done.out:
        raise Failure(f"pg_dumpall --globals-only ended with {done.code}: {done.words}")
    path = staging / "globals.sql"
    write(path, done.out)
    roles = server.rows(
        server.maintenance, "select rolname as name from pg_roles where rolname not like 'pg\\_%' order by 1"
    )
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "roles": [role["name"] for role in roles],
        "passwords": passwords,
    }


def describe(server: Server, config: Config) -> dict[str, Any]:
    """What a restore must know about where the dumps come from."""
    number, text = server.version()
    about: dict[str, Any] = {"mode": server.mode, "version": text, "version_num": number}
    if server.container:
        about |= {
            "container": server.container.name,
            "image": server.container.image,
            "image_id": server.container.image_id,
        }
    tools = {name: server.tool(name, "--version").out.strip() for name in ("pg_dump", "pg_restore")}
    return {
        "format": 1,
        "complete": True,
        "created": stamp(),
        "run": facts().get("run", ""),
        "host": config.host,
        "stack": config.stack,
        "server": about,
        "tools": {**tools, "restic": installed_version()},
        "not_included": [
            "write-ahead log: the loss window is the time since this run",
            "messages in the broker's queues",
        ],
    }


def file_name(database: str) -> str:
    """A file name for a database of any name; only unusual characters are escaped."""
    return quote(database, safe="") + ".dump"


def write(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)


if __name__ == "__main__":
    step(main)
