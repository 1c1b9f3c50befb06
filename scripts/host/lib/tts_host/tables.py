"""What the server knows of a table: its columns and key, who refers to it, and what must not happen on the way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_host.log import Failure
from tts_host.postgres import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tts_host.postgres import Server

NAMES = "(select json_agg(a.attname order by k.n) from unnest({keys}) with ordinality k(att, n) join pg_attribute a on a.attrelid = {table} and a.attnum = k.att)"  # noqa: E501
DESCRIBE = f"""
select json_build_object(
  'columns', (select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod)) order by attnum)
                from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = ''),
  'key', (select {NAMES.format(keys="i.indkey[0:i.indnkeyatts - 1]", table="c.oid")}
            from pg_index i where i.indrelid = c.oid and i.indisprimary),
  'referrers', (select json_agg(json_build_object('schema', n.nspname, 'name', r.relname,
                       'columns', {NAMES.format(keys="f.conkey", table="f.conrelid")},
                       'referred', {NAMES.format(keys="f.confkey", table="f.confrelid")}) order by f.conname)
                  from pg_constraint f join pg_class r on r.oid = f.conrelid join pg_namespace n on n.oid = r.relnamespace
                 where f.contype = 'f' and f.confrelid = c.oid and r.relkind = 'r'),
  'triggers', (select json_agg(json_build_object('name', tgname, 'always', tgenabled = 'A'))
                 from pg_trigger where tgrelid = c.oid and not tgisinternal and tgenabled in ('O', 'A')),
  'sequences', (select json_agg(json_build_object('column', a.attname, 'sequence', format('%I.%I', sn.nspname, s.relname)))
                  from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
                  join pg_sequence q on q.seqrelid = s.oid and q.seqincrement > 0
                  join pg_namespace sn on sn.oid = s.relnamespace
                  join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                 where d.refobjid = c.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')))
  from pg_class c join pg_namespace ns on ns.oid = c.relnamespace
 where ns.nspname = {{schema}} and c.relname = {{name}} and c.relkind = 'r'
"""  # noqa: E501 - the names are literals


@dataclass(frozen=True)
class Referrer:
    """A foreign key of another table, or of the same, that refers to this one."""

    schema: str
    name: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One live table. `key` is its primary key, empty without one; `triggers` are the enabled ones of people."""

    schema: str
    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    referrers: tuple[Referrer, ...]
    triggers: tuple[dict[str, Any], ...]
    sequences: tuple[dict[str, str], ...]

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.name)}"


def describe(server: Server, database: str, schema: str, name: str) -> Table:
    """The live table; a Failure when there is none."""
    text = server.sql(database, DESCRIBE.format(schema=literal(schema), name=literal(name)))
    if not text.strip():
        raise Failure(f"database {database} has no table {schema}.{name} any more: restore the whole database")
    found = json.loads(text)
    return Table(
        schema,
        name,
        {column["name"]: column["type"] for column in found["columns"] or ()},
        tuple(found["key"] or ()),
        tuple(
            Referrer(each["schema"], each["name"], tuple(each["columns"]), tuple(each["referred"]))
            for each in found["referrers"] or ()
        ),
        tuple(found["triggers"] or ()),
        tuple(found["sequences"] or ()),
    )


def parents_first(tables: Sequence[Table]) -> list[Table]:
    """Those that others refer to before those others; where they refer to each other in a circle, as they come."""
    left, found = list(tables), []
    while left:
        free = [item for item in left if not any(_refers(item, other) for other in left if other is not item)]
        found += free or left
        left = [item for item in left if item not in found]
    return found


def _refers(table: Table, other: Table) -> bool:
    return any((each.schema, each.name) == (table.schema, table.name) for each in other.referrers)
