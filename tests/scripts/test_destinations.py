"""Further destinations: B2 by its S3 interface, Google, any restic address. Each alone is enough, also for restic."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass

import pytest

from tests.conftest import free_port
from tests.localcloud.objects_support import Store
from tests.scripts.hosts import Host, give_server, make_host, wait_for
from tests.scripts.rest_store import rest_store
from toolchain.tools import FAKE_GCS, is_built

pytestmark = pytest.mark.docker  # seconds each, for real programs
NAMES = ("b2", "google", "rest")


@dataclass(frozen=True)
class Sent:
    """A host whose repositories are at `places` (address and keys by name), and its own snapshots."""

    host: Host
    places: dict[str, tuple[str, dict[str, str]]]
    snapshots: set[str]


@pytest.fixture(scope="module")
def b2(tmp_path_factory):
    """A bucket behind an S3 interface, as B2 has one."""
    store = Store(tmp_path_factory.mktemp("b2") / "store").start()
    try:
        store.client().create_bucket(Bucket="backups")
        access, secret = store.admin("aws")
        yield (
            f"s3:http://127.0.0.1:{store.keys['port']}/backups/tts",
            {
                "AWS_ACCESS_KEY_ID": access,
                "AWS_SECRET_ACCESS_KEY": secret,
            },
        )
    finally:
        store.kill()


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    """Google's storage, as fake-gcs-server plays it."""
    if not is_built(FAKE_GCS):
        pytest.skip("fake-gcs-server is not built: python3 -m toolchain.bootstrap --tests")
    port = free_port()
    here = f"127.0.0.1:{port}"
    log = (tmp_path_factory.mktemp("google") / "log").open("wb")
    argv = [FAKE_GCS.binary, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", here]
    with log, subprocess.Popen([*argv, "-backend", "memory"], stdout=log, stderr=log) as server:
        try:
            wait_for(lambda: make_bucket(port))
            keys = {"GOOGLE_PROJECT_ID": "shop", "GOOGLE_ACCESS_TOKEN": "token-of-google"}
            yield "gs:backups:/tts", {**keys, "STORAGE_EMULATOR_HOST": here}
        finally:
            server.terminate()


def make_bucket(port):
    """Say whether the store was there to make it."""
    address = f"http://127.0.0.1:{port}/storage/v1/b?project=shop"
    request = urllib.request.Request(address, b'{"name": "backups"}', {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def rest(tmp_path_factory):
    """restic's own REST protocol, with a login."""
    password = secrets.token_hex(8)
    with rest_store(tmp_path_factory.mktemp("rest"), f"host:{password}") as port:
        yield f"rest:http://127.0.0.1:{port}/tts/", {"RESTIC_REST_USERNAME": "host", "RESTIC_REST_PASSWORD": password}


@pytest.fixture(scope="module")
def sent(server, templates, tmp_path_factory, b2, google, rest):
    """A host after one backup of everything, whose repositories are at three kinds of store."""
    it = make_host(tmp_path_factory.mktemp("host"), templates)
    give_server(it, server)
    places = {"b2": b2, "google": google, "rest": rest}
    for name, (address, keys) in places.items():
        credentials = it.root / "secrets" / f"offsite-{name}"
        credentials.write_text("".join(f"{key}={value}\n" for key, value in keys.items()))
        credentials.chmod(0o600)
        variable = f"TTS_OFFSITE_{name.upper()}"
        it.write(**{f"{variable}_REPOSITORY": address, f"{variable}_CREDENTIALS": str(credentials)})
        done = it.restic(name, "init", address=address, env=keys)
        assert done.returncode == 0, done.stderr
    it.write(TTS_OFFSITE=",".join(NAMES), TTS_OFFSITE_AWS_REPOSITORY="", TTS_OFFSITE_SPACES_REPOSITORY="")
    done = it.run("backup", "all", "--json")
    assert done.returncode == 0, done.stderr
    return Sent(it, places, {json.loads(line)["snapshot"] for line in done.stdout.splitlines()})


@pytest.mark.parametrize("name", NAMES)
def test_a_backup_comes_back_from_each_store_alone(sent, server, name):
    server.drop_everything()
    give_server(sent.host, server)
    counts = {each: server.counts(each) for each in ("auth_db", "ticket_db")}
    files = {path.name: path.read_bytes() for path in media(sent.host).rglob("*.bin")}
    server.drop_everything()
    shutil.rmtree(media(sent.host) / "tickets")
    sent.host.repository("local").rename(sent.host.root / "away")
    for kind in ("databases", "media"):
        done = sent.host.run("restore", kind, "--repository", name, "--yes")
        assert done.returncode == 0, done.stderr
    assert {each: server.counts(each) for each in counts} == counts
    assert {path.name: path.read_bytes() for path in media(sent.host).rglob("*.bin")} == files
    assert sent.host.run("restore", "drop-old", "--media", "--yes").returncode == 0
    (sent.host.root / "away").rename(sent.host.repository("local"))


def media(host):
    return host.root / "volumes" / "shop_media_files" / "_data"


@pytest.mark.parametrize("name", ["local", *NAMES])
def test_restic_alone_reads_every_repository_that_the_product_writes(sent, name):
    address, keys = sent.places.get(name, ("", {}))

    def restic(*words):
        done = sent.host.restic(name, *words, address=address, env=keys)
        assert done.returncode == 0, done.stderr
        return done.stdout

    restic("check", "--read-data")
    listed = json.loads(restic("snapshots", "--json"))
    assert sorted(tag for item in listed for tag in item["tags"] if tag.startswith("kind=")) == [
        "kind=config",
        "kind=databases",
        "kind=media",
    ]
    assert {item.get("original", item["id"]) for item in listed} == sent.snapshots
    (dumps,) = (item for item in listed if "kind=databases" in item["tags"])
    target = sent.host.root / "by restic" / name
    restic("restore", f"{dumps['id']}:{dumps['paths'][0]}", "--target", str(target))
    manifest = json.loads((target / "manifest.json").read_text())
    parts = [manifest["globals"], *manifest["databases"]]
    assert {part["file"]: hashlib.sha256((target / part["file"]).read_bytes()).hexdigest() for part in parts} == {
        part["file"]: part["sha256"] for part in parts
    }
    assert {path.name for path in target.iterdir()} == {part["file"] for part in parts} | {"manifest.json"}


def test_fault_54_the_keys_of_no_store_are_in_a_log_or_a_state_file(sent):
    texts = [
        path.read_text()
        for folder in ("log", "state")
        for path in (sent.host.root / folder).rglob("*.*")
        if path.is_file()
    ]
    for _, keys in sent.places.values():
        hidden = [value for key, value in keys.items() if key.endswith(("KEY", "TOKEN", "PASSWORD"))]
        assert hidden
        assert not [value for value in hidden if any(value in text for text in texts)]
