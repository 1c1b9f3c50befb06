"""The state leaves the host and comes back, while somebody writes; every way in which that can fail or be killed."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.scripts import moving
from tests.scripts.moving import BUCKET, OWNERS, PROJECT, TABLES, Mover, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scripts.moving import Outside

pytestmark = pytest.mark.docker  # seconds each, for real programs
DRAINED = {"more_labels": {"tts.drained": "cat $FAKE_DOCKER/waiting 2>/dev/null && exit 1; true"}}
SERVICES = {
    "postgres": {"image": "shop/postgres:15", "volumes": [{"type": "volume", "source": "postgres_data"}]},
    "ticket-service": {"volumes": [{"type": "volume", "source": "media_files"}], "fake": DRAINED},
    "nginx": {"fake": {"ports": {"80/tcp": [{"HostPort": "80"}]}}},
    "worker": {},
}
# Before the switch a killed move is taken back, from it on it is ended.
BEFORE = ("copying", "closing", "closed", "drained", "stopped", "copied")
AFTER = ("switching", "marked", "configured", "recorded", "started")


@pytest.fixture(scope="session")
def outside(server) -> Iterator[Outside]:
    with moving.outside_server(server.bin) as it:
        yield it


@pytest.fixture
def mover(bare_host, server, outside, s3_endpoint) -> Iterator[Mover]:
    """An application that runs on its host, with two databases and twelve files."""
    server.drop_everything()
    outside.reset()
    server.sql("create role app login")
    for name in OWNERS:
        server.sql(f"create database {name} owner app")
        server.sql("set role app;" + TABLES, name)
    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket=BUCKET)
    root = bare_host.root
    media = root / "volumes" / f"{PROJECT}_media_files" / "_data"
    bare_host.docker |= {
        "pghost": str(server.socket),
        "pgport": server.port,
        "pgbin": str(server.bin),
        "containers": [],
        "compose": {"services": SERVICES, "volumes": {"media_files": {}, "postgres_data": {}}},
    }
    bare_host.write(TTS_OFFSITE="")
    bare_host.write_docker()
    it = Mover(bare_host, server, outside, client, s3_endpoint, media)
    done = it.install("host")
    assert done.returncode == 0, done.stderr
    yield it
    server.drop_everything()
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=BUCKET)


def holds_everything(mover: Mover, side: str, writer: Writer) -> None:
    found = {int(line) for line in mover.sql(side, "select id from ticket").split("\n") if line}
    assert writer.acknowledged <= found
    files = mover.files(side)
    assert {name: files.get(name) for name in writer.files} == writer.files
    for name in OWNERS:
        assert mover.sql(side, "select count(*) from person", name) == "300"
        assert mover.sql(side, "select count(*), sum(weight) > 0 from note", name) == "500|t"


def moved(mover: Mover, side: str) -> None:
    done = mover.install(side)
    assert done.returncode == 0, done.stderr
    assert mover.placement()["placement"] == side
    assert mover.side() == side
    assert not (mover.state / "state/move.json").exists()
    assert not (mover.state / "state/quiesced").exists()
    for secret in (moving.ADMIN_PASSWORD, "secret-of-media"):
        assert secret not in done.stdout + done.stderr


def test_there_and_back_with_a_writer_every_acknowledged_row_and_file_is_there(mover):
    with Writer(mover) as writer:
        moved(mover, "outside")
        writer.more(4)
    assert writer.sides == ["host", "outside"]
    holds_everything(mover, "outside", writer)
    assert "postgres" not in mover.containers()
    owners = mover.sql("outside", "select distinct tableowner from pg_tables where schemaname = 'public'")
    assert owners == "ticket_user"
    assert mover.sql("outside", "insert into person (name) values ('next') returning id") == "301"
    assert mover.sql("outside", "select convert_from(lo_get(oid), 'UTF8') from pg_largeobject_metadata") == (
        "a large object"
    )
    assert set(mover.placement()["old"]) == {"postgres_data", "media_files"}
    # What was left is closed: no stray process writes where nobody looks.
    with pytest.raises(subprocess.CalledProcessError, match="exit status"):
        mover.near.sql("select 1", "ticket_db")
    mover.sql("outside", "delete from person where id = 301")
    gone = next(iter(writer.files))
    mover.s3.delete_object(Bucket=BUCKET, Key=gone)
    files = {name: body for name, body in writer.files.items() if name != gone}
    with Writer(mover, first=1000) as back:
        moved(mover, "host")
        back.more(4)
    back.acknowledged |= writer.acknowledged
    holds_everything(mover, "host", back)
    assert gone not in mover.files("host")
    assert files.items() <= mover.files("host").items()
    assert mover.sql("host", "select distinct tableowner from pg_tables where schemaname = 'public'") == "app"
    # And out once more, over what was left there.
    moved(mover, "outside")
    holds_everything(mover, "outside", back)


def killed_at(mover: Mover, step: str, goal: str = "outside") -> None:
    mover.die_at(step)
    assert mover.install(goal).returncode != 0
    assert json.loads((mover.state / "state/move.json").read_text())["step"] == step
    mover.host.unfake()


def test_killed_at_every_step_the_next_run_ends_on_the_new_side_and_the_host_alone_on_the_old(mover):
    with Writer(mover) as writer:
        for step in BEFORE:
            killed_at(mover, step)
            shown = json.loads(mover.host.run("status").stdout)
            assert shown["move"]["step"] == step
            assert any(f"({step})" in text for text in shown["findings"])
            assert mover.host.run("quiesce", "--end").returncode == 0  # what the schedule does when its time is over
            assert mover.side() == "host"
            writer.more(1)
        for step in AFTER:
            killed_at(mover, step)
        moved(mover, "outside")
        writer.more(2)
    assert writer.sides == ["host", "outside"]
    holds_everything(mover, "outside", writer)


@pytest.mark.parametrize("step", ["switching", "recorded"])
def test_killed_after_the_switch_the_host_alone_ends_on_the_new_side(mover, step):
    with Writer(mover) as writer:
        killed_at(mover, step)
        assert mover.host.run("quiesce", "--end", TTS_APP_ENV=str(mover.host.root / "app.env")).returncode == 0
        assert mover.side() == "outside"
        writer.more(2)
        moved(mover, "outside")
    holds_everything(mover, "outside", writer)


def test_the_way_back_is_killed_and_ended_too(mover):
    moved(mover, "outside")
    with Writer(mover) as writer:
        for step in ("stopped", "switching"):
            killed_at(mover, step, "host")
        moved(mover, "host")
        writer.more(2)
    holds_everything(mover, "host", writer)


def stays(mover: Mover, done: subprocess.CompletedProcess[str], words: str) -> None:
    """The move failed, for this reason in the last line, and the application runs where it ran."""
    assert done.returncode == 1
    assert words in done.stderr.strip().splitlines()[-1], done.stderr
    assert mover.side() == "host"
    assert mover.running() == set(SERVICES)
    assert not (mover.state / "state/quiesced").exists()
    assert not (mover.state / "state/move.json").exists()
    assert not (mover.state / "state/placement.json").exists() or mover.placement()["placement"] == "host"
    with Writer(mover) as writer:
        writer.more(1)


BROKEN = {
    "a row too few": (
        "pg_restore",
        '"$REAL" "$@"; {psql} "delete from note where ctid = (select min(ctid) from note)"',
    ),
    "a row changed": ("pg_restore", '"$REAL" "$@"; {psql} "update note set weight = weight + 1e-12 where person = 7"'),
    "a sequence behind": ("pg_restore", '"$REAL" "$@"; {psql} "select setval(\'person_id_seq\', 17)"'),
}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a row too few", "table public.note has 499 rows instead of 500"),
        ("a row changed", "table public.note has another content"),
        ("a sequence behind", "sequence public.person_id_seq has another content"),
    ],
)
def test_a_copy_that_differs_is_found_and_named(mover, what, words):
    program, script = BROKEN[what]
    argv, env = mover.far.psql("root_of_provider", "ticket_db")
    command = " ".join([f"PGSSLROOTCERT={env['PGSSLROOTCERT']}", "PGSSLMODE=verify-full", *argv, "-c"])
    # On the PATH of the container, before the server's own programs.
    folder = mover.host.root / "bin"
    folder.mkdir()
    (folder / program).write_text(
        f"#!/bin/bash\nREAL={mover.near.bin}/{program}\n"
        f'[[ $* == *--role=ticket_user* ]] || exec "$REAL" "$@"\n{script.format(psql=command)}\n'
    )
    (folder / program).chmod(0o755)
    document = json.loads((mover.host.root / "docker/state.json").read_text())
    document["pgbin"] = f"{folder}:{document['pgbin']}"
    (mover.host.root / "docker/state.json").write_text(json.dumps(document))
    stays(mover, mover.install("outside"), f"ticket_db: {words}")


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


def test_on_the_new_side_the_jobs_back_up_verify_rehearse_and_restore(mover):
    """Backups of before the move too: there the databases belong to another role, and files are in a volume."""
    host = mover.host
    assert host.run("backup", "databases").returncode == 0
    moved(mover, "outside")
    secrets = host.root / "secrets"
    login = {"PGHOST": "localhost", "PGPORT": mover.far.port, "PGUSER": "doadmin", "PGPASSWORD": moving.ADMIN_PASSWORD}
    login |= {"PGDATABASE": "defaultdb", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": mover.far.ca_file}
    key = {"AWS_ACCESS_KEY_ID": "key-of-media", "AWS_SECRET_ACCESS_KEY": "secret-of-media"}
    for name, values in (("database", login), ("media", key)):
        (secrets / name).write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        (secrets / name).chmod(0o600)
    host.write(
        TTS_PG_MODE="managed",
        TTS_PG_CREDENTIALS=str(secrets / "database"),
        TTS_MEDIA_BUCKET=BUCKET,
        TTS_MEDIA_ENDPOINT=mover.endpoint,
        TTS_MEDIA_REGION="fra1",
        TTS_MEDIA_CREDENTIALS=str(secrets / "media"),
    )
    assert host.run("backup", "all").returncode == 0
    done = host.run("verify")
    assert done.returncode == 0, done.stderr
    done = host.run("drill", "--server", "binaries", "--json")
    assert json.loads(done.stdout)["result"] == "PASS", done.stderr
    oldest = host.snapshots(kind="databases")[0]["id"]
    for snapshot in ("latest", oldest):
        mover.sql("outside", "delete from note")
        done = host.run("restore", "databases", "--database", "ticket_db", "--snapshot", snapshot, "--yes")
        assert done.returncode == 0, done.stderr
        assert mover.sql("outside", "select count(*) from note") == "500"
        mover.far.sql("set role ticket_user; insert into person (name) values ('after')", "ticket_db")
    assert host.run("restore", "undo", "--database", "ticket_db", "--yes").returncode == 0
    assert mover.sql("outside", "select count(*) from note") == "0"


def test_the_old_side_goes_only_when_the_new_one_is_in_use_and_well(mover):
    host = mover.host
    data = host.root / "volumes" / "shop_postgres_data" / "_data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")
    label = {"com.docker.compose.project": PROJECT, "com.docker.compose.volume": "postgres_data"}
    document = json.loads((host.root / "docker/state.json").read_text())
    document["volumes"].append({"name": "shop_postgres_data", "folder": str(data), "labels": label})
    (host.root / "docker/state.json").write_text(json.dumps(document))
    assert "no old side to release" in host.run("release-old", "--yes").stderr
    moved(mover, "outside")
    found = json.loads(host.run("release-old", "--json").stdout)
    assert {item["name"] for item in found["old"]} == {"shop_postgres_data", "shop_media_files"}
    document = json.loads((host.root / "docker/state.json").read_text())
    document["containers"][0]["health"] = "unhealthy"
    (host.root / "docker/state.json").write_text(json.dumps(document))
    assert "not well on the new side" in host.run("release-old", "--yes").stderr
    assert (data / "PG_VERSION").exists()
    document["containers"][0]["health"] = "healthy"
    (host.root / "docker/state.json").write_text(json.dumps(document))
    done = host.run("release-old", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["removed"]
    assert not mover.files("host"), "a container mounts the media volume: only its content goes"
    assert "volume rm shop_postgres_data" in host.docker_calls()
    assert host.run("release-old").stdout == "nothing is left here\n"
