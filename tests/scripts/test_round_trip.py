"""The good way: back up, copy, verify, lose data, restore from each repository alone."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.docker  # seconds each, for real programs


def back_up(host, *kinds):
    for kind in kinds:
        done = host.run("backup", kind)
        assert done.returncode == 0, done.stderr


def manifest_of(host, repository):
    (snapshot,) = host.snapshots(repository, "databases")
    done = host.restic(repository, "dump", snapshot["id"], f"{host.root}/state/staging/databases/manifest.json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_backup_of_databases_is_one_snapshot_listed_in_every_repository(host):
    done = host.run("backup", "databases", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (local,) = host.snapshots("local", "databases")
    assert result["snapshot"] == local["id"]
    assert result["result"] == "ok"
    assert local["hostname"] == "web-1"
    assert {"kind=databases", "stack=test"} < set(local["tags"])
    for name in ("aws", "spaces"):
        (copied,) = host.snapshots(name, "databases")
        assert copied["original"] == local["id"]
    assert "result=ok" in host.last_line()
    assert not (host.root / "state" / "staging").exists()


def test_the_manifest_read_with_plain_restic_has_exact_counts_of_every_table(host):
    host.server.sql("insert into person select n, 'late' from generate_series(1000, 1049) n", "ticket_db")
    back_up(host, "databases")
    manifest = manifest_of(host, "aws")
    assert {entry["name"]: entry["rows"] for entry in manifest["databases"]} == {"auth_db": 202, "ticket_db": 252}
    assert {"app", "reader", "postgres"} <= set(manifest["globals"]["roles"])
    assert manifest["server"]["container"] == "shop-postgres-1"


def test_status_says_verified_only_after_a_verification_of_the_newest_snapshot(host):
    back_up(host, "databases", "media", "config")
    before = json.loads(host.run("status").stdout)
    assert [backup["verified"] for backup in before["backups"]] == [False, False, False]
    done = host.run("verify", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["findings"] == []
    status = json.loads(host.run("status").stdout)
    assert status["errors"] == []
    assert [backup["kind"] for backup in status["backups"]] == ["databases", "media", "config"]
    for backup in status["backups"]:
        assert backup["verified"]
        assert backup["last_result"] == "ok"
        assert backup["age_seconds"] < 600
        assert [(copy["name"], copy["lag"], copy["snapshot"]) for copy in backup["offsite"]] == [
            ("aws", 0, backup["snapshot"]),
            ("spaces", 0, backup["snapshot"]),
        ]
    assert [service["healthy"] for service in status["services"]] == [True, True, True]
    back_up(host, "config")
    assert [backup["verified"] for backup in json.loads(host.run("status").stdout)["backups"]] == [True, True, False]


@pytest.mark.parametrize("repository", ["aws", "spaces"])
def test_fault_66_a_dropped_database_comes_back_from_each_off_site_repository_alone(backed_up, repository):
    wanted = backed_up.server.counts("ticket_db")
    (copied,) = backed_up.snapshots(repository, "databases")
    shutil.rmtree(backed_up.repository("local"))
    backed_up.server.sql("drop database ticket_db")
    done = backed_up.run(
        "restore",
        "databases",
        "--database",
        "ticket_db",
        "--repository",
        repository,
        "--snapshot",
        copied["original"][:12],
        "--yes",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "plan"
    assert events[0]["databases"][0]["rows"] == 202
    assert events[-1] == {
        "event": "result",
        "result": "ok",
        "error": None,
        "kept": [],
        "seconds": events[-1]["seconds"],
    }
    assert backed_up.server.counts("ticket_db") == wanted


def test_fault_42_a_restore_swaps_under_connected_clients_keeps_the_old_database_and_can_be_undone(backed_up):
    backed_up.server.sql("delete from person where id > 10", "auth_db")
    with backed_up.server.session("select 1", "auth_db"):
        done = backed_up.run("restore", "databases", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    kept = json.loads(done.stdout.splitlines()[-1])["kept"]
    assert [name.split("__before_")[0] for name in kept] == ["auth_db", "ticket_db"]
    assert backed_up.server.counts("auth_db")["public.person"] == 200
    calls = [call for call in backed_up.docker_calls() if call.startswith(("stop", "start"))]
    assert calls[0] == "stop --time 30 shop-nginx-1 shop-ticket-service-1"
    assert sorted(calls[1:]) == ["start shop-nginx-1", "start shop-ticket-service-1"], "side by side"
    with pytest.raises(subprocess.CalledProcessError):
        backed_up.server.sql("select 1", kept[0])  # nobody connects to the old one by accident
    undone = backed_up.run("restore", "undo", "--database", "auth_db", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert backed_up.server.counts("auth_db")["public.person"] == 10
    assert backed_up.server.counts("ticket_db")["public.person"] == 200
    dropped = backed_up.run("restore", "drop-old", "--yes")
    assert dropped.returncode == 0, dropped.stderr
    assert backed_up.server.databases() == {"auth_db", "ticket_db"}


def test_a_store_that_goes_away_while_a_dump_is_read_is_the_reason_that_is_told(backed_up):
    wanted = backed_up.server.counts("ticket_db")
    backed_up.fake(
        "restic",
        '[[ $1 == dump && $* == *ticket_db* ]] && { "$REAL" "$@" 2>/dev/null | head -c 3000; '
        'echo "the store went away" >&2; exit 1; }; exec "$REAL" "$@"',
    )
    done = backed_up.run("restore", "databases", "--yes")
    assert done.returncode == 1
    assert "ticket_db cannot be read from repository local: the store went away" in done.stderr
    assert backed_up.server.counts("ticket_db") == wanted
    assert backed_up.server.databases() == {"auth_db", "ticket_db"}


def test_fault_45_a_restore_into_a_server_without_roles_makes_owners_grants_and_settings_equal(backed_up):
    grant = "a.grantee::regrole || ' ' || a.privilege_type"
    acl = f"(select array_agg({grant} order by {grant}) from aclexplode(datacl) a)"
    settings = "(select setconfig from pg_db_role_setting where setdatabase = d.oid)"
    facts = (
        f"select datname, datdba::regrole, {acl}, {settings} from pg_database d where datname like '%\\_db' order by 1"
    )
    tables = "select tablename, tableowner from pg_tables where schemaname in ('public', 'Odd One') order by 1"
    members = "select roleid::regrole, member::regrole from pg_auth_members where roleid::regrole::text = 'reader'"
    before = backed_up.server.sql(facts), backed_up.server.sql(tables, "auth_db"), backed_up.server.sql(members)
    password = backed_up.server.sql("select rolpassword from pg_authid where rolname = 'app'")
    backed_up.server.drop_everything()
    done = backed_up.run("restore", "databases", "--yes")
    assert done.returncode == 0, done.stderr
    assert (
        backed_up.server.sql(facts),
        backed_up.server.sql(tables, "auth_db"),
        backed_up.server.sql(members),
    ) == before
    assert backed_up.server.sql("select rolpassword from pg_authid where rolname = 'app'") == password


def test_roles_that_exist_keep_their_present_password(backed_up):
    backed_up.server.sql("alter role app password 'changed-since'")
    now = backed_up.server.sql("select rolpassword from pg_authid where rolname = 'app'")
    done = backed_up.run("restore", "databases", "--yes")
    assert done.returncode == 0, done.stderr
    assert backed_up.server.sql("select rolpassword from pg_authid where rolname = 'app'") == now


def test_bug_27_media_are_restored_into_a_new_directory_so_that_deleted_files_do_not_return(bare_host):
    host = bare_host
    media = host.root / "volumes" / "shop_media_files" / "_data"
    odd = media / "tickets" / "-a b\nc*.bin"
    odd.write_bytes(b"odd")
    (media / "link").symlink_to("tickets")
    wanted = tree(media)
    back_up(host, "media")
    (media / "tickets" / "attachment 1.bin").unlink()
    (media / "tickets" / "attachment 2.bin").write_bytes(b"changed")
    (media / "new.bin").write_bytes(b"new")
    changed = tree(media)
    done = host.run("restore", "media", "--repository", "spaces", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert tree(media) == wanted
    assert (media / "link").is_symlink()
    undone = host.run("restore", "undo", "--media", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert tree(media) == changed


def test_config_history_is_restored_into_an_empty_directory_only(bare_host):
    host = bare_host
    back_up(host, "config")
    target = host.root / "out"
    wanted = str(host.root / "app")
    done = host.run("restore", "path", wanted, "--target", str(target), "--yes")
    assert done.returncode == 0, done.stderr
    assert (target / wanted.lstrip("/") / "compose.yaml").read_text() == "services: {}\n"
    again = host.run("restore", "path", wanted, "--target", str(target), "--yes")
    assert again.returncode == 1
    assert "is not empty" in again.stderr


def test_a_dry_run_shows_the_plan_and_without_yes_nothing_changes(backed_up):
    backed_up.server.sql("delete from person", "auth_db")
    dry = backed_up.run("restore", "databases", "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    assert [json.loads(line)["event"] for line in dry.stdout.splitlines()] == ["plan"]
    refused = backed_up.run("restore", "databases")
    assert refused.returncode == 1
    assert "add --yes" in refused.stderr
    assert backed_up.server.counts("auth_db")["public.person"] == 0
    assert not any(call.startswith("stop") for call in backed_up.docker_calls())


def test_fault_30_databases_of_any_name_are_dumped_and_restored_under_it(host):
    names = ["a b", "x;rm -rf", "Ü\"ber's", "k=v", "%(x)s {y} \\d"]
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        host.server.sql(f"create database {quoted}")
        host.server.sql("create table t as select generate_series(1, 7) n", name)
    back_up(host, "databases")
    for name in names:
        host.server.sql("truncate t", name)
    done = host.run("restore", "databases", "--yes")
    assert done.returncode == 0, done.stderr
    assert [host.server.counts(name) for name in names] == [{"public.t": 7}] * len(names)
