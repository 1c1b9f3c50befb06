"""The data of the benchmarks, on the host that they measure. Standard library only.

content.py fill BYTES            text in three further tables of each of the five databases
content.py change ROUND          one row in a hundred: half of them new, half changed, among the newest twentieth
content.py fingerprint           rows and an order-independent hash of each of those tables, as JSON
content.py media FILES BYTES     files of random bytes in the media volume, many small and some large
content.py change-media ROUND    one file in a thousand: half of them new, half written anew
content.py media-fingerprint     sha256 over path and content of every file
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

CONTAINER = "tts-postgres"
# Share of each database, and of each of its tables: no two are of one size, as in life.
DATABASES = {"ticket_db": 0.30, "messaging_db": 0.25, "workflow_db": 0.20, "notification_db": 0.15, "auth_db": 0.10}
TABLES = {"entry": 0.6, "remark": 0.3, "event": 0.1}
ROWS = Path(__file__).with_name("rows.py")
MEDIA = "tts-docker_media_files"

CREATE = """
drop schema if exists archive cascade;
create schema archive;
create table archive.entry (number bigint, day date not null, owner int not null, state smallint not null, body text);
create table archive.remark (like archive.entry including all);
create table archive.event (like archive.entry including all);
"""
INDEXES = """
alter table archive.{table} add primary key (number);
create index on archive.{table} (owner);
create index on archive.{table} (state, day);
analyze archive.{table};
"""
# The hash of a table is the sum of the hashes of its rows: the same in whatever order they lie.
HASH = """
select json_build_object('rows', count(*), 'hash', sum(('x' || left(md5(t::text), 15))::bit(60)::bigint)::text)
  from archive.{table} t
"""

NEWEST = "select max(number), sum(length(body)) / 200 from archive.{table}"
UPDATE = """
update archive.{table} set state = 9, body = md5(number::text || {round}) || body
 where number > {newest} * 0.95 and number % 10 = {round} % 10
"""


def client(database: str, *options: str) -> list[str]:
    """The words that start psql in the database's container."""
    where = ["docker", "exec", "-i", CONTAINER, "psql", "-U", "postgres", "-d", database]
    return [*where, "-Xq", "-v", "ON_ERROR_STOP=1", *options]


def psql(database: str, sql: str) -> str:
    """Run statements as the owner of the database, so that every rung's tools can handle them."""
    role = f"set role {database.removesuffix('_db')}_service;\n"
    return subprocess.run(
        client(database, "-At"), input=role + sql, text=True, stdout=subprocess.PIPE, check=True
    ).stdout.strip()


def copy(database: str, table: str, first: int, size: int) -> None:
    """Feed rows from number `first` on to COPY."""
    made = subprocess.Popen(
        [sys.executable, str(ROWS), f"{database}/{table}", str(first), str(size)], stdout=subprocess.PIPE
    )
    subprocess.run(client(database, "-c", f"copy archive.{table} from stdin"), stdin=made.stdout, check=True)
    if made.wait():
        raise SystemExit("rows.py failed")


def fill(size: int) -> None:
    def one(database: str) -> None:
        psql(database, CREATE)
        for table, share in TABLES.items():
            copy(database, table, 1, int(size * DATABASES[database] * share))
            psql(database, INDEXES.format(table=table))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, DATABASES))


def change(number: str) -> None:
    """The newest twentieth is where people work: one in ten of its rows changes, and as many rows are new."""
    for database in DATABASES:
        for table in TABLES:
            newest, size = psql(database, NEWEST.format(table=table)).split("|")
            psql(database, UPDATE.format(table=table, newest=newest, round=int(number)))
            copy(database, table, int(newest) + 1, int(size))


def fingerprint() -> None:
    found = {
        f"{database}.{table}": json.loads(psql(database, HASH.format(table=table)))
        for database in DATABASES
        for table in TABLES
    }
    print(json.dumps(found))


def lose() -> None:
    """What a restore has to bring back."""
    for database in DATABASES:
        psql(database, "truncate archive.entry, archive.remark, archive.event")


@lru_cache
def volume() -> Path:
    where = ["docker", "volume", "inspect", "--format", "{{.Mountpoint}}", MEDIA]
    return Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())


def media(files: int, size: int) -> None:
    for number in range(files):
        write(number, "first", 3 * size / files)


def write(number: int, version: str, largest: float) -> None:
    """One file. The square of an even distribution has a third of its maximum as its mean."""
    source = random.Random(f"{number}/{version}")
    root = volume()
    path = root / "bench" / f"{number % 100:02}" / f"{number}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.randbytes(int(largest * source.random() ** 2)))
    owner = root.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


def change_media(version: str) -> None:
    there = sorted((volume() / "bench").glob("*/*.bin"))
    largest = 3 * sum(path.stat().st_size for path in there) / len(there)
    count = len(there) // 2000
    for number in random.Random(version).sample(range(len(there)), count):
        write(number, version, largest)
    for number in range(len(there), len(there) + count):
        write(number, version, largest)


def media_fingerprint() -> None:
    root = volume()
    digest, count = hashlib.sha256(), 0
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
            count += 1
    print(json.dumps({"files": count, "hash": digest.hexdigest()}))


def remove() -> None:
    for database in DATABASES:
        psql(database, "drop schema if exists archive cascade")
    shutil.rmtree(volume() / "bench", ignore_errors=True)


ACTIONS = {
    "fill": lambda words: fill(int(words[0])),
    "change": lambda words: change(words[0]),
    "fingerprint": lambda _: fingerprint(),
    "lose": lambda _: lose(),
    "remove": lambda _: remove(),
    "media": lambda words: media(int(words[0]), int(words[1])),
    "change-media": lambda words: change_media(words[0]),
    "media-fingerprint": lambda _: media_fingerprint(),
}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](sys.argv[2:])
