"""Drills: what is off-site is restored on a throwaway server; a damaged backup, or a way to production, fails it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.scripts.hosts import give_server, make_host

pytestmark = pytest.mark.docker  # seconds each, for real programs


REFERENCE = "delete from person; insert into person values (1, 'tickets/attachment 1.bin')"


@pytest.fixture(scope="module")
def made_store(server, templates, tmp_path_factory):
    """A host whose databases and media have been copied to one off-site repository."""
    it = make_host(tmp_path_factory.mktemp("stored"), templates)
    give_server(it, server)
    server.sql(REFERENCE, "ticket_db")
    it.write(TTS_OFFSITE="aws")
    for kind in ("databases", "media"):
        done = it.run("backup", kind)
        assert done.returncode == 0, done.stderr
    return it


@pytest.fixture
def stored(host, made_store):
    """A host like that one: the same rows and files, and repositories with the same snapshots."""
    host.write(TTS_OFFSITE="aws", TTS_MEDIA_REFERENCES="ticket_db:person.name")
    host.docker["images"] = ["sha256:feed"]
    host.write_docker()
    host.server.sql(REFERENCE, "ticket_db")
    host.take_repositories(made_store.root / "repositories")
    shutil.rmtree(host.root / "volumes")
    shutil.copytree(made_store.root / "volumes", host.root / "volumes")
    return host


def drill(it, *words):
    done = it.run("drill", "--json", *words)
    lines = done.stdout.splitlines()
    return done, json.loads(lines[0]) if lines else {}


def replace_copy(it, change):
    """Put a snapshot with other dumps in the place of the off-site one, as a person with its keys could."""
    (snapshot,) = it.snapshots("aws", "databases")
    folder = it.root / "state" / "staging" / "databases"
    of_dumps = f"{snapshot['id']}:{snapshot['paths'][0]}"
    assert it.restic("aws", "restore", of_dumps, "--target", str(folder)).returncode == 0
    change(folder)
    tags = "kind=databases,stack=test,run=x"
    done = it.restic("aws", "backup", "--host", "web-1", "--tag", tags, str(folder))
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder.parent)


def flip(folder):
    path = folder / "auth_db.dump"
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)


def lose_rows(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 200', '"rows": 201'))


def forge(folder):
    """A dump that is no dump, with the checksum and the size that the manifest says."""
    path, manifest = folder / "auth_db.dump", json.loads((folder / "manifest.json").read_text())
    path.write_bytes(os.urandom(5000))
    for entry in manifest["databases"]:
        if entry["file"] == path.name:
            entry |= {"bytes": 5000, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("kind", ["container", "binaries"])
def test_a_drill_of_a_good_backup_passes_and_leaves_nothing_behind(stored, kind):
    before = stored.server.databases(), stored.server.counts("auth_db")
    done, report = drill(stored, "--server", kind)
    assert done.returncode == 0, done.stderr
    assert report["result"] == "PASS"
    assert report["repository"] == "aws", "a drill reads what is off-site"
    assert report["server"] == kind
    assert report["databases"]["auth_db"]["rows"] == 202
    assert set(report["snapshots"]) == {"databases", "media"}
    assert report["media"] == {"files": 12, "sampled": 12, "compared_with_live": 12}
    assert report["media_missing"] == []
    assert {"choose", "database auth_db", "database ticket_db", "media"} <= set(report["steps"])
    assert not list(Path("/var/tmp").glob("tts-drill.*"))
    assert not list((stored.root / "state").glob("drill-media*"))
    assert stored.lock_is_free()
    if kind == "binaries":
        assert (stored.server.databases(), stored.server.counts("auth_db")) == before
        assert report["databases"]["auth_db"]["indexes_checked"] > 0
    else:
        calls = stored.docker_calls()
        assert any(call.startswith("rm --force --volumes tts-drill-") for call in calls)
        assert "tts-drill" not in (stored.root / "docker" / "state.json").read_text()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (flip, "does not have the checksum"),
        (lose_rows, "200 instead of 201"),
        (forge, "pg_restore of auth_db ended with"),
    ],
)
def test_fault_53_a_drill_that_is_fed_a_damaged_backup_fails(stored, change, reason):
    replace_copy(stored, change)
    done, report = drill(stored, "--server", "binaries")
    assert done.returncode == 1
    assert report["result"] == "FAIL"
    assert any(reason in finding for finding in report["findings"]), report["findings"]
    assert "ticket_db" in report["databases"], "the other databases are looked at all the same"
    assert "result=failed" in stored.last_line("drill")


def test_fault_53_a_drill_of_a_repository_with_a_damaged_pack_fails(stored):
    for pack in (stored.repository("aws") / "data").rglob("*"):
        if pack.is_file():
            pack.chmod(0o600)
            content = bytearray(pack.read_bytes())
            content[len(content) // 3] ^= 1
            pack.write_bytes(content)
    shutil.rmtree(stored.root / "cache", ignore_errors=True)
    done, report = drill(stored, "--server", "binaries")
    assert done.returncode == 1
    assert report["result"] == "FAIL"


def test_a_drill_without_any_snapshot_fails(host):
    host.write(TTS_OFFSITE="aws")
    done, report = drill(host, "--server", "binaries")
    assert done.returncode == 1
    assert "no databases" in report["findings"][0]


def test_fault_87_a_throwaway_server_that_has_a_route_is_not_used(stored):
    stored.docker["route"] = "\neth0\t00000000\t0101A8C0"
    stored.write_docker()
    done, report = drill(stored, "--server", "container")
    assert done.returncode == 1
    assert "could reach other machines" in report["findings"][0]
    assert report["databases"] == {}, "nothing was restored into it"


def test_fault_87_the_container_of_a_drill_is_started_without_a_network(stored):
    drill(stored, "--server", "container")
    (run,) = [call for call in stored.docker_calls() if call.startswith("run ")]
    assert "--network none" in run
    assert "--pull never" in run
    assert "--publish" not in run


def in_a_throwaway_server(code, *words):
    """Run Python with the drill's own library."""
    library = Path(__file__).resolve().parents[2] / "scripts/host/lib"
    text = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from types import SimpleNamespace as S\n"
        "from tts_host import drill_server as d\n" + code
    )
    return subprocess.run(
        ["python3", "-c", text, str(library), *words], capture_output=True, text=True, check=False, timeout=180
    )


def test_fault_87_a_server_of_this_machine_s_programs_reaches_not_even_this_machine(server):
    asks = (
        "with d.binaries(S(pg_user='admin'), None) as server:\n"
        "    d.wait_until_ready(server)\n"
        "    copy = \"create table %s (line text); copy %s from program '%s'; select count(*) from %s;\"\n"
        "    for name, program in (('route', 'tail -n +2 /proc/self/net/route'),\n"
        "                          ('reached', 'bash -c \"exec 3<>/dev/tcp/127.0.0.1/' + sys.argv[2] + ' && echo yes"
        " || true\" 2>/dev/null')):\n"
        "        print(server.sql('postgres', copy % (name, name, program, name)).strip())\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as production:
        port = production.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()  # it answers, from here
        done = in_a_throwaway_server(asks, str(port))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "0"], "routes, and connections that were made"


def test_fault_87_without_a_network_namespace_there_is_no_drill(stored):
    stored.fake("unshare", "exit 1")
    done, report = drill(stored, "--server", "binaries")
    assert done.returncode == 1
    assert "the drill was not begun" in report["findings"][0]


def test_fault_86_a_file_that_rows_refer_to_and_the_backup_lacks_is_listed(stored):
    stored.server.sql("insert into person values (2, 'tickets/never.bin')", "ticket_db")
    assert stored.run("backup", "databases").returncode == 0
    done, report = drill(stored, "--server", "binaries")
    assert done.returncode == 0, "it is on no disk either: nothing that a backup could have kept"
    assert report["media_missing"] == ["tickets/never.bin"]
    assert any("tickets/never.bin" in note for note in report["notes"])


def test_fault_86_a_file_that_the_backup_passed_over_fails_the_drill(stored):
    media = Path(stored.docker["volumes"][0]["folder"])
    assert stored.run("backup", "media").returncode == 0  # after the files came here
    snapshot = stored.snapshots("aws", "media")[-1]
    done = stored.restic("aws", "rewrite", "--forget", "--exclude", "*attachment 1.bin", snapshot["id"])
    assert done.returncode == 0, done.stderr
    assert (media / "tickets" / "attachment 1.bin").exists()
    done, report = drill(stored, "--server", "binaries")
    assert done.returncode == 1
    assert any("tickets/attachment 1.bin" in finding for finding in report["findings"])


def test_a_media_file_with_another_content_than_the_unchanged_live_one_fails_the_drill(stored):
    media = Path(stored.docker["volumes"][0]["folder"]) / "tickets" / "attachment 3.bin"
    before = media.stat()
    media.write_bytes(os.urandom(2000))
    os.utime(media, ns=(before.st_atime_ns, before.st_mtime_ns))
    done, report = drill(stored, "--server", "binaries")
    assert done.returncode == 1
    assert any("attachment 3.bin" in finding for finding in report["findings"])


def test_the_history_keeps_every_drill_and_the_status_shows_the_last(stored):
    drill(stored, "--server", "binaries")
    replace_copy(stored, flip)
    drill(stored, "--server", "binaries")
    shown = stored.run("drill", "--history", "--json").stdout.splitlines()
    assert [json.loads(line)["result"] for line in shown] == ["PASS", "FAIL"]
    status = json.loads(stored.run("status").stdout)
    assert status["drill"]["result"] == "FAIL"
    assert (stored.root / "state" / "state" / "drills.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_killed_drill_leaves_no_container_to_the_next(stored):
    stored.docker["containers"].append(
        {"name": "tts-drill-dead", "service": "", "project": "", "state": "running", "labels": {"tts.drill": "1"}}
    )
    stored.write_docker()
    done, _ = drill(stored, "--server", "container")
    assert done.returncode == 0, done.stderr
    assert "tts-drill-dead" not in (stored.root / "docker" / "state.json").read_text()


def test_a_drill_waits_for_no_other_job(stored):
    with stored.locked():
        assert stored.run("drill").returncode == 75


def test_the_container_has_no_network_in_a_real_docker(tmp_path):
    images = subprocess.run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], capture_output=True, text=True, check=False
    ).stdout.split()
    image = next((name for name in images if name.startswith(("tickets/postgres:", "postgres:"))), None)
    if not image:
        pytest.skip("Docker has no image of a PostgreSQL server: make up builds one")
    done = in_a_throwaway_server(
        "with d.container(S(pg_user='admin'), sys.argv[2]) as server:\n"
        "    d.wait_until_ready(server)\n"
        "    print(server.tool_output('cat', '/proc/net/route').count(chr(10)), server.version()[0] > 0)\n",
        image,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "True"], "the kernel's table of routes is empty but for its heading"
    left = ["docker", "ps", "--all", "--quiet", "--filter", "label=tts.drill=1"]
    assert subprocess.run(left, capture_output=True, text=True, check=True).stdout == ""
