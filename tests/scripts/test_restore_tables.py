"""One table brought back: the others stay, rows that others need are not taken away, and all of it can be undone."""

from __future__ import annotations

import json

import pytest

from tests.scripts.hosts import give_server, make_host

pytestmark = pytest.mark.docker  # seconds each, for real programs

# What an application has around a table: a child that goes with it, one that stops it, a view, a trigger, a sequence.
SCENE = """
create type mood as enum ('good', 'bad');
create table ticket (id bigint generated always as identity primary key, title text, mood mood, extra json, twice int
  generated always as (3) stored);
create table note (id serial primary key, ticket_id bigint not null references ticket deferrable initially deferred, x text);
create table tag (ticket_id bigint references ticket on delete cascade, word text);
create view titles as select title from ticket;
create function shout() returns trigger language plpgsql as $$ begin new.title := upper(new.title); return new; end $$;
create trigger shout before insert or update on ticket for each row execute function shout();
alter table ticket disable trigger shout;
insert into ticket (title, mood, extra) select 'ticket ' || n, 'good', json_build_object('n', n) from generate_series(1, 50) n;
alter table ticket enable trigger shout;
insert into note (ticket_id, x) select n, E'line\\nand\\ttab \\\\.' from generate_series(1, 50) n;
insert into tag select n, 'word' from generate_series(1, 10) n;
"""  # noqa: E501


@pytest.fixture(scope="module")
def made_shop(server, templates, tmp_path_factory):
    """Repositories with one backup of a database whose tables refer to each other."""
    it = make_host(tmp_path_factory.mktemp("shop"), templates)
    give_server(it, server)
    server.sql(SCENE, "ticket_db")
    it.write(TTS_OFFSITE="aws")
    done = it.run("backup", "databases")
    assert done.returncode == 0, done.stderr
    return it.root / "repositories"


@pytest.fixture
def shop(host, made_shop):
    """A host with that database and its backup."""
    host.write(TTS_OFFSITE="aws")
    host.server.sql(SCENE, "ticket_db")
    host.take_repositories(made_shop)
    return host


def tables(host, *names, extra=(), code=0):
    words = [word for name in names for word in ("--table", name)]
    done = host.run("restore", "tables", "--database", "ticket_db", *words, "--yes", "--json", *extra)
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def merged(events):
    return {event["table"]: event for event in events if event.get("step") == "merged"}


def rows(host, table):
    return host.server.sql(f"select t::text from {table} t order by 1", "ticket_db")


def test_a_table_is_as_it_was_and_all_around_it_stays(shop):
    before = rows(shop, "ticket"), rows(shop, "note")
    shop.server.sql(
        "update ticket set title = 'wrong', mood = 'bad' where id < 5; delete from note where id = 50; "
        "delete from ticket where id = 50; insert into ticket (title) values ('since'); "
        "insert into person values (9999, 'since')",
        "ticket_db",
    )
    changed, live_people = rows(shop, "ticket"), shop.server.counts("ticket_db")["public.person"]
    events = tables(shop, "ticket")
    counts = {key: sum(event.get(key, 0) for event in events) for key in ("added", "changed", "removed")}
    assert counts == {"added": 1, "changed": 4, "removed": 1}
    assert rows(shop, "ticket") == before[0]
    assert shop.server.counts("ticket_db")["public.person"] == live_people, "another table was touched"
    assert not any(call.startswith("stop") for call in shop.docker_calls()), "one transaction needs no stop"
    shop.server.sql("insert into ticket (title) values ('next')", "ticket_db")
    assert shop.server.sql("select title from titles where title = 'NEXT'", "ticket_db") == "NEXT", "view and trigger"
    (kept,) = events[-1]["kept"]
    assert kept.startswith("ticket_db:tts_kept.public.ticket__before_")
    shop.server.sql("delete from ticket where title = 'NEXT'", "ticket_db")
    done = shop.run("restore", "undo", "--tables", "--database", "ticket_db", "--yes")
    assert done.returncode == 0, done.stderr
    assert rows(shop, "ticket") == changed
    assert shop.run("restore", "drop-old", "--tables", "--database", "ticket_db", "--yes").returncode == 0
    assert shop.server.sql("select count(*) from pg_namespace where nspname = 'tts_kept'", "ticket_db") == "0"


def test_rows_that_are_gone_come_back_and_no_other_is_changed(shop):
    shop.server.sql(
        "update ticket set title = 'mine' where id = 1; delete from note where id > 40; "
        "delete from ticket where id > 40; insert into ticket (title) values ('since')",
        "ticket_db",
    )
    tables(shop, "ticket", "public.note", extra=("--missing-only", "--repository", "aws"))
    assert shop.server.counts("ticket_db")["public.ticket"] == 51
    assert shop.server.counts("ticket_db")["public.note"] == 50
    assert shop.server.sql("select title from ticket where id in (1, 51) order by id", "ticket_db") == "MINE\nSINCE"


@pytest.mark.parametrize("child", ["note", "tag"])
def test_a_row_that_others_refer_to_is_not_taken_away_and_the_reason_is_named(shop, child):
    shop.server.sql("insert into ticket (title) values ('since')", "ticket_db")
    shop.server.sql(f"insert into {child} (ticket_id) values (51)", "ticket_db")
    before = rows(shop, "ticket"), rows(shop, child)
    events = tables(shop, "ticket", code=1)
    assert f"1 rows of public.{child} refer to rows of public.ticket" in events[-1]["error"]
    assert (rows(shop, "ticket"), rows(shop, child)) == before
    assert shop.server.sql("select count(*) from pg_namespace where nspname = 'tts_kept'", "ticket_db") == "0"
    tables(shop, "ticket", child)
    assert shop.server.counts("ticket_db")["public.ticket"] == 50


def test_a_row_whose_parent_is_gone_is_refused_unless_the_parent_comes_too(shop):
    shop.server.sql("delete from note; delete from ticket where id = 7", "ticket_db")
    error = tables(shop, "note", code=1)[-1]["error"]
    assert "violates foreign key constraint" in error
    assert "restore them together" in error
    assert shop.server.counts("ticket_db")["public.note"] == 0
    tables(shop, "note", "ticket")
    assert shop.server.counts("ticket_db")["public.note"] == 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("alter table person alter id type bigint", "id was integer and is bigint"),
        ("alter table person drop column name", "name was text and is gone"),
        ("drop table person", "has no table public.person any more"),
    ],
)
def test_a_table_of_another_shape_is_refused(shop, change, words):
    shop.server.sql(change, "ticket_db")
    assert words in tables(shop, "person", code=1)[-1]["error"]
    assert shop.server.databases() == {"auth_db", "ticket_db"}


def test_a_table_without_a_key_and_one_with_an_odd_name(shop):
    shop.server.sql('delete from "Odd One"."a table" where x is null; alter table person add y int', "ticket_db")
    shop.server.sql("delete from person where id = 3; select setval('note_id_seq', 1)", "ticket_db")
    assert "no primary key" in tables(shop, "a table", extra=("--missing-only",), code=1)[-1]["error"]
    tables(shop, "Odd One.a table", "person", "note")
    assert shop.server.counts("ticket_db")['"Odd One"."a table"'] == 2
    assert shop.server.counts("ticket_db")["public.person"] == 200, "a column that came since does not matter"
    assert int(shop.server.sql("select nextval('note_id_seq')", "ticket_db")) == 51, "the next row would collide"


def test_a_plan_changes_nothing_and_what_is_not_there_is_named(shop):
    shop.server.sql("delete from person", "ticket_db")
    dry = shop.run("restore", "tables", "--database", "ticket_db", "--table", "person", "--dry-run", "--json")
    assert json.loads(dry.stdout)["tables"] == [{"name": "public.person", "rows": 200}]
    assert shop.server.counts("ticket_db")["public.person"] == 0
    assert "0 tables nope" in tables(shop, "nope", code=1)[-1]["error"]


def test_fault_12_a_table_that_is_locked_is_not_waited_for_for_ever(shop):
    with shop.server.session("begin; lock table ticket in share mode;", "ticket_db"):
        assert "lock timeout" in tables(shop, "ticket", code=1)[-1]["error"]
    tables(shop, "ticket")


def test_fault_17_and_44_a_damaged_dump_and_a_killed_client_leave_the_table_as_it_was(shop):
    shop.server.sql("delete from person", "ticket_db")
    folder = shop.root / "pgfakes"
    folder.mkdir()
    psql = folder / "psql"
    shop.docker["pgbin"] = f"{folder}:{shop.server.bin}"
    shop.write_docker()
    for script in (
        'case "$*" in *"to stdout"*) head -c 900; exit 1;; esac',
        'case "$*" in *"to stdout"*) kill -9 $$;; esac',
    ):
        psql.write_text(f'#!/bin/bash\nREAL={shop.server.bin}/psql\n{script}\nexec "$REAL" "$@"\n')
        psql.chmod(0o755)
        assert "cannot be read from ticket_db__restore" in tables(shop, "person", code=1)[-1]["error"]
        assert shop.server.counts("ticket_db")["public.person"] == 0
        assert shop.server.databases() == {"auth_db", "ticket_db"}
