"""Bring single tables of a copied database up to date, in one transaction: what has changed, and nothing else.

It comes about where only rows of ordinary tables and values of sequences differ. Whatever else there is (triggers of
the application, materialized views, partitions) is left to a whole copy, as is everything that fails here. The caller
proves the result by its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_host.content import OURS
from tts_host.log import log
from tts_host.move_transfer import CLEAN_UP, DUMP, expect
from tts_host.postgres import PSQL, identifier, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tts_host.content import Content
    from tts_host.postgres import Server

TABLE, SEQUENCE = "table ", "sequence "
# What rows that are exchanged would set off, or leave as it was.
OBSTACLES = f"""
select format('%s %I', c.relkind, c.relname) as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('m', 'p', 'f') and {OURS}
union all
select format('trigger %I', tgname) from pg_trigger where not tgisinternal
union all
select format('comment on %I', k.conname) from pg_constraint k
  join pg_description d on d.objoid = k.oid and d.classoid = 'pg_constraint'::regclass where k.contype = 'f'
"""
# Foreign keys of and to these tables go and come back, so that the order of the tables does not matter. With an empty
# search path every name is told in full.
OPEN = """
set role {owner};
set search_path = '';
set statement_timeout = 0;
begin;
set local lock_timeout = '60s';
create temporary table tts_keys on commit drop as
select format('%I.%I', n.nspname, c.relname) as home, k.conname as name, pg_get_constraintdef(k.oid) as rule
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
 where k.contype = 'f' and (k.conrelid = any ({tables}) or k.confrelid = any ({tables}));
do $keys$
declare it record;
begin
  for it in select * from pg_temp.tts_keys loop
    execute format('alter table %s drop constraint %I', it.home, it.name);
  end loop;
end $keys$;
truncate only {listed};
"""
CLOSE = """
do $keys$
declare it record;
begin
  for it in select * from pg_temp.tts_keys loop
    execute format('alter table %s add constraint %I %s', it.home, it.name, it.rule);
  end loop;
end $keys$;
{sequences}
commit;
"""
DUMP_ROWS = f"""
{DUMP}
"$@" --file="$place/rows"
echo "$place"
"""
WRITE = 'umask 077; cat > "$1"'


@dataclass(frozen=True)
class Changed:
    """Tables by their names in full, and the values of sequences, as the old side has them."""

    tables: tuple[str, ...]
    sequences: Mapping[str, str]

    @property
    def parts(self) -> list[str]:
        return [*(TABLE + name for name in self.tables), *(SEQUENCE + name for name in self.sequences)]


def changed(seen: Content, found: Content) -> Changed | None:
    """What differs, if exchanging rows and values can make both equal."""
    if seen.keys() != found.keys():
        return None
    parts = [what for what in seen if seen[what] != found[what]]
    if any(not what.startswith((TABLE, SEQUENCE)) for what in parts):
        return None
    tables = tuple(what.removeprefix(TABLE) for what in parts if what.startswith(TABLE))
    sequences = {what.removeprefix(SEQUENCE): seen[what].hash for what in parts if what.startswith(SEQUENCE)}
    return Changed(tables, sequences)


def refill(source: Server, target: Server, name: str, owner: str, what: Changed) -> bool:
    """Make the rows of these tables on the target those of the source. False: there is something in the way."""
    obstacles = [row["name"] for row in target.rows(name, OBSTACLES)]
    if obstacles:
        log("info", copied_whole=name, because=", ".join(obstacles[:5]))
        return False
    if not what.tables:
        target.sql(name, f"set role {identifier(owner)};\n{values(what)}")
        return True
    place = dump_rows(source, name, what.tables)
    scripts = [f"{place}/open", f"{place}/rows", f"{place}/close"]
    for path, text in ((scripts[0], opening(owner, what)), (scripts[2], closing(what))):
        target.tool_output("sh", "-c", WRITE, "sh", path, stdin=text)
    files = [f"--file={path}" for path in scripts]
    done = target.shell(CLEAN_UP.replace("PLACE", place) + '"$@"', *PSQL, *files, database=name)
    expect(done, f"filling {', '.join(what.tables)} of {name}")
    return True


def dump_rows(source: Server, name: str, tables: Sequence[str]) -> str:
    """Rows of these tables, all of one moment, in a private folder of the container; its path."""
    options = ("--format=plain", "--data-only", "--lock-wait-timeout=60000", *(f"--table={table}" for table in tables))
    return expect(source.shell(DUMP_ROWS, "pg_dump", *options, database=name), f"pg_dump of {name}").strip()


def opening(owner: str, what: Changed) -> str:
    tables = f"array[{', '.join(literal(table) for table in what.tables)}]::regclass[]"
    return OPEN.format(owner=identifier(owner), tables=tables, listed=", ".join(what.tables))


def closing(what: Changed) -> str:
    return CLOSE.format(sequences=values(what))


def values(what: Changed) -> str:
    """Statements that give the sequences their values: `12 t` is the last one, and that it was used."""
    return "".join(
        f"select pg_catalog.setval({literal(name)}, {int(value.split()[0])}, {literal(value.split()[1])});\n"
        for name, value in what.sequences.items()
    )
