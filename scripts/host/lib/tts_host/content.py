"""What a database holds, table by table, in a form that is equal on two servers when the rows are.

The server itself adds up a 64-bit hash of every row's text: an order-independent sum, so no row leaves the server, and
nothing has to be sorted. Sequences and large objects belong to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_host.postgres import literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
# THESE says which parts; large objects are always among them.
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


@dataclass(frozen=True)
class Part:
    """One table, one sequence, or all large objects."""

    rows: int
    hash: str


Content = dict[str, Part]


def read(server: Server, database: str, only: Sequence[str] | None = None) -> Content:
    """All parts of a database by their names, or some of them."""
    some = "true" if only is None else f"what in ({', '.join(map(literal, only)) or 'null'})"
    lines = server.sql(database, SETTINGS + CONTENT.replace("THESE", some), timeout=None).splitlines()
    found = [json.loads(line) for line in lines if line]
    return {item["what"]: Part(int(item["rows"]), item["hash"]) for item in found}


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
