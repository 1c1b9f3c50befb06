"""A host on this machine: the real scripts, a real PostgreSQL server, real restic; Docker is a fake that knows the
containers.
"""

from __future__ import annotations

import importlib
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.cheap_keys import cheapen
from tests.scripts import moving
from tests.scripts.hosts import HOST, TOOLS, Host, Server, as_server_user, give_server, make_host, ready, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.skip("no PostgreSQL server binary under /usr/lib/postgresql: apt-get install postgresql")
    home = Path(tempfile.mkdtemp(prefix="tts-pg."))
    home.chmod(0o755)
    data = home / "data"
    data.mkdir()
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(data, user.pw_uid, user.pw_gid)
        os.chown(home, user.pw_uid, user.pw_gid)
    it = Server(found[-1].parent, home, data)
    subprocess.run(
        as_server_user(
            str(it.bin / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-N",
        ),
        check=True,
        capture_output=True,
    )
    options = [
        "-c",
        f"unix_socket_directories={home}",
        "-c",
        f"port={it.port}",
        "-c",
        "listen_addresses=",
        "-c",
        "fsync=off",
    ]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            as_server_user(str(it.bin / "postgres"), "-D", str(data), *options), stdout=log, stderr=log
        )
    try:
        wait_for(lambda: ready(it), 30)
        yield it
    finally:
        process.send_signal(2)
        process.wait(30)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty repositories with one password that is quick to check, made once: making one takes seconds."""
    if not shutil.which("restic", path=TOOLS):
        pytest.skip("restic is missing: make up builds it")
    home = tmp_path_factory.mktemp("templates")
    password = home / "password"
    password.write_text(secrets.token_hex(16) + "\n")
    password.chmod(0o600)
    env = {**os.environ, "PATH": TOOLS, "RESTIC_PASSWORD_FILE": str(password), "RESTIC_CACHE_DIR": str(home / "cache")}
    subprocess.run(["restic", "init", "-q", "-r", str(home / "local")], env=env, check=True, capture_output=True)
    chunker = ["--copy-chunker-params", "--from-repo", str(home / "local"), "--from-password-file", str(password)]
    subprocess.run(
        ["restic", "init", "-q", "-r", str(home / "far"), *chunker], env=env, check=True, capture_output=True
    )
    for name in ("local", "far"):
        cheapen(home / name, password.read_text().strip())
    return home


@pytest.fixture
def bare_host(tmp_path: Path, templates: Path) -> Host:
    """A host whose application runs in (fake) containers; no database server is looked at."""
    return make_host(tmp_path, templates)


@pytest.fixture
def host(bare_host: Host, server: Server) -> Iterator[Host]:
    """The same with a real server behind its database container: two databases with rows, an owner, and grants."""
    give_server(bare_host, server)
    yield bare_host
    server.drop_everything()


@pytest.fixture(scope="session")
def made_backup(server: Server, templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repositories of a host after a backup of its databases, made once: it takes a dozen programs."""
    it = make_host(tmp_path_factory.mktemp("backup"), templates)
    give_server(it, server)
    done = it.run("backup", "databases")
    assert done.returncode == 0, done.stderr
    return it.root / "repositories"


@pytest.fixture
def backed_up(host: Host, made_backup: Path) -> Host:
    """A host with one backup of its databases in each repository."""
    host.take_repositories(made_backup)
    return host


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An object store that takes every key."""
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    address, port = store.get_host_and_port()
    yield f"http://{address}:{port}"
    store.stop()


@pytest.fixture(scope="session")
def outside(server) -> Iterator[moving.Outside]:
    with moving.outside_server(server.bin) as it:
        yield it


@pytest.fixture
def mover(bare_host, server, outside, s3_endpoint) -> Iterator[moving.Mover]:
    """An application that runs on its host, with two databases and twelve files."""
    server.drop_everything()
    outside.reset()
    server.sql("create role app login")
    for name in moving.OWNERS:
        server.sql(f"create database {name} owner app")
        server.sql("set role app;" + moving.TABLES, name)
    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket=moving.BUCKET)
    root = bare_host.root
    media = root / "volumes" / f"{moving.PROJECT}_media_files" / "_data"
    bare_host.docker |= {
        "pghost": str(server.socket),
        "pgport": server.port,
        "pgbin": str(server.bin),
        "containers": [],
        "compose": {"services": moving.SERVICES, "volumes": {"media_files": {}, "postgres_data": {}}},
    }
    bare_host.write(TTS_OFFSITE="")
    bare_host.write_docker()
    it = moving.Mover(bare_host, server, outside, client, s3_endpoint, media)
    done = it.install("host")
    assert done.returncode == 0, done.stderr
    yield it
    server.drop_everything()
    for item in client.list_objects_v2(Bucket=moving.BUCKET).get("Contents", []):
        client.delete_object(Bucket=moving.BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=moving.BUCKET)


@pytest.fixture
def tts_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package that runs on hosts, for tests of single functions."""
    monkeypatch.syspath_prepend(str(HOST / "lib"))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    for path in (HOST / "lib" / "tts_host").glob("[a-z]*.py"):
        importlib.import_module(f"tts_host.{path.stem}")
    yield sys.modules["tts_host"]
    sys.dont_write_bytecode = before


@pytest.fixture
def install_host() -> Any:
    """Run the installer into a scratch root."""

    def install(root: Path, request: dict[str, Any], source: Path = HOST) -> subprocess.CompletedProcess[str]:
        root.mkdir(exist_ok=True)
        return subprocess.run(
            ["bash", str(source / "install")],
            input=json.dumps(request),
            env={**os.environ, "DESTDIR": str(root)},
            text=True,
            capture_output=True,
            check=False,
        )

    return install
