"""Single tables of a copy are brought up to date; what that cannot do is copied as a whole, and both are proven."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from tests.scripts.moving import ADMIN_PASSWORD

pytestmark = pytest.mark.docker  # seconds each, for real programs
NAME, OWNER = "ticket_db", "ticket_user"
KEYS = "select conname, convalidated, pg_get_constraintdef(oid) from pg_constraint where contype = 'f' order by 1"

LOUD = """
create function loud() returns trigger language plpgsql as 'begin raise exception ''loud''; end';
create trigger loud before insert on ticket for each row execute function loud();
alter table ticket disable trigger loud
"""


@pytest.fixture
def copies(mover, tts_host, monkeypatch) -> Any:
    """The database, copied to the other side once."""
    monkeypatch.setenv("PATH", f"{mover.near.bin}:{os.environ['PATH']}")
    postgres = tts_host.postgres
    near = {"PGHOST": str(mover.near.socket), "PGPORT": str(mover.near.port)}
    far = {"PGHOST": "localhost", "PGPORT": str(mover.far.port), "PGUSER": "doadmin", "PGPASSWORD": ADMIN_PASSWORD}
    far |= {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(mover.far.ca_file)}
    made = tts_host.move_databases.Copies(
        postgres.Server("container", (), "postgres", env=near),
        postgres.Server("managed", (), "", maintenance="defaultdb", env=far),
        {NAME: OWNER},
    )
    made.extensions = {NAME: []}
    tts_host.move_transfer.give(made.target, made.owners)
    made.copy([NAME])
    return made


def caught_up(mover, copies, change: str) -> bool:
    """After that change on the old side both are equal, foreign keys included. Whether all was copied again."""
    before = mover.sql("outside", KEYS)
    mover.sql("host", change)
    whole, copy_one = list[str](), copies.copy_one

    def counted(name: str) -> Any:
        whole.append(name)
        return copy_one(name)

    object.__setattr__(copies, "copy_one", counted)
    assert copies.catch_up(copies.look()) == [NAME]
    copies.compare(copies.look())
    copies.look_at_target()
    copies.compare(copies.look())
    assert mover.sql("outside", KEYS) == before
    assert mover.sql("outside", "select distinct tableowner from pg_tables where schemaname = 'public'") == OWNER
    return bool(whole)


@pytest.mark.parametrize(
    "change",
    [
        "insert into ticket values (1, 'one'), (2, E'tab\\tand \\\\ and a line\\n')",
        "insert into person (name) values ('new'); insert into note values (301); delete from note where person < 9",
        "delete from note; delete from person where id > 10",
        "update person set name = name || '!'",
        "select nextval('person_id_seq')",
        "truncate note",
    ],
    ids=["rows", "both sides of a foreign key", "rows gone", "the side referred to", "a sequence alone", "no row left"],
)
def test_tables_that_changed_are_copied_alone(mover, copies, change):
    assert not caught_up(mover, copies, change)


@pytest.mark.parametrize(
    "change",
    [
        "create table more (id int); insert into ticket values (1, 'one')",
        "alter table ticket add column priority int default 3; insert into ticket values (1, 'one')",
        "select lo_from_bytea(0, 'another large object')",
    ],
    ids=["another table", "another column", "a large object"],
)
def test_what_rows_alone_cannot_make_equal_is_copied_as_a_whole(mover, copies, change):
    assert caught_up(mover, copies, change)


@pytest.mark.parametrize(
    "there",
    [
        LOUD,
        "create materialized view counted as select count(*) from ticket",
        "comment on constraint note_person_fkey on note is 'a note'",
    ],
    ids=["trigger", "materialized view", "comment on a foreign key"],
)
def test_what_rows_would_set_off_or_leave_behind_is_copied_as_a_whole(mover, copies, there):
    mover.sql("host", there)
    copies.copy([NAME])
    assert caught_up(mover, copies, "insert into ticket values (1, 'one')")


def test_a_refill_that_fails_leaves_the_copy_as_it_was(mover, copies, tts_host):
    before = tts_host.content.read(copies.target, NAME)
    mover.sql("host", "delete from note")
    seen = copies.look()[NAME]
    what = tts_host.move_refill.changed(seen, before)
    mover.far.sql("set role ticket_user; alter table note add check (person <> 5) not valid", NAME)
    mover.sql("host", "insert into note select 5, '{}'")
    with pytest.raises(tts_host.log.Failure, match=r"filling public\.note of ticket_db"):
        tts_host.move_refill.refill(copies.source, copies.target, NAME, OWNER, what)
    assert tts_host.content.read(copies.target, NAME) == before
    assert mover.sql("outside", "select count(*) from pg_constraint where contype = 'f'") == "1"


def not_read_again(copies, tts_host, table: str) -> bool:
    """Whether the next look believes a hash of that table that is not its own."""
    parts = copies.seen[NAME]
    parts[table] = tts_host.content.Part(parts[table].rows, "forged")
    return copies.look_again()[NAME][table].hash == "forged"


def test_in_the_stop_only_tables_that_changed_are_read_again(mover, copies, tts_host):
    copies.look()
    mover.sql("host", "insert into ticket values (1, 'one'); select nextval('person_id_seq')")
    assert copies.look_again()[NAME] == tts_host.content.read(copies.source, NAME)
    assert not_read_again(copies, tts_host, "table public.note")


@pytest.mark.parametrize(
    "change",
    [
        "update note set weight = weight + 1 where person = 7",
        "delete from note where person = 7; insert into note select 7 from generate_series(1, 2)",
        "create temp table kept as table note; truncate note; insert into note table kept; update note set raw = 'x'",
        "alter table note add column more int default 3",
        "alter table note alter column weight type text",
    ],
    ids=["updated", "other rows", "another file", "another column", "another type"],
)
def test_a_change_that_leaves_the_number_of_rows_is_seen(mover, copies, tts_host, change):
    copies.look()
    mover.sql("host", change)
    assert copies.look_again()[NAME] == tts_host.content.read(copies.source, NAME)
    assert not not_read_again(copies, tts_host, "table public.note")


@pytest.mark.parametrize(
    "doubt",
    [
        "select pg_stat_reset()",
        "alter database ticket_db set track_counts = off",
    ],
    ids=["counts begin anew", "nothing is counted"],
)
def test_where_the_server_cannot_tell_all_is_read_again(mover, copies, tts_host, doubt):
    copies.look()
    mover.sql("host", doubt)
    assert not not_read_again(copies, tts_host, "table public.note")


def test_a_session_of_somebody_else_may_not_have_told_its_changes_yet(mover, copies, tts_host):
    argv = [str(mover.near.bin / "psql"), "-XqAt", "-h", str(mover.near.socket), "-p", str(mover.near.port)]
    with subprocess.Popen(
        [*argv, "-U", "postgres", "-d", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin
        assert other.stdout
        other.stdin.write("select 'there';\n")
        other.stdin.flush()
        assert other.stdout.readline() == "there\n"
        copies.look()
        assert not not_read_again(copies, tts_host, "table public.note")
        other.stdin.close()
        other.wait(10)
    assert not_read_again(copies, tts_host, "table public.note")
