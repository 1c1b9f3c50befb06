"""A host whose state can move: a container's server, a managed one over TLS, a volume, a bucket, and a writer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scripts.hosts import Host, Server

REPO = Path(__file__).resolve().parents[2]
PROJECT = "shop"
BUCKET = "shop-media"
OWNERS = {"auth_db": "auth_user", "ticket_db": "ticket_user"}  # outside; in the container they belong to `app`
ADMIN_PASSWORD = "password-of-doadmin"
DRAINED = {"more_labels": {"tts.drained": "cat $FAKE_DOCKER/waiting 2>/dev/null && exit 1; true"}}
SERVICES = {
    "postgres": {"image": "shop/postgres:15", "volumes": [{"type": "volume", "source": "postgres_data"}]},
    "ticket-service": {"volumes": [{"type": "volume", "source": "media_files"}], "fake": DRAINED},
    "nginx": {"fake": {"ports": {"80/tcp": [{"HostPort": "80"}]}}},
    "worker": {},
}
TABLES = """
create table person (id bigint generated always as identity primary key, name text, born timestamptz default now());
insert into person (name) select 'person ' || n from generate_series(1, 300) n;
create table note (person bigint references person, body jsonb, raw bytea, weight float8);
insert into note select 1 + n % 300, jsonb_build_object('n', n), decode(md5(n::text), 'hex'), n / 7.0
  from generate_series(1, 500) n;
create view grown as select * from person;
create table ticket (id bigint primary key, title text);
select lo_from_bytea(0, 'a large object');
"""


@dataclass
class Outside:
    """A managed server: TLS only, and an administrator who is no superuser."""

    bin: Path
    port: int
    ca: str
    ca_file: Path

    def psql(self, user: str, database: str) -> tuple[list[str], dict[str, str]]:
        argv = [str(self.bin / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "localhost", "-p", str(self.port)]
        tls = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.ca_file), "PGPASSWORD": ADMIN_PASSWORD}
        return [*argv, "-U", user, "-d", database], {**os.environ, **tls}

    def sql(self, text: str, database: str = "defaultdb", user: str = "root_of_provider") -> str:
        argv, env = self.psql(user, database)
        done = subprocess.run(argv, input=text, env=env, text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def reset(self) -> None:
        """As the provider hands it over: empty databases of the administrator's, a user for each."""
        there = self.sql(
            "select datname from pg_database where not datistemplate and datname <> 'defaultdb'", "postgres"
        )
        lines = [f'drop database "{name}" with (force);' for name in there.split("\n") if name != "postgres"]
        for database, user in OWNERS.items():
            lines += [
                f"drop role if exists {user};",
                f"create role {user} login password '{ADMIN_PASSWORD}';",
                f"create database {database} owner doadmin;",
            ]
        self.sql("\n".join(lines))


@contextlib.contextmanager
def outside_server(bin_: Path) -> Iterator[Outside]:
    home = Path(tempfile.mkdtemp(prefix="tts-pg."))
    home.chmod(0o755)
    data, key, certificate = home / "data", home / "key", home / "ca.crt"
    data.mkdir()
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *new_key, *subject, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    key.chmod(0o600)
    prefix: list[str] = []
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        for path in (home, data, key, certificate):
            os.chown(path, user.pw_uid, user.pw_gid)
        prefix = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    initdb = [str(bin_ / "initdb"), "-D", str(data), "-U", "root_of_provider", "-A", "trust", "-E", "UTF8", "-N"]
    subprocess.run([*prefix, *initdb, "--locale=C.UTF-8"], check=True, capture_output=True)
    (data / "pg_hba.conf").write_text("hostssl all root_of_provider all trust\nhostssl all all all scram-sha-256\n")
    it = Outside(bin_, free_port(), certificate.read_text(), certificate)
    settings = {
        "port": it.port,
        "listen_addresses": "localhost",
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": certificate,
        "ssl_key_file": key,
        "fsync": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([*prefix, str(bin_ / "postgres"), "-D", str(data), *options], stdout=log, stderr=log)
    try:
        ready = [str(bin_ / "pg_isready"), "-q", "-h", "localhost", "-p", str(it.port)]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.05)
        it.sql(f"create role doadmin login createrole createdb password '{ADMIN_PASSWORD}'", "postgres")
        it.sql("create database defaultdb owner doadmin", "postgres")
        yield it
    finally:
        process.send_signal(2)
        process.wait(30)
        shutil.rmtree(home)


@dataclass
class Mover:
    """The host, both sides, and what a test asks of them."""

    host: Host
    near: Server
    far: Outside
    s3: Any
    endpoint: str
    media: Path
    max_stop: int = 60
    environments: dict[str, dict[str, str]] = field(
        default_factory=lambda: {"host": {"SIDE": "host"}, "outside": {"SIDE": "outside", "POSTGRES_SCALE": "0"}}
    )

    @property
    def state(self) -> Path:
        return self.host.root / "state"

    def request(self, placement: str | None, **more: Any) -> dict[str, Any]:
        database = {
            "host": "localhost",
            "port": self.far.port,
            "user": "doadmin",
            "password": ADMIN_PASSWORD,
            "ca": self.far.ca,
            "maintenance": "defaultdb",
            "owners": {name: {"user": user, "password": ADMIN_PASSWORD} for name, user in OWNERS.items()},
        }
        bucket = {
            "endpoint": self.endpoint,
            "region": "fra1",
            "bucket": BUCKET,
            "access_key": "key-of-media",
            "secret_key": "secret-of-media",
        }
        near = {"database": {"service": "postgres", "user": "postgres"}, "media": {"volume": "media_files"}}
        sides = {"host": near, "outside": {"database": database, "media": bucket, "max_stop_seconds": self.max_stop}}
        return {
            "env": self.environments[placement or "host"],
            "project": PROJECT,
            "directory": str(self.host.root / "srv"),
            "source": str(self.host.root / "app"),
            "compose_file": "compose.yaml",
            **({"placement": placement, "sides": sides} if placement else {}),
            **more,
        }

    @property
    def log(self) -> str:
        return (self.host.root / "log/app.log").read_text()

    def install(
        self, placement: str | None, request: dict[str, Any] | None = None, shell: str = 'bash "$0"'
    ) -> subprocess.CompletedProcess[str]:
        env = {
            "TTS_STATE_DIR": str(self.state),
            "TTS_LOG_DIR": str(self.host.root / "log"),
            "TTS_APP_ENV": str(self.host.root / "app.env"),
            "TTS_CACHE_DIR": str(self.host.root / "cache"),
        }
        return subprocess.run(
            ["bash", "-c", shell, str(REPO / "scripts/host/install-app")],
            input=json.dumps(request or self.request(placement)),
            env=self.host.environment(**env),
            text=True,
            capture_output=True,
            check=False,
            timeout=180,
        )

    def die_at(self, step: str) -> None:
        """The next runs of the installer are killed as soon as their journal says `step`; "" ends that."""
        code = (
            "import os, runpy; import tts_host.move_journal as j; enter = j.Journal.enter\n"
            f"def patched(self, step):\n enter(self, step)\n os.kill(os.getpid(), 9) if step == '{step}' else None\n"
            "j.Journal.enter = patched; runpy.run_module('tts_host.install_app', run_name='__main__', alter_sys=True)"
        )
        self.host.fake("python3", f'[ "$2" = tts_host.install_app ] || exec "$REAL" "$@"\nexec "$REAL" -c "{code}"')

    def containers(self) -> dict[str, dict[str, Any]]:
        document = json.loads((self.host.root / "docker/state.json").read_text())
        return {container["service"]: container for container in document["containers"]}

    def running(self) -> set[str]:
        return {name for name, item in self.containers().items() if item["state"] == "running"}

    def side(self) -> str:
        """On which side the application runs."""
        assert "ticket-service" in self.running()
        return self.containers()["ticket-service"]["env"]["SIDE"]

    def placement(self) -> dict[str, Any]:
        return json.loads((self.state / "state/placement.json").read_text())

    def sql(self, side: str, text: str, database: str = "ticket_db") -> str:
        return self.near.sql(text, database) if side == "host" else self.far.sql(text, database)

    def files(self, side: str) -> dict[str, bytes]:
        if side == "host":
            found = [path for path in self.media.rglob("*") if path.is_file()]
            return {str(path.relative_to(self.media)): path.read_bytes() for path in found}
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {item["Key"]: self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in listed}


@dataclass
class Writer:
    """The application's part: writes a row, and now and then a file, wherever it is told to by its own container."""

    mover: Mover
    first: int = 1
    acknowledged: set[int] = field(default_factory=set[int])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    sides: list[str] = field(default_factory=list[str])
    failures: list[str] = field(default_factory=list[str])
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Writer:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.more(3)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)
        assert not self.failures, self.failures[:3]

    def more(self, count: int) -> None:
        """Wait until so many further rows are acknowledged."""
        wanted, deadline = len(self.acknowledged) + count, time.monotonic() + 30
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, self.failures
            time.sleep(0.02)

    def _run(self) -> None:
        number = self.first - 1
        while not self._end.is_set():
            with (self.mover.host.root / "docker/requests").open("ab") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH)
                container = self.mover.containers().get("ticket-service", {"state": "none"})
                if container["state"] == "running":
                    number += 1
                    try:
                        self._write(number, container["env"]["SIDE"])
                    except (AssertionError, subprocess.CalledProcessError) as error:
                        self.failures.append(str(getattr(error, "stderr", error)))
            time.sleep(0.05)

    def _write(self, number: int, side: str) -> None:
        if number % 4 == 0:
            name, body = f"uploads/{number}.bin", os.urandom(50)
            if side == "host":
                (self.mover.media / name).parent.mkdir(exist_ok=True)
                (self.mover.media / name).write_bytes(body)
            else:
                self.mover.s3.put_object(Bucket=BUCKET, Key=name, Body=body)
            self.files[name] = body
        self.mover.sql(side, f"insert into ticket values ({number}, 'ticket {number}')")
        self.acknowledged.add(number)
        if self.sides[-1:] != [side]:
            self.sides.append(side)


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
    for secret in (ADMIN_PASSWORD, "secret-of-media"):
        assert secret not in done.stdout + done.stderr + mover.log


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


def killed_at(mover: Mover, step: str, goal: str = "outside") -> None:
    mover.die_at(step)
    assert mover.install(goal).returncode != 0
    assert json.loads((mover.state / "state/move.json").read_text())["step"] == step
    mover.host.unfake()
