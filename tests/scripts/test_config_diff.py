"""The difference between two config snapshots: what changed is seen, no secret is."""

from __future__ import annotations

import json
import secrets

import pytest

pytestmark = pytest.mark.docker  # seconds each, for real programs


@pytest.fixture
def changed(bare_host):
    """A host with two config snapshots; in between a secret, a plain value and a file have changed."""
    it = bare_host
    it.write(TTS_OFFSITE="", TTS_APP_ENV=str(it.root / "app.env"))
    old, new, same = (secrets.token_hex(16) for _ in range(3))
    (it.root / "app.env").write_text(f"POSTGRES_PASSWORD={old}\nPLAIN_NAME={same}\n")
    (it.root / "app" / "nginx.conf").write_text(f"server_name one;\nset $x {old};\n")
    assert it.run("backup", "config").returncode == 0
    (it.root / "app.env").write_text(f"POSTGRES_PASSWORD={new}\nPLAIN_NAME={same}\n")
    (it.root / "app" / "nginx.conf").write_text(f"server_name two;\nset $x {new};\n")
    (it.root / "app" / "extra.yaml").write_text(f"db:\n  password: {new}\n  image: shop:2\n")
    assert it.run("backup", "config").returncode == 0
    return it, (old, new, same)


def test_two_snapshots_are_compared_and_no_secret_is_shown(changed):
    it, hidden = changed
    done = it.run("config-diff", "previous", "latest", "--json")
    assert done.returncode == 0, done.stderr
    files = {item["path"].rpartition("/")[2]: item for item in json.loads(done.stdout)["files"]}
    assert {name: item["change"] for name, item in files.items()} == {
        "app.env": "changed",
        "nginx.conf": "changed",
        "extra.yaml": "added",
    }
    assert "-server_name one;" in files["nginx.conf"]["diff"]
    assert "+server_name two;" in files["nginx.conf"]["diff"]
    assert any(line.startswith("-POSTGRES_PASSWORD=***") for line in files["app.env"]["diff"])
    assert any(line == "+  image: shop:2" for line in files["extra.yaml"]["diff"])
    for secret in hidden:
        assert secret not in done.stdout + done.stderr


def test_equal_secrets_look_equal_and_changed_ones_do_not(changed):
    it, _ = changed
    lines = json.loads(it.run("config-diff", "previous", "latest", "--json").stdout)["files"]
    env = next(item["diff"] for item in lines if item["path"].endswith("app.env"))
    removed, added = (next(line[1:] for line in env if line.startswith(f"{sign}POSTGRES")) for sign in "-+")
    assert removed != added
    assert not any(line.startswith(("-PLAIN", "+PLAIN")) for line in env), "what is equal is no difference"


def test_a_snapshot_is_compared_with_what_is_live(changed):
    it, _ = changed
    assert it.run("config-diff", "latest").stdout == ""
    (it.root / "app" / "extra.yaml").unlink()
    assert "removed: " in it.run("config-diff", "latest", "live").stdout


def test_an_unknown_snapshot_is_refused(changed):
    it, _ = changed
    done = it.run("config-diff", "0000000000", "latest")
    assert done.returncode == 1
    assert "0 snapshots with id 0000000000" in done.stderr
