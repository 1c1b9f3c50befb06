"""A host on this machine, and a throw-away PostgreSQL server, as tests handle them."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
# Of a password, salted once: two hosts of the tests have the same.
VERIFIER = (
    "SCRAM-SHA-256$4096:9iWHhEyN0qafAxMlxhwe7g==$flLjwQvdXPwFcE3ZzClNchsi8U1JK6WYHKc1zlDc/ok="
    ":jJzhEADTjkbeFQ6e7qjWNZqQa0CaWfn2c89j7J2UBy8="
)


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

    def take_repositories(self, made: Path) -> None:
        """Have what another host's repositories hold: the password is the same."""
        for path in made.iterdir():
            shutil.rmtree(self.repository(path.name))
            shutil.copytree(path, self.repository(path.name))

    def snapshots(self, repository: str = "local", kind: str | None = None, address: str = "") -> list[dict[str, Any]]:
        words = ["--tag", f"kind={kind}"] if kind else []
        done = self.restic(repository, "snapshots", "--json", "--no-lock", *words, address=address)
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


def make_host(root: Path, templates: Path) -> Host:
    """A host below `root` whose application runs in (fake) containers, with three empty repositories."""
    (root / "secrets").mkdir(mode=0o700)
    shutil.copy2(templates / "password", root / "secrets" / "backup-passphrase")
    for name, source in (("local", "local"), ("aws", "far"), ("spaces", "far")):
        shutil.copytree(templates / source, root / "repositories" / name)
    media = root / "volumes" / f"{PROJECT}_media_files" / "_data"
    (media / "tickets").mkdir(parents=True)
    for number in range(12):
        (media / "tickets" / f"attachment {number}.bin").write_bytes(secrets.token_bytes(2000))
    (root / "app").mkdir()
    (root / "app" / "compose.yaml").write_text("services: {}\n")
    (root / "app.env").write_text("IMAGE_TAG=1\n")
    env = {
        "TTS_HOST": "web-1",
        "TTS_STACK": "test",
        "TTS_COMPOSE_PROJECT": PROJECT,
        "TTS_PG_MODE": "container",
        "TTS_PG_EXPECTED": "auth_db,ticket_db",
        "TTS_MEDIA_VOLUME": "media_files",
        "TTS_CONFIG_PATHS": f"{root / 'app'}:{root / 'app.env'}",
        "TTS_LOCAL_REPOSITORY": str(root / "repositories" / "local"),
        "TTS_PASSWORD_FILE": str(root / "secrets" / "backup-passphrase"),
        "TTS_OFFSITE": "aws,spaces",
        "TTS_OFFSITE_AWS_REPOSITORY": str(root / "repositories" / "aws"),
        "TTS_OFFSITE_SPACES_REPOSITORY": str(root / "repositories" / "spaces"),
        "TTS_STATE_DIR": str(root / "state"),
        "TTS_LOG_DIR": str(root / "log"),
        "TTS_CACHE_DIR": str(root / "cache"),
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
    host = Host(root, env, None, docker)
    host.write()
    host.write_docker()
    return host


def give_server(host: Host, server: Server) -> None:
    """Put a real server behind its database container: two databases with rows, an owner, and grants."""
    server.drop_everything()
    server.sql(f"create role app login password '{VERIFIER}'; create role reader; grant reader to app;")
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
    host.server = server
    host.docker |= {"pghost": str(server.socket), "pgport": server.port, "pgbin": str(server.bin)}
    host.write_docker()
