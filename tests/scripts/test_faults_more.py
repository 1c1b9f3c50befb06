"""Faults that need a scene of their own: unwritable paths, odd trees, time zones, TLS, restoring by hand."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.scripts.listeners import certificate

pytestmark = pytest.mark.docker  # seconds each, for real programs
BY_HAND = Path(__file__).resolve().parents[2] / "docs/how-to/restore-by-hand.md"


def media(host):
    return host.root / "volumes" / "shop_media_files" / "_data"


def fake_tool(host, name, script):
    """Put a PostgreSQL tool before the server's own; `$REAL` is the real one."""
    folder = host.root / "pgfakes"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\nREAL={host.server.bin}/{name}\n{script}\n")
    (folder / name).chmod(0o755)
    host.docker["pgbin"] = f"{folder}:{host.server.bin}"
    host.write_docker()


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_fault_11_a_staging_folder_that_cannot_be_made_fails_the_run_and_is_named(host):
    host.write(TTS_OFFSITE="")
    (host.root / "state").mkdir(exist_ok=True)
    host.fake("restic", f'touch {host.root}/state/staging; exec "$REAL" "$@"')
    last = host.failed(host.run("backup", "databases"), "dump")
    assert str(host.root / "state" / "staging") in last
    assert host.snapshots() == []


def test_fault_11_a_repository_that_cannot_be_written_fails_the_run_and_is_named(bare_host):
    bare_host.write(TTS_OFFSITE="")
    local = str(bare_host.repository("local"))
    if subprocess.run(["mount", "--bind", local, local], check=False, capture_output=True).returncode != 0:
        pytest.skip("making a folder read-only needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", local], check=True)
        last = bare_host.failed(bare_host.run("backup", "config"), "preflight", job="backup-config")
        assert f"cannot write to {local}: Read-only file system" in last
    finally:
        subprocess.run(["umount", local], check=True)


def test_fault_27_a_run_in_another_time_zone_is_recorded_in_utc(bare_host):
    bare_host.write(TTS_OFFSITE="")
    assert bare_host.run("backup", "config", TZ="Pacific/Kiritimati").returncode == 0  # UTC+14
    (made,) = bare_host.snapshots()
    (run,) = [tag for tag in made["tags"] if tag.startswith("run=")]
    age = time.time() - time.mktime(time.strptime(run + " UTC", "run=%Y%m%dT%H%M%SZ %Z")) + time.timezone
    assert -60 < age < 300
    assert made["time"].endswith("Z")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", bare_host.log("backup-config"))


def test_fault_37_a_tree_of_odd_files_comes_back_equal_in_content_mode_owner_and_links(bare_host):
    if os.getuid() != 0:
        pytest.skip("files of other owners need root")
    bare_host.write(TTS_OFFSITE="")
    root = media(bare_host)
    for number in range(1500):
        folder = root / f"folder {number % 40}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.bin").write_bytes(secrets.token_bytes(number % 300))
    for name in ("-rf", "a b", "two\nlines", "ümläut", "*", "'quoted\"", os.fsdecode(b"\xff byte, no UTF-8")):
        (root / name).write_text("content")
    (root / "shared").write_bytes(b"x")
    (root / "shared").chmod(0o640)
    os.chown(root / "shared", 1234, 4321)
    (root / "link").symlink_to("folder 1/41.bin")
    (root / "dangling").symlink_to("/nowhere/at all")
    with (root / "sparse").open("wb") as stream:
        stream.truncate(64 << 20)
        stream.write(b"end")
    (root / "empty folder").mkdir(mode=0o711)
    before = tree(root)
    assert bare_host.run("backup", "media").returncode == 0
    (root / "-rf").unlink()
    (root / "sparse").write_bytes(b"overwritten")
    done = bare_host.run("restore", "media", "--yes")
    assert done.returncode == 0, done.stderr
    assert tree(root) == before


def tree(root):
    """Every path with its kind, mode, owner and content."""
    found = {}
    for path in root.rglob("*"):
        info = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        owner = (info.st_uid, info.st_gid)
        found[str(path.relative_to(root))] = (stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), owner, content)
    return found


def test_fault_47_the_page_on_restoring_by_hand_restores_by_hand(host):
    assert host.run("backup", "databases").returncode == 0
    counts = {name: host.server.counts(name) for name in ("auth_db", "ticket_db")}
    host.server.drop_everything()
    blocks = re.findall(r"```sh\n(.*?)```", BY_HAND.read_text(), re.DOTALL)
    fetch = next(block for block in blocks if "sha256sum" in block)
    fill = next(block for block in blocks if "createdb" in block)
    (snapshot,) = host.snapshots("spaces")
    target = host.root / "by hand"
    fetch = fetch.replace("SNAPSHOT", snapshot["id"]).replace("/tmp/restore", f"'{target}'")
    fetch = fetch.replace("/var/lib/tts/staging", f"{host.root}/state/staging")
    database = fill.replace("OWNER", "app").splitlines()
    roles, rest = [line for line in database if "globals" in line], [line for line in database if "globals" not in line]
    script = "\n".join(["set -e", fetch, *roles, *rest, *(line.replace("ticket_db", "auth_db") for line in rest)])
    env = {
        "PATH": f"{host.server.bin}:{host.environment()['PATH']}",
        "PGHOST": str(host.server.socket),
        "PGPORT": str(host.server.port),
        "PGUSER": "postgres",
        "RESTIC_REPOSITORY": str(host.repository("spaces")),
        "RESTIC_PASSWORD_FILE": str(host.root / "secrets" / "backup-passphrase"),
        "RESTIC_CACHE_DIR": str(host.root / "cache"),
    }
    done = subprocess.run(["bash", "-c", script], env=env, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {name: host.server.counts(name) for name in counts} == counts
    sums = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line.endswith(".dump")}
    manifest = json.loads(
        host.restic("spaces", "dump", snapshot["id"], f"{host.root}/state/staging/databases/manifest.json").stdout
    )
    assert sums == {each["file"]: each["sha256"] for each in manifest["databases"]}


def test_fault_67_failed_runs_do_not_make_the_repository_grow(bare_host):
    host = bare_host
    host.write(TTS_OFFSITE="")
    changing = media(host) / "changing.bin"
    assert host.run("backup", "media").returncode == 0
    good = size_of(host.repository("local"))
    host.fake("restic", '[[ $1 == backup ]] && { "$REAL" "$@"; exit 1; }; exec "$REAL" "$@"')
    for _ in range(6):
        changing.write_bytes(secrets.token_bytes(1_000_000))
        assert host.run("backup", "media").returncode == 1
    assert size_of(host.repository("local")) > good + 5_000_000, "the runs stored nothing: this shows nothing"
    host.unfake()
    assert host.run("backup", "media").returncode == 0
    assert size_of(host.repository("local")) < 1.1 * (good + 1_000_000)


def test_fault_74_definitions_of_the_broker_are_in_the_config_backup_or_their_absence_is_a_warning(bare_host):
    definitions = {"rabbit_version": "3.10.8", "users": [{"name": "shop", "password_hash": "x"}], "vhosts": []}
    bare_host.docker["containers"].append(
        {"name": "shop-rabbitmq-1", "service": "rabbitmq", "project": "shop", "state": "running"}
    )
    bare_host.write(TTS_OFFSITE="aws", TTS_BROKER_SERVICE="rabbitmq")
    for known, warnings in ((None, 1), ("no JSON", 1), (json.dumps(definitions), 0)):
        bare_host.docker |= {"definitions": known} if known else {}
        bare_host.write_docker()
        done = bare_host.run("backup", "config", "--json")
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["warnings"]) == warnings
        assert not (bare_host.root / "state" / "staging").exists()
    path = f"{bare_host.root}/state/staging/broker/definitions.json"
    assert json.loads(bare_host.restic("aws", "dump", "latest", path).stdout) == definitions
    assert bare_host.run("config-diff", "latest").stdout == "", "the definitions are no file of the host"
    before = (bare_host.root / "app.env").read_text()
    assert bare_host.run("restore", "config", "--yes").returncode == 0
    assert (bare_host.root / "app.env").read_text() == before


def test_fault_76_a_run_ends_with_the_settings_with_which_it_began(host):
    gate = host.root / "gate"
    fake_tool(host, "pg_dump", f'touch {gate}.reached; while [ ! -e {gate} ]; do sleep 0.05; done; exec "$REAL" "$@"')
    run = host.start("backup", "databases")
    try:
        deadline = time.monotonic() + 60
        while not Path(f"{gate}.reached").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        host.write(TTS_OFFSITE="", TTS_HOST="renamed")
        gate.touch()
        _, words = run.communicate(timeout=120)
    finally:
        run.kill()
    assert run.returncode == 0, words
    assert [each["hostname"] for each in host.snapshots("aws")] == ["web-1"]
    assert host.run("backup", "config").returncode == 0
    assert {each["hostname"] for each in host.snapshots()} == {"web-1", "renamed"}
    assert len(host.snapshots("aws")) == 1


def test_fault_79_a_database_container_that_is_replaced_during_a_dump_fails_the_run(host):
    state = host.root / "docker" / "state.json"
    replace = f"sed -i s/shop-postgres-1/shop-postgres-2/ {state}"
    fake_tool(host, "pg_dump", f'case "$*" in *auth_db*) {replace} ;; esac; exec "$REAL" "$@"')
    last = host.failed(host.run("backup", "databases"), "dump")
    assert "ticket_db" in last
    assert host.snapshots() == []
    assert host.run("backup", "databases").returncode == 0, "the new container is not found by the next run"


def test_fault_88_a_repository_above_its_threshold_is_a_warning_of_the_run_and_a_finding(bare_host):
    bare_host.write(TTS_OFFSITE="", TTS_MAX_REPOSITORY_GB="0")
    done = bare_host.run("backup", "config", "--json")
    assert done.returncode == 0, done.stderr
    assert "more than TTS_MAX_REPOSITORY_GB=0" in json.loads(done.stdout)["warnings"][0]
    bare_host.write(TTS_MEDIA_VOLUME="")
    done = bare_host.run("verify", "--json")
    assert done.returncode == 1
    assert any("the threshold is 0 GB" in finding for finding in json.loads(done.stdout)["findings"])


def test_bug_37_what_is_stored_shows_no_plain_text(bare_host):
    mark = secrets.token_hex(30)
    (bare_host.root / "app.env").write_text(f"SECRET_KEY={mark}\n")
    assert bare_host.run("backup", "config").returncode == 0
    assert mark in bare_host.restic("aws", "dump", "latest", str(bare_host.root / "app.env")).stdout
    for name in ("local", "aws", "spaces"):
        stored = [path for path in bare_host.repository(name).rglob("*") if path.is_file()]
        assert not [path for path in stored if mark.encode() in path.read_bytes() or "app.env" in path.name]


@pytest.fixture
def managed(host):
    """The same host with its databases on a server that is reached over TLS only, by a login that is no superuser."""
    home = Path(tempfile.mkdtemp(prefix="tts-tls."))
    pem = certificate(home)
    as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.getuid() == 0 else []
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "postgres:postgres", str(home)], check=True)
    tools, data = host.server.bin, home / "data"

    def run(*argv, **more):
        return subprocess.run(argv, check=True, capture_output=True, text=True, **more)

    run(*as_user, f"{tools}/initdb", "-D", str(data), "-U", "boss", "-A", "trust", "-N")
    (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (
        f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file={pem} -c ssl_key_file={pem}"
    )
    run(*as_user, "chmod", "600", str(pem))
    begin = [*as_user, f"{tools}/pg_ctl", "-w", "-D", str(data), "-l", str(home / "log"), "-o", options, "start"]
    assert subprocess.run(begin, check=False, stdout=subprocess.DEVNULL).returncode == 0, (home / "log").read_text()
    try:
        password = secrets.token_hex(12)

        def sql(text, database="postgres"):
            argv = [f"{tools}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(home), "-p", str(port), "-U", "boss"]
            return run(*argv, database, input=text).stdout.strip()

        sql(f"create role doadmin login createdb createrole password '{password}'; create role reader")
        for name in ("defaultdb", "auth_db", "ticket_db"):
            sql(f"create database {name} owner doadmin")
        for name in ("auth_db", "ticket_db"):
            sql("set role doadmin; create table t as select n from generate_series(1, 321) n", name)
        credentials = host.root / "secrets" / "database"
        lines = {"PGHOST": "localhost", "PGPORT": port, "PGUSER": "doadmin", "PGPASSWORD": password}
        lines |= {"PGDATABASE": "defaultdb", "PGSSLROOTCERT": home / "cert.pem", "PGHOSTADDR": "127.0.0.1"}
        credentials.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        credentials.chmod(0o600)
        host.path.append(tools)
        host.write(TTS_OFFSITE="", TTS_PG_MODE="managed", TTS_PG_CREDENTIALS=str(credentials))
        host.sql, host.password, host.credentials = sql, password, credentials
        yield host
    finally:
        subprocess.run(
            [*as_user, f"{tools}/pg_ctl", "-D", str(data), "-m", "immediate", "stop"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        shutil.rmtree(home)


def test_fault_72_a_managed_server_is_backed_up_over_tls_and_the_manifest_says_what_its_login_may_not_read(managed):
    done = managed.run("backup", "databases", "--json")
    assert done.returncode == 0, done.stderr
    (made,) = managed.snapshots()
    text = managed.restic("local", "dump", made["id"], f"{managed.root}/state/staging/databases/manifest.json").stdout
    manifest = json.loads(text)
    rows = {each["name"]: each["rows"] for each in manifest["databases"]}
    assert (rows["auth_db"], rows["ticket_db"]) == (321, 321)
    assert manifest["server"]["mode"] == "managed"
    assert manifest["globals"]["passwords"] is False
    assert {"doadmin", "reader"} <= set(manifest["globals"]["roles"])
    assert managed.password not in done.stdout + done.stderr + managed.log() + text


def test_fault_72_a_managed_server_is_restored_by_the_same_command(managed):
    assert managed.run("backup", "databases").returncode == 0
    managed.sql("delete from t", "auth_db")
    done = managed.run("restore", "databases", "--database", "auth_db", "--yes")
    assert done.returncode == 0, done.stderr
    assert managed.sql("select count(*) from t", "auth_db") == "321"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("PGSSLROOTCERT=.*", "PGSSLROOTCERT=/etc/ssl/certs/ca-certificates.crt", "certificate verify failed"),
        ("PGHOST=localhost", "PGHOST=other.example.org", "does not match host name"),
        ("PGPORT=", "PGSSLMODE=require\nPGPORT=", "only reached with verify-full"),
    ],
)
def test_fault_72_a_managed_server_that_is_not_proven_to_be_it_is_not_talked_to(managed, old, new, reason):
    managed.credentials.write_text(re.sub(old, new, managed.credentials.read_text()))
    last = managed.failed(managed.run("backup", "databases"), "preflight")
    assert reason in last
    assert managed.snapshots() == []
