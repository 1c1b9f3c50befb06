"""What a move refuses, finds and names; the application runs where it ran."""

from __future__ import annotations

import json

import pytest

from tests.scripts import moving
from tests.scripts.moving import BUCKET, SERVICES, killed_at, moved, stays

pytestmark = pytest.mark.docker  # seconds each, for real programs


BROKEN = {
    "a row too few": "delete from note where ctid = (select min(ctid) from note)",
    "a row changed": "update note set weight = weight + 1e-12 where person = 7",
    "a sequence behind": "select setval('person_id_seq', 17)",
}
WRITERS = {"pg_restore": "--role=ticket_user", "psql": "--file="}  # of a whole copy, and of single tables


def break_after(mover, what):
    """Everything that writes to the new side does this to it afterwards."""
    argv, env = mover.far.psql("root_of_provider", "ticket_db")
    command = " ".join([f"PGSSLROOTCERT={env['PGSSLROOTCERT']}", "PGSSLMODE=verify-full", *argv, "-c"])
    # On the PATH of the container, before the server's own programs.
    folder = mover.host.root / "bin"
    folder.mkdir()
    for program, word in WRITERS.items():
        (folder / program).write_text(
            f"#!/bin/bash\nREAL={mover.near.bin}/{program}\n"
            f'[[ $* == *{word}* ]] || exec "$REAL" "$@"\n"$REAL" "$@"; {command} "{BROKEN[what]}"\n'
        )
        (folder / program).chmod(0o755)
    document = json.loads((mover.host.root / "docker/state.json").read_text())
    document["pgbin"] = f"{folder}:{document['pgbin']}"
    (mover.host.root / "docker/state.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a row too few", "table public.note has 499 rows instead of 500"),
        ("a row changed", "table public.note has another content"),
    ],
)
def test_a_copy_that_differs_is_found_and_named(mover, what, words):
    break_after(mover, what)
    stays(mover, mover.install("outside"), f"ticket_db: {words}")


def test_a_sequence_that_is_behind_gets_its_value(mover):
    break_after(mover, "a sequence behind")
    moved(mover, "outside")
    assert mover.sql("outside", "insert into person (name) values ('next') returning id") == "301"


def test_a_file_that_differs_is_found_and_named(mover):
    victim = sorted(mover.files("host"))[3]
    mover.host.fake(
        "rclone",
        f'[[ $1 == sync ]] || exec "$REAL" "$@"\n"$REAL" "$@"; echo other | "$REAL" rcat "bucket:{BUCKET}/{victim}"',
    )
    stays(mover, mover.install("outside"), f"{victim} has another content")


def test_a_stop_that_would_take_too_long_is_not_begun(mover):
    mover.max_stop = 1
    done = mover.install("outside")
    stays(mover, done, "the application would stand still for about")
    assert not [call for call in mover.host.docker_calls() if call.startswith("stop")]


def test_work_that_still_waits_for_the_broker_ends_the_move(mover):
    (mover.host.root / "docker/waiting").write_text("2 events are not sent\n")
    done = mover.install("outside")
    stays(mover, done, "2 events are not sent")
    stopped = [call for call in mover.host.docker_calls() if call.startswith("stop")]
    assert stopped == ["stop --time 30 shop-nginx-1"], "only the entry was closed"


def test_the_entry_goes_first_and_who_tells_of_waiting_work_goes_last(mover):
    moved(mover, "outside")
    stopped = [call.split()[-1] for call in mover.host.docker_calls() if call.startswith("stop")]
    assert stopped == ["shop-nginx-1", "shop-worker-1", "shop-ticket-service-1"]


def test_a_server_that_does_not_prove_its_name_gets_nothing(mover):
    request = mover.request("outside")
    request["sides"]["outside"]["database"]["host"] = "127.0.0.1"
    stays(mover, mover.install("outside", request), "127.0.0.1")


def test_what_no_move_has_put_there_is_never_overwritten(mover):
    mover.far.sql("create table precious (x int)", "auth_db")
    stays(mover, mover.install("outside"), "no move has put there: auth_db")
    assert mover.far.sql("select count(*) from precious", "auth_db") == "0"


def test_a_database_that_would_stay_behind_is_named(mover):
    mover.near.sql("create database forgotten")
    mover.near.sql("create table x (y int)", "forgotten")
    stays(mover, mover.install("outside"), "databases with tables would stay behind: forgotten")


def test_media_that_no_bucket_can_hold_are_named(mover):
    (mover.media / "link").symlink_to("tickets")
    stays(mover, mover.install("outside"), "link (a link)")


def test_a_record_that_was_lost_overwrites_nothing(mover):
    """The host holds its old state, forgot that it left, and is told again to leave: the live side must win."""
    moved(mover, "outside")
    (mover.state / "state/placement.json").unlink()
    mover.environments["outside"]["POSTGRES_SCALE"] = "1"
    document = json.loads((mover.host.root / "docker/state.json").read_text())
    document["containers"].append(
        {"name": "shop-postgres-1", "service": "postgres", "project": "shop", "state": "running", "env": {}}
    )
    (mover.host.root / "docker/state.json").write_text(json.dumps(document))
    done = mover.install("outside")
    assert done.returncode == 1
    assert "was left by a move before" in done.stderr
    assert mover.sql("outside", "select count(*) from person") == "300"


def test_a_new_host_of_a_later_rung_moves_nothing(mover):
    (mover.state / "state/placement.json").unlink()
    mover.host.docker["containers"] = []
    mover.host.write_docker()
    moved(mover, "outside")
    # Its databases were the administrator's: now each user may make tables in its own.
    mover.far.sql("set role auth_user; create table made (x int); drop table made", "auth_db")
    assert mover.sql("outside", "select count(*) from pg_tables where schemaname = 'public'") == "0"


def test_a_backup_is_waited_for_and_a_change_of_mind_forgets_the_move(mover):
    killed_at(mover, "stopped")
    moved(mover, "host")
    assert mover.running() == set(SERVICES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"placement": "moon"}, "placement must be one of host, outside"),
        ({"services": "rabbitmq"}, "services must be"),
        ({"services": ["postgres"]}, "exclude each other"),
        ({"services": ["nothing"], "placement": None}, "compose.yaml has no nothing"),
        ({"drain": 601}, "drain must be true or a number of seconds"),
        ({"sides": {}}, "sides.outside is missing"),
        ({"sides": {"host": {"database": {}}, "outside": {}}}, "sides.host.database.service is missing"),
    ],
)
def test_wrong_keys_are_refused_before_anything_changes(mover, change, words):
    request = mover.request("outside")
    before = mover.host.docker_calls()
    for key, value in change.items():
        request[key] = value
        if value is None:
            del request[key]
    done = mover.install("outside", request)
    assert done.returncode == 78
    assert words in done.stderr
    assert mover.side() == "host"
    assert not [call for call in mover.host.docker_calls()[len(before) :] if " up " in call]


def test_everything_wrong_with_the_sides_is_told_at_once_and_no_value(mover):
    request = mover.request("outside")
    database = request["sides"]["outside"]["database"]
    database["port"] = "5432"
    database["owners"]["ticket_db"] = {}
    del database["ca"], request["sides"]["outside"]["media"]["bucket"]
    done = mover.install("outside", request)
    assert done.returncode == 78
    for words in (
        "outside.database.port must be a whole number",
        "outside.database.owners.ticket_db.user is missing",
        "outside.database.ca is missing",
        "outside.media.bucket is missing",
    ):
        assert words in done.stderr
    assert moving.ADMIN_PASSWORD not in done.stderr


def test_a_host_with_a_part_of_the_services_starts_those_and_no_other(mover):
    (mover.state / "state/placement.json").unlink()
    mover.host.docker["containers"] = []
    mover.host.write_docker()
    done = mover.install(None, mover.request(None, services=["worker"]))
    assert done.returncode == 0, done.stderr
    assert mover.running() == {"worker"}
    assert not (mover.state / "state/placement.json").exists()
