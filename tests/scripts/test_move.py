"""The state leaves the host and comes back, while somebody writes; every way in which that can fail or be killed."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.scripts import moving
from tests.scripts.moving import BUCKET, PROJECT, Writer, holds_everything, killed_at, moved

pytestmark = pytest.mark.docker  # seconds each, for real programs
# Before the switch a killed move is taken back, from it on it is ended.
BEFORE = ("copying", "closing", "closed", "drained", "stopped", "copied")
AFTER = ("switching", "marked", "configured", "recorded", "started")


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


def test_after_the_switch_services_start_at_once_but_in_order_of_need_where_an_image_is_new(mover):
    moved(mover, "outside")
    assert {"start shop-ticket-service-1", "start shop-nginx-1"} <= set(mover.host.docker_calls())
    state = mover.host.root / "docker/state.json"
    document = json.loads(state.read_text())
    document["compose"]["services"]["worker"] = {"fake": {"image": "sha256:new"}}
    state.write_text(json.dumps(document))
    before = len(mover.host.docker_calls())
    moved(mover, "host")
    assert not [call for call in mover.host.docker_calls()[before:] if call.startswith("start ")]
    assert mover.running() == set(moving.SERVICES)


def test_a_move_whose_listener_is_gone_goes_on_to_its_end_and_is_in_the_log(mover):
    mover.install("outside", shell='{ bash "$0"; echo "$?" >"$FAKE_DOCKER/ended"; } 2>&1 | head -c 1 >/dev/null')
    assert (mover.host.root / "docker/ended").read_text() == "0\n"
    assert mover.side() == "outside"
    assert "job=app result=ok moved_to=outside" in mover.log


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


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_administrator_who_is_no_superuser_swaps_databases_that_the_server_vacuums(mover, tts_host):
    far = mover.far
    slow = "autovacuum_vacuum_cost_delay=100, autovacuum_vacuum_cost_limit=1, autovacuum_vacuum_threshold=1"
    far.sql(
        f"create table busy with ({slow}) as select repeat('x', 500) from generate_series(1, 20000); delete from busy",
        "auth_db",
    )
    far.sql("alter system set autovacuum_naptime = 1")
    far.sql("select pg_reload_conf()")
    worker = "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker' and datname = 'auth_db'"
    wait_for(lambda: far.sql(worker) != "0")
    with pytest.raises(AssertionError, match="must be a superuser"):
        far.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'auth_db'", user="doadmin")
    pairs = "('auth_db', 'auth_db__before', 'ticket_db')"
    swap = tts_host.swap.SWAP.format(pairs=pairs, kept=tts_host.swap.KEPT)
    argv, env = far.psql("root_of_provider", "auth_db")
    with subprocess.Popen(argv, env={**env, "PGAPPNAME": "provider"}, stdin=subprocess.PIPE) as other:
        wait_for(lambda: far.sql("select count(*) from pg_stat_activity where application_name = 'provider'") == "1")
        with pytest.raises(AssertionError, match="do not end: root_of_provider in auth_db provider"):
            far.sql(swap, user="doadmin")
        other.communicate()
    far.sql(swap, user="doadmin")
    there = far.sql("select datname from pg_database").split("\n")
    assert {"auth_db", "auth_db__before"} <= set(there)
    assert "ticket_db" not in there
    assert far.sql("select to_regclass('busy')", "auth_db") == "", "the other one has this name now"


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
