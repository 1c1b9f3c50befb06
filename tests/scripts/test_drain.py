"""A host leaves the balancer before it changes, and comes back whatever becomes of the change."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.scripts.hosts import HOST, PROJECT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docker  # seconds each, for real programs
# When the application is started: is the sign up?
WATCH = '[[ " $* " != *" up "* ]] || ls {folder} >>{seen}\nexec "$REAL" "$@"'


@pytest.fixture
def drained(bare_host):
    """A host with an application that was installed before; `seen` says what stood in the folder at each start."""
    bare_host.write(TTS_OFFSITE="")
    bare_host.docker |= {"compose": {"services": {"nginx": {}}, "volumes": {}}, "containers": []}
    bare_host.write_docker()
    assert install(bare_host, {"A": "1"}).returncode == 0
    folder = bare_host.root / "state/drain"
    bare_host.fake("docker", WATCH.format(folder=folder, seen=bare_host.root / "seen"))
    return bare_host


def install(host, env: dict[str, str], drain: float | None = 0) -> subprocess.CompletedProcess[str]:
    request = {
        "env": env,
        "project": PROJECT,
        "directory": str(host.root / "srv"),
        "source": str(host.root / "app"),
        "compose_file": "compose.yaml",
        "drain": drain,
    }
    places = {"TTS_STATE_DIR": str(host.root / "state"), "TTS_APP_ENV": str(host.root / "app.env")}
    return subprocess.run(
        ["bash", str(HOST / "install-app")],
        input=json.dumps(request),
        env=host.environment(**places),
        text=True,
        capture_output=True,
        check=False,
    )


def seen(host) -> str:
    path = host.root / "seen"
    return path.read_text() if path.exists() else ""


def sign(host) -> Path:
    return host.root / "state/drain/drain"


def test_the_sign_is_up_while_the_application_changes_and_gone_afterwards(drained):
    assert install(drained, {"A": "2"}, drain=0.0).returncode == 0
    assert seen(drained) == "drain\n"
    assert not sign(drained).exists()


def test_without_a_change_or_a_balancer_nobody_waits(drained):
    assert install(drained, {"A": "1"}).returncode == 0
    assert install(drained, {"A": "2"}, drain=None).returncode == 0
    assert seen(drained) == ""


def test_a_change_that_fails_leaves_the_host_to_its_own_health(drained):
    (drained.root / "docker/no-up").touch()
    assert install(drained, {"A": "2"}).returncode == 1
    assert seen(drained) == "drain\n"
    assert not sign(drained).exists()


def test_a_sign_whose_owner_has_died_goes_when_its_time_is_over(drained):
    assert drained.run("drain", "on", "0").returncode == 0
    assert int(sign(drained).read_text()) > time.time() + 600
    assert drained.run("drain", "off", "--if-due").returncode == 0
    assert sign(drained).exists(), "its time is not over"
    sign(drained).write_text(f"{int(time.time()) - 1}\n")
    assert drained.run("drain", "off", "--if-due").returncode == 0
    assert not sign(drained).exists()
    assert "tts-drain off --if-due" in (HOST / "watch").read_text()


def test_the_sign_can_be_read_by_the_users_of_containers(drained):
    assert drained.run("drain", "on", "0").returncode == 0
    assert oct(sign(drained).stat().st_mode & 0o777) == "0o644"
    assert oct(sign(drained).parent.stat().st_mode & 0o777) == "0o755"


@pytest.mark.parametrize("words", [(), ("on",), ("on", "ten"), ("away",)])
def test_wrong_words_change_nothing(drained, words):
    assert drained.run("drain", *words).returncode == 78
    assert not sign(drained).exists()
