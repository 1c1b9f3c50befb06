"""`tts keys`: what opens what is tried from both sides; a rotation can stop anywhere and loses no way in."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.ops.vaults import REPOSITORY, find_restic

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Fakes, Tts

    from tests.ops.vaults import Seed, Vaults

pytestmark = pytest.mark.docker  # real restic, whose key derivation alone takes a second each time

# The host's own command with the host's settings; and a configuration that remembers what is set.
_SSH = """#!{python} -IS
import json, os, pathlib, shlex, sys
home = pathlib.Path({home!r})
words = shlex.split(sys.argv[-1])
text = sys.stdin.read()
with (home / "calls.jsonl").open("a") as log:
    log.write(json.dumps({{"tool": "ssh", "argv": sys.argv[1:], "stdin": ""}}) + "\\n")
if (home / "down").exists():
    sys.exit("Connection refused") if False else os._exit(255)
settings = json.loads((home / "host.json").read_text())
reader, writer = os.pipe()
os.write(writer, text.encode())
os.close(writer)
os.dup2(reader, 0)
os.execve({python!r}, [{python!r}, "-m", "tts_host.keys", *words[1:]], settings)
"""
_PULUMI = """#!{python} -IS
import json, pathlib, sys
home = pathlib.Path({home!r})
path = home / "config.json"
config = json.loads(path.read_text())
argv = [word for word in sys.argv[1:] if not word.startswith("--") and word != "never"]
with (home / "calls.jsonl").open("a") as log:
    log.write(json.dumps({{"tool": "pulumi", "argv": sys.argv[1:], "stdin": ""}}) + "\\n")
if argv[:2] == ["stack", "output"]:
    name = argv[2] if len(argv) > 2 else ""
    print(json.dumps(config["outputs"][name]))
elif argv[0] == "stack":
    print("prod")
elif argv[:2] == ["config", "get"]:
    print(config["values"][argv[2]])
elif argv[:2] == ["config", "set"]:
    config["values"][argv[2]] = sys.stdin.read()
    stop = home / "stop-after"
    path.write_text(json.dumps(config))
    if stop.exists() and stop.read_text() == argv[2]:
        stop.unlink()
        sys.exit("error: killed")
elif argv[:2] == ["config", "rm"]:
    del config["values"][argv[2]]
    path.write_text(json.dumps(config))
elif argv[0] == "up":
    pathlib.Path(config["password_file"]).write_text(config["values"]["backupPassphrase"] + "\\n")
elif argv[0] == "config":
    print(json.dumps({{key: {{"value": value, "secret": True}} for key, value in config["values"].items()}}))
else:
    sys.exit(f"fake pulumi: {{argv}}")
"""


class Host:
    """The host's local repository and settings, and the stack's configuration."""

    def __init__(self, home: Path, vaults: Vaults, seed: Seed, outputs: dict[str, Any], ssh_key: str) -> None:
        self.home, self.vaults, self.seed = home, vaults, seed
        self.local = home / "local"
        shutil.copytree(seed.folder, self.local)
        self.password_file = home / "passphrase"
        self._private(self.password_file, seed.password)
        access, secret = vaults.keys["host"]["aws"]
        credentials = home / "offsite-aws"
        self._private(credentials, f"AWS_ACCESS_KEY_ID={access}\nAWS_SECRET_ACCESS_KEY={secret}")
        settings = {
            "PATH": f"{find_restic().parent}:/usr/bin:/bin",
            "PYTHONPATH": str(REPOSITORY / "scripts" / "host" / "lib"),
            "TTS_HOST": "web-1",
            "TTS_STACK": "prod",
            "TTS_COMPOSE_PROJECT": "shop",
            "TTS_PG_MODE": "container",
            "TTS_LOCAL_REPOSITORY": str(self.local),
            "TTS_PASSWORD_FILE": str(self.password_file),
            "TTS_CACHE_DIR": str(home / "cache"),
            "TTS_OFFSITE": "aws",
            "TTS_OFFSITE_AWS_REPOSITORY": vaults.access("host")["RESTIC_REPOSITORY"],
            "TTS_OFFSITE_AWS_CREDENTIALS": str(credentials),
        }
        (home / "host.json").write_text(json.dumps(settings))
        outputs["backup"]["offsite"] = [item for item in outputs["backup"]["offsite"] if item["name"] == "aws"]
        values = {"backupPassphrase": seed.password, "recoveryKey": seed.recovery, "sshPrivateKey": ssh_key}
        self._write(
            {
                "outputs": {"": outputs, "maintenance": vaults.output("maintenance")},
                "values": values,
                "password_file": str(self.password_file),
            }
        )
        for name, text in (("ssh", _SSH), ("pulumi", _PULUMI)):
            (home / name).write_text(text.format(python=sys.executable, home=str(home)))

    @staticmethod
    def _private(path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text + "\n")

    def _write(self, config: dict[str, Any]) -> None:
        (self.home / "config.json").write_text(json.dumps(config))

    @property
    def values(self) -> dict[str, str]:
        return json.loads((self.home / "config.json").read_text())["values"]

    def change(self, **values: str) -> None:
        config = json.loads((self.home / "config.json").read_text())
        config["values"] |= values
        self._write(config)

    def opens(self, password: str) -> tuple[bool, bool]:
        """The local repository, the one at AWS."""
        access = self.vaults.access("audit")
        places = ({"RESTIC_REPOSITORY": str(self.local)}, access)
        done = [
            self.seed.restic("cat", "config", "--no-lock", **{**place, "RESTIC_PASSWORD": password}) for place in places
        ]
        return done[0].returncode == 0, done[1].returncode == 0


@pytest.fixture
def host(fakes: Fakes, vaults: Vaults, seed: Seed, outputs: dict[str, Any], operator_key: Any) -> Host:
    return Host(fakes.home, vaults, seed, outputs, operator_key.private)


def test_every_key_is_tried_from_the_host_and_from_here(host: Host, tts: Tts) -> None:
    done = tts("keys", "verify", "--json")

    assert done.code == 0, done.stdout + done.stderr
    seen = {(item["repository"], item["seen_from"]): item for item in done.json["repositories"]}
    assert set(seen) == {("local", "web-1"), ("aws", "web-1"), ("aws", "here")}
    assert all(item["passphrase"] and item["recovery"] for item in seen.values())
    assert seen["local", "web-1"]["host"] is True


def test_what_opens_nothing_is_named(host: Host, tts: Tts) -> None:
    host.change(recoveryKey="NOT-THE-ONE")

    done = tts("keys", "verify")

    assert done.code == 1
    assert "does not" in done.stdout
    assert "opens" in done.stdout


def test_without_the_host_the_copies_are_tried_all_the_same(host: Host, tts: Tts) -> None:
    (host.home / "down").touch()

    done = tts("keys", "verify", "--json")

    assert done.code == 1
    local, aws = done.json["repositories"]
    assert "does not answer" in local["error"]
    assert aws["passphrase"] is aws["recovery"] is True


def test_a_rotation_with_the_deployment_in_it_ends_with_the_new_passphrase_alone(
    host: Host, tts: Tts, fakes: Fakes, seed: Seed
) -> None:
    done = tts("keys", "rotate", "--yes", "--up")

    assert done.code == 0, done.stdout + done.stderr
    new = host.values["backupPassphrase"]
    assert new != seed.password
    assert host.opens(new) == (True, True)
    assert host.opens(seed.password) == (False, False)
    assert host.opens(seed.recovery) == (True, True)
    assert not any(key.startswith("tts-rotation") for key in host.values)
    words = json.dumps([call["argv"] for call in fakes.calls()])
    assert new not in words
    assert seed.password not in words
    assert list(host.home.glob("tts-*")) == []


def test_until_the_host_has_the_new_one_the_old_one_stays(host: Host, tts: Tts, seed: Seed) -> None:
    first = tts("keys", "rotate", "--yes")

    assert first.code == 0, first.stderr
    assert "pulumi up" in first.stdout
    new = host.values["backupPassphrase"]
    assert host.opens(new) == host.opens(seed.password) == (True, True)
    assert host.values["tts-rotation:old"] == seed.password

    assert tts("keys", "rotate", "--up").code == 0, "no question: it only goes on"
    assert host.opens(seed.password) == (False, False)


@pytest.mark.parametrize("point", ["tts-rotation:next", "tts-rotation:old", "backupPassphrase"])
def test_stopped_anywhere_it_goes_on_and_locks_nobody_out(host: Host, tts: Tts, seed: Seed, point: str) -> None:
    (host.home / "stop-after").write_text(point)
    assert tts("keys", "rotate", "--yes", "--up").code != 0
    assert host.opens(host.values["backupPassphrase"]) == (True, True)

    assert tts("keys", "rotate", "--yes", "--up").code == 0

    assert host.opens(host.values["backupPassphrase"]) == (True, True)
    assert host.opens(seed.password) == (False, False)


def test_a_recovery_key_that_opens_nothing_keeps_the_old_passphrase(host: Host, tts: Tts, seed: Seed) -> None:
    host.change(recoveryKey="NOT-THE-ONE")

    done = tts("keys", "rotate", "--yes", "--up")

    assert done.code == 1
    assert "the old passphrase stays" in " ".join(done.stderr.split())
    assert host.opens(seed.password) == (True, True)


def test_a_host_that_is_down_stops_it_before_anything_is_configured(host: Host, tts: Tts, seed: Seed) -> None:
    (host.home / "down").touch()

    assert tts("keys", "rotate", "--yes").code == 69
    assert host.values["backupPassphrase"] == seed.password


def test_nobody_to_ask_is_said(host: Host, tts: Tts) -> None:
    assert tts("keys", "rotate").code == 2
    assert "tts-rotation:next" not in host.values
