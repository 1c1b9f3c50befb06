"""What the program sends and what the installer takes are the same language: rendered by the one, read by the other."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.graph.engine import run as run_program
from tests.unit.config import stack_config, write_app

if TYPE_CHECKING:
    from pathlib import Path

DESTINATIONS = [
    {"name": "b2-eu", "repository": "b2:bucket:restic"},
    {"name": "gcs", "repository": "gs:bucket:/restic"},
    {"name": "friend", "repository": "sftp:backup@host.example.org:/restic"},
    {"name": "box", "repository": "rest:https://host.example.org:8000/"},
]
CREDENTIALS = {
    "b2-eu": {"B2_ACCOUNT_ID": "account-of-b2", "B2_ACCOUNT_KEY": "secret-of-b2"},
    "gcs": {
        "GOOGLE_PROJECT_ID": "project-1",
        "GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps({"type": "service_account", "private_key": "line\nline"}),
    },
    "box": {"RESTIC_REST_USERNAME": "someone", "RESTIC_REST_PASSWORD": "secret-of-box"},
}
ALERTS = {
    "pingUrl": "https://hc-ping.com/KEY/%j",
    "webhookUrl": "https://hooks.example.org/secret-of-webhook",
    "smtp": {"host": "smtp.example.org", "from": "a@example.org", "to": ["b@example.org"]},
}


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The program's input for the installer, with everything configured that can be."""
    monkeypatch.setenv("TTS_LOCAL_DIR", str(tmp_path / "local"))
    config = stack_config("prod", write_app(tmp_path / "app"))
    config.values |= {"destinations": DESTINATIONS, "destinationCredentials": CREDENTIALS, "alerts": ALERTS}
    (command,) = [each for each in run_program(config).resources if each.name == "backup-jobs-install"]
    return json.loads(command.inputs["stdin"])


def test_the_installer_reads_all_that_the_program_sends(sent, tts_host, tmp_path):
    request = tts_host.install.read_request(json.dumps(sent), tmp_path)
    config = tts_host.config.load(request.env)
    assert [each.name for each in config.offsite] == ["aws", "spaces", "b2-eu", "gcs", "friend", "box"]
    by_name = {each.name: each for each in config.offsite}
    assert by_name["friend"].credentials is None
    assert str(by_name["b2-eu"].credentials) == "/etc/tts/secrets/offsite-b2-eu"
    assert by_name["gcs"].repository == "gs:bucket:/restic"
    assert str(config.alerts_file) == "/etc/tts/secrets/alerts.json"
    assert {"alerts.json", "google-gcs.json"} <= set(request.secrets)


def test_the_channels_arrive_as_they_were_configured(sent, tts_host, tmp_path):
    path = tmp_path / "alerts.json"
    path.write_text(sent["secrets"]["alerts.json"])
    path.chmod(0o600)
    alerts = tts_host.alerts.read(path)
    assert (alerts.ping_url, alerts.webhook_url) == (ALERTS["pingUrl"], ALERTS["webhookUrl"])
    assert (alerts.mail.host, alerts.mail.port, alerts.mail.to) == ("smtp.example.org", 587, ("b@example.org",))


def test_the_installer_writes_the_secret_files_for_root_alone(sent, tmp_path, install_host):
    done = install_host(tmp_path / "root", sent)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "root/etc/tts/secrets"
    assert json.loads((folder / "google-gcs.json").read_text())["private_key"] == "line\nline"
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    for secret in ("secret-of-b2", "secret-of-webhook", "secret-of-box"):
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("break_it", "named"),
    [
        (lambda sent: sent["secrets"].pop("google-gcs.json"), "GOOGLE_APPLICATION_CREDENTIALS in offsite-gcs"),
        (lambda sent: sent["secrets"].pop("alerts.json"), "TTS_ALERTS_FILE names the secret alerts.json"),
        (lambda sent: sent["secrets"].update({"alerts.json": '{"webhook": "x"}'}), "unknown key 'webhook'"),
        (lambda sent: sent["secrets"].update({"alerts.json": "{"}), "not JSON"),
        (lambda sent: sent["secrets"].update({"alerts.json": '{"smtp": {"host": "x"}}'}), "smtp.from is missing"),
        (lambda sent: sent["secrets"].update({"a.b.json": "x"}), "a.b.json"),
        (lambda sent: sent["env"].update({"TTS_OFFSITE": "b2_eu"}), "b2_eu"),
        (lambda sent: sent["env"].update({"TTS_OFFSITE": "aws,aws"}), "twice"),
        (lambda sent: sent["env"].update({"TTS_OFFSITE": "local"}), "local"),
        (lambda sent: sent["env"].pop("TTS_OFFSITE_B2_EU_REPOSITORY"), "TTS_OFFSITE_B2_EU_REPOSITORY is missing"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_is_written(
    sent, tmp_path, install_host, break_it, named
):
    break_it(sent)
    done = install_host(tmp_path / "root", sent)
    assert done.returncode == 78
    assert named in done.stderr
    assert not list((tmp_path / "root").iterdir())


@pytest.mark.docker
def test_the_credentials_of_a_destination_reach_restic_for_it_and_for_no_other(bare_host):
    secret = {
        "aws": "AWS_SECRET_ACCESS_KEY=of-aws",
        "b2-eu": "B2_ACCOUNT_KEY=of-b2",
        "box": "RESTIC_REST_PASSWORD=of-box",
    }
    changes = {"TTS_OFFSITE": "aws,b2-eu,box,friend"}
    for name in ("aws", "b2-eu", "box", "friend"):
        key = f"TTS_OFFSITE_{name.upper().replace('-', '_')}"
        changes[f"{key}_REPOSITORY"] = str(bare_host.repository("aws" if name == "aws" else "spaces"))
        if name in secret:
            path = bare_host.root / "secrets" / f"offsite-{name}"
            path.write_text(secret[name] + "\n")
            path.chmod(0o600)
            changes[f"{key}_CREDENTIALS"] = str(path)
    for name in ("b2-eu", "box", "friend"):
        there = bare_host.root / "repositories" / name
        subprocess.run(["cp", "-a", str(bare_host.repository("spaces")), str(there)], check=True)
        changes[f"TTS_OFFSITE_{name.upper().replace('-', '_')}_REPOSITORY"] = str(there)
    bare_host.write(**changes)
    seen = bare_host.root / "seen"
    bare_host.fake(
        "restic",
        f'env | grep -E "^(AWS|B2|RESTIC_REST)_" | sed "s|^|${{RESTIC_REPOSITORY##*/}} |" >>{seen}; exec "$REAL" "$@"',
    )
    stray = {"AWS_SECRET_ACCESS_KEY": "of-a-person", "B2_ACCOUNT_KEY": "of-a-person", "RESTIC_PASSWORD": "of-a-person"}
    done = bare_host.run("backup", "config", **stray)
    assert done.returncode == 0, done.stderr
    assert set(seen.read_text().splitlines()) == {f"{name} {line}" for name, line in secret.items()}
    for name in ("aws", "b2-eu", "box", "friend"):
        assert len(bare_host.snapshots(name)) == 1


@pytest.mark.docker
def test_the_installer_opens_a_model_repository_with_the_credentials_of_its_kind(bare_host, tts_host, monkeypatch):
    path = bare_host.root / "secrets" / "offsite-b2-eu"
    path.write_text("B2_ACCOUNT_KEY=of-b2\n")
    path.chmod(0o600)
    seen = bare_host.root / "seen"
    bare_host.fake(
        "restic", f'[[ $1 == init ]] && echo "$B2_ACCOUNT_KEY $RESTIC_FROM_REPOSITORY" >>{seen}; exec "$REAL" "$@"'
    )
    monkeypatch.setenv("PATH", bare_host.environment()["PATH"])
    there = bare_host.repository("aws")
    bare_host.write(
        TTS_OFFSITE="b2-eu", TTS_OFFSITE_B2_EU_REPOSITORY=str(there), TTS_OFFSITE_B2_EU_CREDENTIALS=str(path)
    )
    subprocess.run(["rm", "-r", str(bare_host.repository("local"))], check=True)
    tts_host.install.make_repositories(tts_host.config.load(bare_host.env), None)
    assert seen.read_text() == f"of-b2 {there}\n"
    assert bare_host.snapshots("local") == []


def test_a_settings_file_with_a_dash_in_a_name_is_one_that_bash_reads_too(sent, tmp_path, install_host):
    root = tmp_path / "root"
    assert install_host(root, sent).returncode == 0
    script = 'set -eu; . "$1"; printf %s "$TTS_OFFSITE_B2_EU_CREDENTIALS"'
    done = subprocess.run(
        ["bash", "-c", script, "-", str(root / "etc/tts/backup.env")],
        env={"PATH": os.environ["PATH"]},
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout == "/etc/tts/secrets/offsite-b2-eu"
