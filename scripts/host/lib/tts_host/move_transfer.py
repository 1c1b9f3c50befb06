"""One database from one server to another: dumped, restored as its owner, proven to be the owner's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tts_host.content import OURS
from tts_host.log import Failure
from tts_host.postgres import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tts_host.postgres import Server
    from tts_host.process import Done

SPOOL = "/var/tmp/tts-move"  # noqa: S108 - mktemp makes a private directory of that prefix
FOREIGN = f"""
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'S', 'v', 'm', 'f') and pg_get_userbyid(c.relowner) <> :'owner' and {OURS}
"""
# $@ is the program with its options. What fails leaves nothing in the container.
DUMP = f"""
set -eu; umask 077
place=$(mktemp -d {SPOOL}.XXXXXX)
trap '[ $? -eq 0 ] || rm -rf "$place"' EXIT
"""
DUMP_ALL = f"""
{DUMP}
"$@" --file="$place/dump"
pg_restore --list "$place/dump" | grep -v ' COMMENT - EXTENSION ' >"$place/list"
echo "$place"
"""
CLEAN_UP = """
trap 'rm -rf PLACE' EXIT
"""
RESTORE = f"""
{CLEAN_UP}
"$@" --use-list=PLACE/list PLACE/dump
"""
# Nothing of what was there stays. The database itself does, with its settings and privileges.
CLEAR = """
set lock_timeout = '60s';
do $clear$
declare it record;
begin
  for it in select nspname from pg_namespace where nspname not like 'pg\\_%' and nspname <> 'information_schema' loop
    execute format('drop schema %I cascade', it.nspname);
  end loop;
  perform lo_unlink(oid) from pg_largeobject_metadata;
end $clear$;
create schema public authorization pg_database_owner;
grant usage on schema public to public;
comment on schema public is 'standard public schema';
"""


def transfer(source: Server, target: Server, name: str, owner: str, extensions: Sequence[str]) -> None:
    """Fill the target's database from the source's. Extensions are made by the administrator: an owner may not."""
    place = dump(source, name)
    wanted = [f"create extension if not exists {identifier(item)} cascade;" for item in extensions]
    target.sql(name, CLEAR + "\n".join(wanted) + "\n", timeout=None)
    restore(target, name, owner, place)
    foreign = target.sql(name, f"analyze; {FOREIGN};\n", timeout=None, owner=owner).split("\n")
    if any(foreign):
        raise Failure(f"{name}: these do not belong to {owner}: {', '.join(foreign[:10])}")


def give(server: Server, owners: Mapping[str, str]) -> None:
    """Make each database its service's own. An administrator without all rights must be a member of the owner first."""
    lines = [f"grant {identifier(owner)} to current_user;" for owner in owners.values() if server.mode == "managed"]
    lines += [f"alter database {identifier(name)} owner to {identifier(owner)};" for name, owner in owners.items()]
    server.sql(server.maintenance, "\n".join(lines) + "\n")


def dump(source: Server, name: str) -> str:
    """A dump of the database, and what of it is to be restored, in a private folder of the container; its path."""
    options = ("--format=custom", "--compress=0", "--no-subscriptions", "--lock-wait-timeout=60000")
    return expect(source.shell(DUMP_ALL, "pg_dump", *options, database=name), f"pg_dump of {name}").strip()


def restore(target: Server, name: str, owner: str, place: str) -> None:
    """Empty the target database and fill it, as its owner. The dump goes."""
    options = ("--exit-on-error", "--no-owner", "--no-acl", f"--role={owner}", "--jobs=2")
    done = target.shell(RESTORE.replace("PLACE", place), "pg_restore", *options, database=name)
    expect(done, f"pg_restore of {name}")


def expect(done: Done, what: str) -> str:
    if done.code != 0:
        raise Failure(f"{what} ended with {done.code}: {done.words}")
    return done.out
