"""Alerts: who hears what, over real sockets; and that nobody who does not answer changes a backup."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from pathlib import Path

import pytest

from tests.scripts.listeners import certificate, endpoint, mail_server

pytestmark = pytest.mark.docker  # seconds each, for real programs
CRON = Path(__file__).resolve().parents[2] / "scripts" / "host" / "cron"


@pytest.fixture
def web():
    with endpoint() as it:
        yield it


@pytest.fixture
def small(bare_host):
    """A host with one repository: the run of `config` stands for all kinds."""
    bare_host.write(TTS_OFFSITE="")
    return bare_host


def configure(host, **channels):
    path = host.root / "secrets" / "alerts.json"
    path.write_text(json.dumps(channels))
    path.chmod(0o600)
    host.write(TTS_ALERTS_FILE=str(path))


def smtp(port, **more):
    return {"host": "localhost", "port": port, "from": "tts@example.org", "to": ["ops@example.org"], **more}


def breaks(host):
    (host.root / "app.env").rename(host.root / "away")


def mend(host):
    (host.root / "away").rename(host.root / "app.env")


def backup(host, code=0, **extra):
    done = host.run("backup", "config", **extra)
    assert done.returncode == code, done.stderr
    return done


def dead_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_job_signals_start_and_end_and_a_failure_brings_the_end_of_its_log(small, web):
    configure(small, ping_url=f"{web.url}/key/%j?create=1")
    backup(small)
    assert sorted(web.paths()) == ["/key/backup-config/start?create=1", "/key/backup-config?create=1"]
    web.heard.clear()
    breaks(small)
    backup(small, code=1)
    (failure,) = [body for path, body in web.heard if path == "/key/backup-config/fail?create=1"]
    assert "failed at store: configured paths are missing" in failure
    assert "step=preflight" in failure, "the end of the log is missing"
    assert "/key/backup-config?create=1" not in web.paths()


def test_bug_45_what_is_sent_is_bounded_however_long_the_log_is(small, web):
    configure(small, ping_url=f"{web.url}/%j", webhook_url=f"{web.url}/hook")
    breaks(small)
    (small.root / "log").mkdir()
    (small.root / "log" / "backup-config.log").write_text("noise " * 50 + "\n" + "x" * 5_000_000 + "\n")
    backup(small, code=1)
    assert max(len(body) for _, body in web.heard) <= 10_000
    assert any("failed at store" in body for path, body in web.heard if path == "/backup-config/fail")
    assert any("failed at store" in body for path, body in web.heard if path == "/hook")


def test_what_a_person_starts_is_not_waited_for_by_the_ping_service(small, web):
    configure(small, ping_url=f"{web.url}/%j")
    assert small.run("offsite").returncode == 0
    assert web.heard == []


def test_the_ping_service_hears_of_all_that_cron_starts_and_writes_logs(tts_host):
    jobs = re.findall(r"/usr/local/bin/tts-(backup \w+|verify|drill)", CRON.read_text())
    assert {job.replace(" ", "-") for job in jobs} <= set(tts_host.notify.PINGED)


def test_people_hear_of_a_failure_once_then_daily_and_once_that_it_is_over(small, web):
    configure(small, webhook_url=f"{web.url}/hook")
    backup(small)
    assert web.heard == []
    breaks(small)
    backup(small, code=1)
    backup(small, code=1)
    assert [json.loads(body)["text"].split(":")[0] for _, body in web.heard] == ["test/web-1"]
    assert "backup-config failed at store: configured paths are missing" in web.heard[0][1]
    told = small.root / "state" / "state" / "alert-backup-config.json"
    told.write_text(json.dumps({"told": {"webhook": "2020-01-01T00:00:00Z"}}))
    backup(small, code=1)
    assert len(web.heard) == 2, "no reminder of a failure that lasts"
    mend(small)
    backup(small)
    backup(small)
    assert len(web.heard) == 3
    assert "backup-config ok" in web.heard[2][1]


def test_another_jobs_success_does_not_end_a_failure(small, web):
    configure(small, webhook_url=f"{web.url}/hook")
    breaks(small)
    backup(small, code=1)
    assert small.run("offsite").returncode == 0
    assert len(web.heard) == 1


def test_fault_50_a_dead_endpoint_changes_no_result_and_the_other_channel_is_used(small, web):
    with mail_server() as box:
        configure(small, webhook_url=f"http://127.0.0.1:{dead_port()}/secret-of-hook", smtp=smtp(box.port))
        backup(small)
        assert "result=ok" in small.last_line("backup-config")
        breaks(small)
        backup(small, code=1)
        assert "result=failed" in small.last_line("backup-config")
        assert len(box.mails) == 1
        assert "Subject: test/web-1: backup-config failed at store" in box.mails[0]
    assert "webhook could not be sent: Connection refused" in small.log("backup-config")
    assert "secret-of-hook" not in small.log("backup-config")
    configure(small, webhook_url=f"{web.url}/hook")
    backup(small, code=1)
    assert web.paths() == ["/hook"], "the channel that was down did not hear of the failure later"


def test_fault_50_a_send_is_tried_again_when_the_endpoint_stumbles_and_not_when_it_refuses(small, web):
    configure(small, ping_url=f"{web.url}/%j")
    web.answers = [200, 503, 503, 200]  # the first is for the start
    backup(small)
    assert web.paths()[1:] == ["/backup-config"] * 3
    assert "could not be sent" not in small.log("backup-config")
    web.heard.clear()
    web.answers = [404, 404]
    backup(small)
    assert len(web.heard) == 2
    assert "ping could not be sent: HTTP 404" in small.log("backup-config")


def test_fault_50_an_endpoint_that_never_answers_holds_a_job_up_for_a_bounded_time(tts_host, web):
    web.mute.set()
    channels = tts_host.channels
    begun = time.monotonic()
    found = channels.deliver({"ping": lambda: channels.ping(web.url, ""), "mail": lambda: None}, limit_s=1)
    assert time.monotonic() - begun < channels.TIMEOUT_S, "not even one of the channel's own waits"
    assert found == {"ping": "no answer within 1 s", "mail": None}


def test_fault_50_a_start_signal_that_hangs_does_not_hold_the_job_up_nor_arrive_after_its_end(small, web):
    web.mute.set()
    configure(small, ping_url=f"{web.url}/%j")
    go_on = small.root / "go-on"
    small.fake("restic", f'while [[ ! -e {go_on} ]]; do sleep 0.05; done; exec "$REAL" "$@"')
    process = small.start("backup", "config")
    try:
        assert web.held.wait(60), "the job has begun, and its start signal hangs"
        web.mute.clear()
        go_on.touch()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    assert web.paths() == ["/backup-config"]


@pytest.mark.parametrize("text", ["{", "[]", '{"smtp": {"host": "x"}}', None])
def test_a_damaged_alerts_file_is_a_warning_and_the_backup_is_made(small, text):
    configure(small)
    path = small.root / "secrets" / "alerts.json"
    path.unlink() if text is None else path.write_text(text)
    backup(small)
    assert "no alert could be sent" in small.log("backup-config")
    assert len(small.snapshots()) == 1


def test_mail_is_encrypted_and_the_password_is_sent_only_then(small, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl is missing: apt-get install openssl")
    pem = certificate(tmp_path)
    account = {"user": "someone", "password": "right"}
    trust = {"SSL_CERT_FILE": str(tmp_path / "cert.pem")}
    breaks(small)
    with mail_server(tls=pem) as box:
        configure(small, smtp=smtp(box.port, **account))
        backup(small, code=1, **trust)
        assert box.accounts == [("someone", "right", True)]
        assert box.encrypted == [True]
        assert "configured paths are missing" in box.mails[0]
    with mail_server() as plain:
        configure(small, smtp=smtp(plain.port, **account))
        done = small.run("alert-test")
        assert done.returncode == 1
        assert "no TLS: the password was not sent" in json.loads(done.stdout)["channels"][0]["error"]
        assert (plain.accounts, plain.mails) == ([], [])
    with mail_server(tls=pem) as untrusted:
        configure(small, smtp=smtp(untrusted.port, **account))
        assert small.run("alert-test").returncode == 1
        assert untrusted.accounts == []


def test_alert_test_proves_each_channel_by_itself(small, web):
    with mail_server() as box:
        configure(small, ping_url=f"{web.url}/%j", webhook_url=f"{web.url}/hook", smtp=smtp(box.port))
        done = small.run("alert-test", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "result": "ok",
            "channels": [{"name": name, "result": "ok", "error": None} for name in ("ping", "webhook", "mail")],
        }
        assert {"/backup-databases/log", "/backup-media/log", "/verify/log", "/hook"} <= set(web.paths())
        assert not {path for path in web.paths() if path.endswith(("/fail", "/start"))}, (
            "a test changed a check's state"
        )
        assert "this is a test" in box.mails[0]


def test_alert_test_names_the_channel_that_fails_and_shows_no_address(small, web):
    web.answers = [404] * 9
    configure(small, ping_url=f"{web.url}/secret-key/%j", webhook_url=f"http://127.0.0.1:{dead_port()}/secret-hook")
    done = small.run("alert-test")
    assert done.returncode == 1
    ping, webhook = json.loads(done.stdout)["channels"]
    assert ping["result"] == webhook["result"] == "failed"
    assert "backup-media: HTTP 404" in ping["error"]
    assert webhook["error"] == "Connection refused"
    assert "secret-" not in done.stdout + done.stderr


def test_alert_test_without_a_channel_says_what_to_do(small):
    done = small.run("alert-test")
    assert done.returncode == 78
    assert json.loads(done.stdout) == {"result": "failed", "channels": []}
    assert "no channel is configured" in done.stderr


def test_fault_54_addresses_and_passwords_of_channels_are_in_no_log_and_no_state_file(small, web):
    account = {"user": "user-of-mail", "password": "password-of-mail"}
    configure(small, ping_url=f"{web.url}/key-of-ping/%j", smtp=smtp(dead_port(), **account))
    small.fake("restic", f'[[ $1 == backup ]] && cat {small.root}/secrets/alerts.json >&2 && exit 1; exec "$REAL" "$@"')
    done = backup(small, code=1)
    kept = [path for name in ("log", "state") for path in (small.root / name).rglob("*") if path.is_file()]
    everything = done.stdout + done.stderr + "".join(path.read_text() for path in kept)
    everything += "".join(body for _, body in web.heard)
    for secret in ("key-of-ping", "user-of-mail", "password-of-mail"):
        assert secret not in everything
    assert "***" in everything
