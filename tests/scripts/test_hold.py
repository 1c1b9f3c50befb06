"""Holding a host: nothing starts by itself, the application stands still, the database server runs; all comes back."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def held(bare_host):
    bare_host.write(TTS_OFFSITE="")
    bare_host.fake("systemctl", f'echo "$*" >>{bare_host.root / "systemctl.log"}')
    assert bare_host.run("hold", "on").returncode == 0
    return bare_host


def states(it):
    document = json.loads((it.root / "docker" / "state.json").read_text())
    return {container["service"]: container["state"] for container in document["containers"]}


def systemctl(it):
    return (it.root / "systemctl.log").read_text().splitlines()


def test_a_hold_stops_the_schedule_first_and_all_but_the_database(held):
    assert systemctl(held) == ["disable --now cron"]
    assert states(held) == {"postgres": "running", "ticket-service": "exited", "nginx": "exited"}


def test_a_hold_is_shown_until_it_ends(held):
    def findings():
        return json.loads(held.run("status").stdout)["findings"]

    assert any("this host is held since" in text for text in findings())
    assert held.run("hold", "off").returncode == 0
    assert findings() == []


def test_a_second_hold_does_not_forget_what_the_first_one_stopped(held):
    assert held.run("hold", "on").returncode == 0
    assert held.run("hold", "off").returncode == 0
    assert set(states(held).values()) == {"running"}
    assert systemctl(held)[-1] == "enable --now cron"


def test_the_schedule_stays_off_while_the_application_is_not_well(held):
    document = json.loads((held.root / "docker" / "state.json").read_text())
    for container in document["containers"]:
        container["health"] = "unhealthy"
    (held.root / "docker" / "state.json").write_text(json.dumps(document))
    # The wait for health takes minutes; here nobody waits.
    skip = "import runpy, tts_host.services as s; s.HEALTHY_WITHIN_S = 0; "
    skip += "runpy.run_module('tts_host.hold', run_name='__main__')"
    held.fake("python3", f'[ "$2" = tts_host.hold ] || exec "$REAL" "$@"; exec "$REAL" -c "{skip}" "${{@:3}}"')
    done = held.run("hold", "off")
    assert done.returncode == 1
    assert "not healthy" in done.stderr
    assert systemctl(held)[-1] == "disable --now cron"


def test_a_schedule_that_cannot_be_stopped_fails_the_hold_before_the_application_is_touched(bare_host):
    bare_host.write(TTS_OFFSITE="")
    bare_host.fake("systemctl", "exit 1")
    done = bare_host.run("hold", "on")
    assert done.returncode == 1
    assert set(states(bare_host).values()) == {"running"}
