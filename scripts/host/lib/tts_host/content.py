"""What a database holds, table by table, in a form that is equal on two servers when the rows are.

The server itself adds up a 64-bit hash of every row's text: an order-independent sum, so no row leaves the server, and
nothing has to be sorted. Sequences and large objects belong to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_host.postgres import APPLICATION, literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tts_host.postgres import Server

# Everything that a row's text depends on beside the row, and what an administrator may have set to end long statements.
SETTINGS = """
set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set extra_float_digits = 1;
set bytea_output = 'hex'; set xmlbinary = 'base64'; set lc_monetary = 'C'; set client_encoding = 'UTF8';
set row_security = off; set statement_timeout = 0;
"""
# A relation of the application: in no schema of the system's, no extension's own.
OURS = """
n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and c.relpersistence <> 't'
   and not exists (select 1 from pg_depend e
                    where e.objid = c.oid and e.classid = 'pg_class'::regclass and e.deptype = 'e')
"""
# Where THESE is true; large objects are always among them.
CONTENT = f"""
select format('select json_build_object(''what'', %L, ''rows'', count(*), ''hash'',
                      coalesce(sum(hashtextextended((tts_row.*)::text, 0)::numeric), 0)::text) from only %I.%I tts_row',
              what, n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace, format('table %I.%I', n.nspname, c.relname) what
 where c.relkind = 'r' and {OURS} and THESE order by 1
\\gexec
select format('select json_build_object(''what'', %L, ''rows'', 1, ''hash'', concat(last_value, '' '', is_called))
                 from %I.%I', what, n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace, format('sequence %I.%I', n.nspname, c.relname) what
 where c.relkind = 'S' and {OURS} and THESE order by 1
\\gexec
select json_build_object('what', 'large objects', 'rows', count(*), 'hash',
                         coalesce(sum(hashtextextended(encode(lo_get(oid), 'hex'), oid::bigint)::numeric), 0)::text)
  from pg_largeobject_metadata;
"""
COUNTS = f"""
select format('select json_build_object(''what'', %L, ''rows'', count(*)) from only %I.%I', what, n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace, format('table %I.%I', n.nspname, c.relname) what
 where c.relkind = 'r' and {OURS}
\\gexec
"""
# The server counts rows that are inserted, updated and deleted; what else changes a table is a new file (truncate), a
# new column, or a migration of one of its types (ADR 0045). A session tells its counts at the latest when it ends,
# since PostgreSQL 15 for certain.
TALLY = f"""
select json_build_object(
  'era', concat(pg_postmaster_start_time(), ' ', (select stats_reset from pg_stat_database
                                                   where datname = current_database())),
  'told', current_setting('track_counts')::bool and current_setting('server_version_num')::int >= 150000
     and not exists (select from pg_stat_activity where datname = current_database() and usesysid is not null
                        and pid <> pg_backend_pid() and application_name <> {literal(APPLICATION)}),
  'tables', (select coalesce(json_object_agg(format('table %I.%I', n.nspname, c.relname),
                      concat_ws(' ', s.n_tup_ins, s.n_tup_upd, s.n_tup_del, pg_relation_filenode(c.oid),
                        (select string_agg(a.xmin::text, ',' order by a.attnum) from pg_attribute a
                          where a.attrelid = c.oid))), '{{}}')
               from pg_class c join pg_namespace n on n.oid = c.relnamespace
               join pg_stat_all_tables s on s.relid = c.oid where c.relkind = 'r' and {OURS}))
"""


@dataclass(frozen=True)
class Part:
    """One table, one sequence, or all large objects."""

    rows: int
    hash: str


Content = dict[str, Part]


@dataclass(frozen=True)
class Tally:
    """How often each table has changed, by the server's own count."""

    era: str  # of the count: it may begin anew
    told: bool  # by every session: there is no other one
    tables: Mapping[str, str]

    def unchanged_since(self, before: Tally) -> set[str]:
        """The tables that have not changed for certain."""
        if not self.told or self.era != before.era:
            return set()
        return {what for what, count in self.tables.items() if before.tables.get(what) == count}


def read(
    server: Server, database: str, only: Collection[str] | None = None, but: Collection[str] | None = None
) -> Content:
    """All parts of a database by their names, or some of them: `only` these, or all `but` these."""
    some = "true" if only is None else f"what in ({_listed(only)})"
    some += "" if but is None else f" and what not in ({_listed(but)})"
    found = _lines(server, database, SETTINGS + CONTENT.replace("THESE", some))
    return {item["what"]: Part(int(item["rows"]), item["hash"]) for item in found}


def count(server: Server, database: str) -> dict[str, int]:
    """The rows of every table, by its name as a part."""
    return {item["what"]: int(item["rows"]) for item in _lines(server, database, SETTINGS + COUNTS)}


def tally(server: Server, database: str) -> Tally:
    """Read it before the content that it is to vouch for."""
    return Tally(**json.loads(server.sql(database, TALLY)))


def _lines(server: Server, database: str, text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.sql(database, text, timeout=None).splitlines() if line]


def _listed(parts: Collection[str]) -> str:
    return ", ".join(map(literal, parts)) or "''"


def rows(content: Content) -> int:
    """Rows of all tables."""
    return sum(part.rows for what, part in content.items() if what.startswith("table "))


def differences(source: Mapping[str, Part], target: Mapping[str, Part]) -> list[str]:
    """One phrase for each part that is not the same on both sides."""
    wrong = [f"{what} is missing" for what in source if what not in target]
    wrong += [f"{what} is only on the new side" for what in target if what not in source]
    for what in source:
        there = target.get(what)
        if there is None or there == source[what]:
            continue
        if there.rows != source[what].rows:
            wrong.append(f"{what} has {there.rows} rows instead of {source[what].rows}")
        else:
            wrong.append(f"{what} has another content")
    return wrong
