"""The SQL that gives live tables other rows.

A table stays the table that it is: columns, keys, grants, triggers and the views on it are not touched, and rows that
are right already neither. The database's own foreign keys stay on guard.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_host.postgres import identifier, literal
from tts_host.swap import aside_name
from tts_host.tables import parents_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tts_host.tables import Referrer, Table

SCHEMA = "tts_kept"
KEPT = "tts: kept rows of "  # comment of a table that holds what a merge has replaced


@dataclass(frozen=True)
class Source:
    """Where the rows of a table come from: a database restored to the side, or rows that an earlier merge kept.

    columns: those that it has; rows: how many there must be afterwards.
    """

    table: Table
    columns: tuple[str, ...]
    rows: int
    side: str = ""
    kept: str = ""


@dataclass(frozen=True)
class Merge:
    """What to do: `stamp` marks what is kept, `missing_only` only adds rows whose key is not there."""

    database: str
    sources: tuple[Source, ...]
    stamp: str
    reason: str
    missing_only: bool
    lock_timeout_s: int

    def kept_name(self, table: Table) -> str:
        return aside_name(table.shown, f"{self.reason}_{self.stamp}")


def begin(order: Merge) -> str:
    """Locks, and a place for the rows that come in."""
    tables = [source.table for source in order.sources]
    ours = {(table.schema, table.name) for table in tables}
    others = {(each.schema, each.name) for table in tables for each in table.referrers} - ours
    lines = [
        "begin;",
        "set local row_security = off; set local idle_in_transaction_session_timeout = 0;",
        f"set local statement_timeout = 0; set local lock_timeout = '{order.lock_timeout_s}s';",
        f"lock table only {', only '.join(table.sql for table in tables)} in share row exclusive mode;",
        *(f"lock table only {identifier(one)}.{identifier(two)} in share mode;" for one, two in sorted(others)),
        f"create schema if not exists {SCHEMA};",
        "set constraints all deferred;",
    ]
    for number, source in enumerate(order.sources):
        origin = f"only {source.table.sql} where false" if source.side else f"{SCHEMA}.{identifier(source.kept)}"
        lines.append(
            f"create temp table {incoming(number)} on commit drop as select {names(source.columns)} from {origin};"
        )
    return "\n".join(lines) + "\n"


def statements(order: Merge) -> Iterable[str]:
    """Keep, check, change, compare, commit."""
    numbered = {source.table.shown: (number, source) for number, source in enumerate(order.sources)}
    upwards = parents_first([source.table for source in order.sources])
    for table in upwards:
        number, source = numbered[table.shown]
        yield from keep(order, source)
        yield f"create index on {incoming(number)} ({names(table.key)});\n" if table.key else ""
        yield f"analyze {incoming(number)};\n"
        if not order.missing_only:
            yield from (unreferenced(number, table, each) for each in foreign(table, upwards))
        yield from (f"alter table {table.sql} disable trigger {identifier(each['name'])};\n" for each in table.triggers)
    for table in reversed(upwards):
        yield report("removed", table, removal(numbered[table.shown][0], table)) if not order.missing_only else ""
    for table in upwards:
        number, source = numbered[table.shown]
        if not order.missing_only and table.key and set(source.columns) - set(table.key):
            yield report("changed", table, update(number, source))
        yield report("added", table, insertion(number, source))
    yield "set constraints all immediate;\n"
    for table in upwards:
        yield from settle(order, *numbered[table.shown])
    yield "commit;\n"


def keep(order: Merge, source: Source) -> Iterable[str]:
    """A copy of the rows of now, under a name that says of what and when; kept rows that are put back go in turn."""
    table, name = source.table, f"{SCHEMA}.{identifier(order.kept_name(source.table))}"
    about = json.dumps({"schema": table.schema, "name": table.name, "at": order.stamp}, ensure_ascii=False)
    yield f"create table {name} as select {names(table.columns)} from only {table.sql};\n"
    yield f"comment on table {name} is {literal(KEPT + about)};\n"
    if source.kept:
        yield f"drop table {SCHEMA}.{identifier(source.kept)};\n"


def foreign(table: Table, ours: Sequence[Table]) -> Iterable[Referrer]:
    """Who refers to it and keeps its rows as they are."""
    restored = {(each.schema, each.name) for each in ours}
    return (each for each in table.referrers if (each.schema, each.name) not in restored)


def unreferenced(number: int, table: Table, other: Referrer) -> str:
    """Refuse when rows of another table refer to some that are to go: a rule `on delete` could take those along."""
    who = f"{identifier(other.schema)}.{identifier(other.name)}"
    same = pairs(f"{incoming(number)}", other.referred, "r", other.columns)
    given = " and ".join(f"r.{identifier(name)} is not null" for name in other.columns)
    rows = f"from only {who} r where {given} and not exists (select from {incoming(number)} where {same})"
    words = f"rows of {other.schema}.{other.name} refer to rows of {table.shown} that the backup does not have"
    raised = f"raise exception '%', found || {literal(' ' + words)}"
    return block(f"select count(*) into found {rows}; if found > 0 then {raised}; end if;")


def removal(number: int, table: Table) -> str:
    """Rows that the backup does not have; without a key there is no telling, and all give way."""
    if not table.key:
        return f"delete from only {table.sql}"
    same = pairs(incoming(number), table.key, "t", table.key)
    return f"delete from only {table.sql} t where not exists (select from {incoming(number)} where {same})"


def update(number: int, source: Source) -> str:
    """Rows that are there and differ. They are compared as text: not every type can be compared."""
    key, into = source.table.key, incoming(number)
    rest = [name for name in source.columns if name not in key]
    mine, theirs = row("t", rest), row(into, rest)
    new = ", ".join(f"{identifier(name)} = {into}.{identifier(name)}" for name in rest)
    same = pairs(into, key, "t", key)
    return f"update only {source.table.sql} t set {new} from {into} where {same} and {mine} is distinct from {theirs}"


def insertion(number: int, source: Source) -> str:
    """Rows that are not there."""
    key, into = source.table.key, incoming(number)
    columns = names(source.columns)
    text = f"insert into {source.table.sql} ({columns}) overriding system value select {columns} from {into}"
    if not key:
        return text
    return f"{text} where not exists (select from only {source.table.sql} t where {pairs(into, key, 't', key)})"


def settle(order: Merge, number: int, source: Source) -> Iterable[str]:
    """The table has what it should; its triggers and sequences are ready for what comes."""
    table, into = source.table, incoming(number)
    if not order.missing_only:
        mine = f"select {row('t', source.columns)} from only {table.sql} t"
        theirs = f"select {row('i', source.columns)} from {into} i"
        differs = f"(select count(*) from only {table.sql}) <> {source.rows} or exists ({theirs} except {mine})"
        words = f"{table.shown} would not have the {source.rows} rows of the backup"
        yield block(f"if {differs} then raise exception '%', {literal(words)}; end if;")
    for each in table.triggers:
        always = "always " if each["always"] else ""
        yield f"alter table {table.sql} enable {always}trigger {identifier(each['name'])};\n"
    for each in table.sequences:
        sequence, top = each["sequence"], f"(select max({identifier(each['column'])}) as top from {table.sql}) q"
        raised = f"setval({literal(sequence)}, q.top) from {top}, {sequence} s where q.top >= s.last_value"
        yield block(f"perform {raised};")


def block(body: str) -> str:
    """Statements of PL/pgSQL."""
    return f"do {literal(f'declare found bigint; begin {body} end')};\n"


def report(what: str, table: Table, statement: str) -> str:
    """The statement, and one line of JSON that says how many rows it touched."""
    line = f"json_build_object('table', {literal(table.shown)}, {literal(what)}, count(*))"
    return f"with touched as ({statement} returning 1) select {line} from touched;\n"


def incoming(number: int) -> str:
    return f"pg_temp.incoming_{number}"


def names(columns: Iterable[str]) -> str:
    return ", ".join(identifier(name) for name in columns)


def row(table: str, columns: Iterable[str]) -> str:
    return f"row({', '.join(f'{table}.{identifier(name)}' for name in columns)})::text"


def pairs(one: str, columns: Sequence[str], other: str, others: Sequence[str]) -> str:
    return " and ".join(
        f"{one}.{identifier(mine)} = {other}.{identifier(theirs)}" for mine, theirs in zip(columns, others, strict=True)
    )
