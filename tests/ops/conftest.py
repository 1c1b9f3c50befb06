"""Fake `pulumi` and `ssh` with answers from a table; they write down every call: arguments, input, the key's mode."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path  # noqa: TC003  # a dataclass field
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ops.keys import KeyPair, new_key_pair
from ops.main import app
from tests.ops.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
from tests.ops.vaults import LOCK_DAYS, Objects, Seed, Vaults, find_restic, make_seed, make_vaults

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = count(1)

_FAKE = """#!{python} -IS
import json, os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
home = pathlib.Path({home!r})
name = pathlib.Path(sys.argv[0]).name
argv = sys.argv[1:]
call = {{"tool": name, "argv": argv, "stdin": "" if sys.stdin.isatty() else sys.stdin.read()}}
for option in argv:
    key, _, value = option.partition("=")
    if key in ("IdentityFile", "UserKnownHostsFile"):
        path = pathlib.Path(value)
        call[key] = {{"mode": oct(path.stat().st_mode & 0o777), "text": path.read_text(), "folder": str(path.parent),
                      "folder_mode": oct(path.parent.stat().st_mode & 0o777)}}
with (home / "calls.jsonl").open("a") as log:
    log.write(json.dumps(call) + "\\n")
text = " ".join(argv)
for sign, answer in json.loads((home / f"{{name}}.json").read_text()):
    if sign in text:
        sys.stderr.write(answer["stderr"]); sys.stderr.flush()
        sys.stdout.write(answer["stdout"]); sys.stdout.flush()
        while answer["hangs"]:
            time.sleep(0.05)
        sys.exit(answer["code"])
sys.exit(f"fake {{name}}: no answer for: {{text}}")
"""


@dataclass
class Fakes:
    """The table of answers, and what was called. The first sign found in a command line decides."""

    home: Path

    def answer(
        self, tool: str, sign: str, stdout: Any = "", *, stderr: str = "", code: int = 0, hangs: bool = False
    ) -> None:
        path = self.home / f"{tool}.json"
        text = stdout if isinstance(stdout, str) else json.dumps(stdout)
        row = [sign, {"stdout": text, "stderr": stderr, "code": code, "hangs": hangs}]
        path.write_text(json.dumps([row, *json.loads(path.read_text())]))

    def calls(self, tool: str = "") -> list[dict[str, Any]]:
        path = self.home / "calls.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in found if tool in ("", call["tool"])]

    def remote_commands(self) -> list[str]:
        return [call["argv"][-1] for call in self.calls("ssh")]


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    home = tmp_path / "fakes"
    home.mkdir()
    for tool in ("pulumi", "ssh"):
        script = home / tool
        script.write_text(_FAKE.format(python=sys.executable, home=str(home)))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        (home / f"{tool}.json").write_text("[]")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("PATH", f"{home}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("TTS_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("TTS_STACK", raising=False)
    return Fakes(home)


@pytest.fixture(scope="session")
def operator_key() -> KeyPair:
    return new_key_pair("test operator")


@pytest.fixture(scope="session")
def host_key() -> KeyPair:
    return new_key_pair("test host")


@pytest.fixture
def outputs(host_key: KeyPair) -> dict[str, Any]:
    """The stack outputs of the rung `single`."""
    return {
        "rung": "single",
        "url": "http://127.0.0.1:9/",
        "entry": {"kind": "reserved_ip", "address": "203.0.113.129"},
        "hosts": [
            {
                "name": "web-1",
                "address": "203.0.113.2",
                "privateAddress": "10.20.0.2",
                "size": "s-2vcpu-2gb",
                "dropletId": "1",
                "backupOwner": True,
            }
        ],
        "sshUser": "root",
        "hostPublicKey": host_key.public,
        "application": {
            "project": "tts-docker",
            "directory": "/srv/app",
            "envFile": "/etc/tts/app.env",
            "composeFile": "compose.yaml",
        },
        "backup": {
            "owner": "web-1",
            "offsite": [
                {"name": "aws", "bucket": "b-aws", "region": "us-east-1", "repository": "s3:https://aws.test/b-aws"},
                {"name": "spaces", "bucket": "b-sp", "region": "fra1", "repository": "s3:https://spaces.test/b-sp"},
            ],
        },
        "costPerMonth": {"total": 26.6, "items": [{"item": "web-1", "usd": 18.0}], "priceDate": "2026-09-30"},
        "notes": [],
    }


@pytest.fixture
def report() -> dict[str, Any]:
    """What `tts-host-status` prints when all is well."""
    copies = [
        {"name": name, "snapshot": "c0ffee00", "newest": "2026-11-23T02:00:41Z", "lag": 0} for name in ("aws", "spaces")
    ]
    names = ["postgres", "rabbitmq", "auth", "ticket", "workflow-api", "messaging", "notification"]
    names += ["workflow-worker", "notification-worker", "nginx"]
    return {
        "services": [
            {"name": f"tts-{name}", "service": name, "healthy": True, "state": "running", "restarts": 0}
            for name in names
        ],
        "backups": [
            {
                "kind": kind,
                "newest": "2026-11-23T02:00:41Z",
                "age_seconds": 600,
                "snapshot": "deadbeef",
                "verified": True,
                "verified_at": "2026-11-23T02:05:00Z",
                "last_result": "ok",
                "last_error": None,
                "offsite": copies,
            }
            for kind in ("databases", "media", "config")
        ],
        "disk": {"path": "/", "free_percent": 71.6, "free_bytes": 40_000_000_000},
        "repository_bytes": 12_000_000,
        "load": [0.42, 0.3, 0.2],
        "memory_used_percent": 61.2,
        "drill": {"result": "PASS", "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "repository": "aws"},
        "next_runs": [],
    }


@pytest.fixture
def deployed(fakes: Fakes, outputs: dict[str, Any], report: dict[str, Any], operator_key: KeyPair) -> Fakes:
    """A deployed stack `prod` whose host is well."""
    fakes.answer("pulumi", "config get sshPrivateKey", operator_key.private + "\n")
    fakes.answer("pulumi", "stack output", outputs)
    fakes.answer("pulumi", "stack --show-name", "prod\n")
    fakes.answer("ssh", "tts-host-status", report)
    return fakes


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class Tts:
    """Runs `tts` in this process."""

    def __call__(self, *arguments: str, typed: str = "") -> Outcome:
        result = CliRunner().invoke(app, list(arguments), input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def tts(monkeypatch: pytest.MonkeyPatch) -> Tts:
    # Under a test the signals stay pytest's own.
    monkeypatch.setattr("ops.main._leave_by_the_door", lambda: None)
    return Tts()


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objects]:
    running = Objects(tmp_path_factory.mktemp("objects") / "state")
    yield running
    running.close()


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Seed:
    return make_seed(tmp_path_factory.mktemp("seed"))


@pytest.fixture
def vaults(
    object_store: Objects,
    seed: Seed,
    deployed: Fakes,
    outputs: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Vaults:
    """A stack whose two vaults are real buckets, filled by the host; `tts` finds its keys in the stack's outputs."""
    made = make_vaults(object_store, seed, next(_NUMBERS), lock_days=getattr(request, "param", LOCK_DAYS))
    made.fill()
    for name in list(os.environ):
        if name.startswith(("AWS_", "SPACES_", "RESTIC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_store.url)
    monkeypatch.setenv("SPACES_ENDPOINT_URL", object_store.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("RESTIC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", os.environ["PATH"] + os.pathsep + str(find_restic().parent))
    outputs["backup"] |= {
        "offsite": made.offsite(),
        "retention": {"daily": 2, "weekly": 0, "monthly": 0},
        "lock": {"mode": "governance", "days": LOCK_DAYS},
    }
    deployed.answer("pulumi", "stack output", outputs)
    deployed.answer("pulumi", "config get backupPassphrase", seed.password + "\n")
    for role in ("maintenance", "audit"):
        deployed.answer("pulumi", f"stack output {role} --json", made.output(role))
    return made


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Provider]:
    """A stand-in for the provider's API; work that takes several steps keeps its journal in the test's folder."""
    it = Provider()
    monkeypatch.setenv("DIGITALOCEAN_API_URL", it.address)
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "token-of-the-test")
    monkeypatch.setenv("TTS_LOCAL_DIR", str(tmp_path / "local"))
    monkeypatch.setattr("ops.digitalocean.PAUSE", 0.01)
    monkeypatch.setattr("ops.jobs.PAUSE", 0.01)
    yield it
    it.close()
