"""A host on this machine: the real scripts, a real PostgreSQL server, real restic; Docker is a fake that knows the
containers.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cheap_keys import cheapen

if TYPE_CHECKING:
    from collections.abc import Iterator

REPO = Path(__file__).resolve().parents[2]
HOST = REPO / "scripts" / "host"
FAKES = Path(__file__).parent / "fakes"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tts" / "tools"
# restic as `make up` builds it; else one on PATH. The wrapper in .local/bin belongs to the local cloud.
BUILT = [str(path.parent) for path in sorted(CACHE.glob("restic-*/restic"))]
# The interpreter itself, before any script of a version manager: the host's scripts start dozens of them in a test.
PYTHON = str(Path(sys.base_prefix) / "bin")
TOOLS = ":".join(
    [*BUILT, PYTHON, *(folder for folder in os.environ["PATH"].split(":") if folder != str(REPO / ".local" / "bin"))]
)
PROJECT = "shop"


@dataclass
class Server:
    """A throw-away PostgreSQL server on a socket of its own."""

    bin: Path
    socket: Path
    data: Path
    port: int = 5499

    def sql(self, text: str, database: str = "postgres") -> str:
        argv = [
            str(self.bin / "psql"),
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            str(self.socket),
            "-p",
            str(self.port),
            "-U",
            "postgres",
        ]
        env = {**os.environ, "PGDATABASE": database}
        return subprocess.run(
            argv, input=text, env=env, text=True, capture_output=True, check=True, timeout=60
        ).stdout.strip()

    @contextmanager
    def session(self, text: str, database: str = "postgres") -> Iterator[subprocess.Popen[str]]:
        """A session that has run `text` and stays open for the block."""
        argv = [str(self.bin / "psql"), "-XqAt", "-h", str(self.socket), "-p", str(self.port), "-U", "postgres"]
        env = {**os.environ, "PGDATABASE": database}
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)
        assert process.stdin
        assert process.stdout
        process.stdin.write(text + "\n\\echo ready\n")
        process.stdin.flush()
        while process.stdout.readline() not in {"ready\n", ""}:
            pass
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def databases(self) -> set[str]:
        return set(
            self.sql("select datname from pg_database where not datistemplate and datname <> 'postgres'").split("\n")
        ) - {""}

    def counts(self, database: str) -> dict[str, int]:
        names = self.sql(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables where schemaname not in "
            "('pg_catalog', 'information_schema')",
            database,
        )
        return {name: int(self.sql(f"select count(*) from {name}", database)) for name in names.split("\n") if name}

    def drop_everything(self) -> None:
        for row in json.loads(
            self.sql(
                "select coalesce(json_agg(datname), '[]') from pg_database where not datistemplate and datname <> "
                "'postgres'"
            )
        ):
            quoted = '"' + row.replace('"', '""') + '"'
            self.sql(f"drop database {quoted} with (force)")
        for role in self.sql(
            "select rolname from pg_roles where rolname not like 'pg\\_%' and rolname <> 'postgres'"
        ).split("\n"):
            if role:
                self.sql(f'drop role "{role}"')


def as_server_user(*argv: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return (
        ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *argv]
        if os.getuid() == 0
        else list(argv)
    )


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


def ready(server: Server) -> bool:
    return (
        subprocess.run(
            [str(server.bin / "pg_isready"), "-q", "-h", str(server.socket), "-p", str(server.port)], check=False
        ).returncode
        == 0
    )


def wait_for(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.05)


@dataclass
class Host:
    """One host with its folders below `root`, and what tests ask of it."""

    root: Path
    env: dict[str, str]
    server: Server | None
    docker: dict[str, Any]
    path: list[Path] = field(default_factory=list)

    def write(self, **changes: str) -> None:
        """Write the environment file; keyword arguments change single settings."""
        self.env |= changes
        (self.root / "backup.env").write_text("".join(f"{key}={value}\n" for key, value in self.env.items() if value))

    def write_docker(self) -> None:
        (self.root / "docker").mkdir(exist_ok=True)
        (self.root / "docker" / "state.json").write_text(json.dumps(self.docker))

    def environment(self, **extra: str) -> dict[str, str]:
        return {
            "PATH": ":".join([*map(str, self.path), str(FAKES), TOOLS]),
            "TTS_ENV_FILE": str(self.root / "backup.env"),
            "FAKE_DOCKER": str(self.root / "docker"),
            "HOME": str(self.root),
            **extra,
        }

    def run(self, command: str, *args: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(HOST / command), *args],
            env=self.environment(**extra),
            text=True,
            capture_output=True,
            check=False,
            timeout=180,
        )

    def start(self, command: str, *args: str, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(HOST / command), *args],
            env=self.environment(**extra),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def repository(self, name: str) -> Path:
        return self.root / "repositories" / name

    def restic(
        self,
        repository: str,
        *args: str,
        password: Path | None = None,
        address: str = "",
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        env = {
            **self.environment(),
            **(env or {}),
            "RESTIC_PASSWORD_FILE": str(password or self.root / "secrets" / "backup-passphrase"),
            "RESTIC_CACHE_DIR": str(self.root / "cache"),
        }
        return subprocess.run(
            ["restic", "-r", address or str(self.repository(repository)), *args],
            env=env,
            text=True,
            capture_output=True,
            check=False,
            timeout=120,
        )

    def snapshots(self, repository: str = "local", kind: str | None = None) -> list[dict[str, Any]]:
        done = self.restic(repository, "snapshots", "--json", "--no-lock", *(["--tag", f"kind={kind}"] if kind else []))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def last_line(self, job: str = "backup-databases") -> str:
        return (self.root / "log" / f"{job}.log").read_text().strip().splitlines()[-1]

    def log(self, job: str = "backup-databases") -> str:
        return (self.root / "log" / f"{job}.log").read_text()

    def state(self, name: str) -> dict[str, Any]:
        return json.loads((self.root / "state" / "state" / f"{name}.json").read_text())

    def docker_calls(self) -> list[str]:
        path = self.root / "docker" / "calls.log"
        return path.read_text().splitlines() if path.exists() else []

    def fake(self, name: str, script: str) -> Path:
        """Put a program of that name before all others. `$REAL` in it is the real one."""
        folder = self.root / "fakes"
        folder.mkdir(exist_ok=True)
        real = shutil.which(name, path=f"{FAKES}:{TOOLS}") or ""
        target = folder / name
        target.write_text(f"#!/bin/bash\nREAL={real}\n{script}\n")
        target.chmod(0o755)
        if folder not in self.path:
            self.path.insert(0, folder)
        return target

    def unfake(self) -> None:
        self.path.clear()

    def failed(
        self, done: subprocess.CompletedProcess[str], step: str, job: str = "backup-databases", code: int = 1
    ) -> str:
        """Assert all that the word `failed` means; returns the last log line."""
        assert done.returncode == code, done.stderr
        last = self.last_line(job)
        assert "result=failed" in last, last
        assert f"step={step}" in last, last
        assert not (self.root / "state" / "staging").exists(), "staging is not empty"
        assert self.lock_is_free()
        return last

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the job lock, as a running job does."""
        (self.root / "state").mkdir(exist_ok=True)
        with (self.root / "state" / "lock").open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def lock_is_free(self) -> bool:
        return (
            subprocess.run(["flock", "--nonblock", str(self.root / "state" / "lock"), "true"], check=False).returncode
            == 0
        )


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty repositories with one password, made once: making one takes seconds."""
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
    (tmp_path / "secrets").mkdir(mode=0o700)
    shutil.copy2(templates / "password", tmp_path / "secrets" / "backup-passphrase")
    for name, source in (("local", "local"), ("aws", "far"), ("spaces", "far")):
        shutil.copytree(templates / source, tmp_path / "repositories" / name)
    media = tmp_path / "volumes" / f"{PROJECT}_media_files" / "_data"
    (media / "tickets").mkdir(parents=True)
    for number in range(12):
        (media / "tickets" / f"attachment {number}.bin").write_bytes(secrets.token_bytes(2000))
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "app.env").write_text("IMAGE_TAG=1\n")
    env = {
        "TTS_HOST": "web-1",
        "TTS_STACK": "test",
        "TTS_COMPOSE_PROJECT": PROJECT,
        "TTS_PG_MODE": "container",
        "TTS_PG_EXPECTED": "auth_db,ticket_db",
        "TTS_MEDIA_VOLUME": "media_files",
        "TTS_CONFIG_PATHS": f"{tmp_path / 'app'}:{tmp_path / 'app.env'}",
        "TTS_LOCAL_REPOSITORY": str(tmp_path / "repositories" / "local"),
        "TTS_PASSWORD_FILE": str(tmp_path / "secrets" / "backup-passphrase"),
        "TTS_OFFSITE": "aws,spaces",
        "TTS_OFFSITE_AWS_REPOSITORY": str(tmp_path / "repositories" / "aws"),
        "TTS_OFFSITE_SPACES_REPOSITORY": str(tmp_path / "repositories" / "spaces"),
        "TTS_STATE_DIR": str(tmp_path / "state"),
        "TTS_LOG_DIR": str(tmp_path / "log"),
        "TTS_CACHE_DIR": str(tmp_path / "cache"),
        "TTS_LOCK_TIMEOUT": "1",
        "TTS_LOCK_RETRIES": "1",
        "TTS_MIN_FREE_PERCENT": "0",
    }
    services = ("postgres", "ticket-service", "nginx")
    docker = {
        "containers": [
            {"name": f"{PROJECT}-{name}-1", "service": name, "project": PROJECT, "state": "running"}
            for name in services
        ],
        "volumes": [
            {
                "name": f"{PROJECT}_media_files",
                "folder": str(media),
                "labels": {"com.docker.compose.project": PROJECT, "com.docker.compose.volume": "media_files"},
            }
        ],
        "pghost": "/nowhere",
        "pgport": 1,
        "pgbin": "/nowhere",
    }
    host = Host(tmp_path, env, None, docker)
    host.write()
    host.write_docker()
    return host


@pytest.fixture
def host(bare_host: Host, server: Server) -> Iterator[Host]:
    """The same with a real server behind its database container: two databases with rows, an owner, and grants."""
    server.drop_everything()
    server.sql("create role app login password 'not-a-secret'; create role reader; grant reader to app;")
    for name in ("auth_db", "ticket_db"):
        server.sql(
            f"create database {name} owner app; grant connect on database {name} to reader; alter database {name} "
            "set work_mem to '5MB'"
        )
        server.sql(
            "create table person (id int primary key, name text); insert into person select n, 'person ' || n from "
            "generate_series(1, 200) n; alter table person owner to app",
            name,
        )
        server.sql(
            """create schema "Odd One"; create table "Odd One"."a table" (x text);
            insert into "Odd One"."a table" values ('it''s'), (null)""",
            name,
        )
    bare_host.server = server
    bare_host.docker |= {"pghost": str(server.socket), "pgport": server.port, "pgbin": str(server.bin)}
    bare_host.write_docker()
    yield bare_host
    server.drop_everything()


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
