"""From a bare machine to a restored database, with the real engine, real hosts and real data.

One local cloud serves every test here, and the tests run in the order in which they stand: each one is a
chapter of the same story, as an operator would live it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.contents import Fingerprint
    from tests.e2e.platform import Platform

pytestmark = pytest.mark.e2e

SERVICES = {
    "tts-auth",
    "tts-ticket",
    "tts-workflow-api",
    "tts-messaging",
    "tts-notification",
    "tts-workflow-worker",
    "tts-notification-worker",
    "tts-postgres",
    "tts-rabbitmq",
    "tts-nginx",
}


def test_the_application_answers_on_the_droplet_that_pulumi_made(platform: Platform) -> None:
    outputs = platform.outputs()
    assert outputs["rung"] == "single"
    assert outputs["entry"]["address"] in outputs["url"]
    assert platform.get("/").startswith("<!doctype html"), "the front page"
    assert platform.get("/health/")
    assert "tts-nginx" in platform.tts("ssh", "web-1", "--", "docker", "ps", "--format", "{{.Names}}")


def test_status_says_that_every_service_is_healthy_and_a_verified_backup_is_minutes_old(platform: Platform) -> None:
    status = platform.tts_json("status")
    assert status["rung"] == "single"
    assert {service["name"] for service in status["services"]} >= SERVICES
    assert [service for service in status["services"] if not service["healthy"]] == []
    backups = {backup["kind"]: backup for backup in status["backups"]}
    assert set(backups) == {"databases", "media", "config"}
    for kind, backup in backups.items():
        assert backup["verified"], f"the {kind} backup was not verified"
        assert backup["age_seconds"] < 3600, f"the {kind} backup is older than this test"
        assert {copy["name"] for copy in backup["offsite"]} == {"aws", "spaces"}
        assert [copy for copy in backup["offsite"] if copy["lag"]] == []
    assert status["cost_per_month"] > 0


def test_a_second_up_changes_nothing(platform: Platform) -> None:
    before = platform.resources()
    platform.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert platform.resources() == before


def test_a_dropped_database_comes_back_from_the_off_site_copy_row_for_row(
    platform: Platform, seeded: Fingerprint
) -> None:
    platform.tts("backup", "all")
    platform.psql("DROP DATABASE ticket_db WITH (FORCE)")
    assert "ticket_db" not in platform.databases()
    platform.tts("restore", "database", "ticket_db", "--from", "aws", "--yes")
    assert platform.fingerprint() == seeded


def test_a_job_takes_what_the_application_leaves(platform: Platform) -> None:
    """Its processes and those that the database's server runs for it: all in one group, which is idle."""
    watched = """
        tts-backup databases --no-offsite >/dev/null 2>&1 & job=$!
        root=/sys/fs/cgroup
        group() { sed -n -e "s|^0::|$root|p" -e "s|^[0-9]*:cpu[^:]*:|$root/cpu|p" "/proc/$job/cgroup"; }
        all() { group | while read -r folder; do cat "$folder/$1" 2>/dev/null; done; }
        names() { all cgroup.procs | while read -r process; do cat "/proc/$process/comm" 2>/dev/null; done; }
        until group | grep -q "tts-backup-databases-$job[.]scope" && all cpu.idle | grep -q 1
        do kill -0 $job || exit 1; done
        until names | grep -qx postgres; do kill -0 $job || exit 1; done
        wait $job && nproc
    """
    assert int(platform.host("web-1", watched)) > 0


def test_lost_media_come_back_from_the_second_off_site_copy_hash_for_hash(
    platform: Platform, seeded: Fingerprint
) -> None:
    platform.lose_the_media()
    assert platform.attachments() == {}
    platform.tts("restore", "media", "--from", "spaces", "--yes")
    assert platform.attachments() == seeded.attachments


def test_the_definitions_of_the_broker_come_back_from_off_site_and_the_broker_takes_them(platform: Platform) -> None:
    kept, folder = "/var/lib/tts/staging/broker/definitions.json", "/var/tmp/definitions"
    platform.tts("restore", "config", kept, "--from", "aws", "--target", folder, "--yes")
    definitions = json.loads(platform.host("web-1", f"cat {folder}{kept}"))
    assert definitions["vhosts"]
    assert [user["name"] for user in definitions["users"]] == platform.broker_users()
    platform.host(
        "web-1", f"docker exec -i tts-rabbitmq rabbitmqctl import_definitions < {folder}{kept} && rm -r {folder}"
    )


def test_every_database_comes_back_after_the_server_lost_its_disk(platform: Platform, seeded: Fingerprint) -> None:
    platform.lose_the_postgres_volume()
    platform.tts("restore", "databases", "--from", "aws", "--yes")
    assert platform.fingerprint() == seeded


def test_the_host_comes_back_by_itself_after_a_hard_power_cycle(platform: Platform, seeded: Fingerprint) -> None:
    platform.power_cycle("web-1")
    platform.wait_until_healthy()
    assert platform.fingerprint() == seeded


def test_the_local_cloud_survives_the_kill_of_its_daemon(platform: Platform, seeded: Fingerprint) -> None:
    platform.kill_the_cloud()
    platform.start_the_cloud()
    platform.pulumi("preview", "--expect-no-changes")
    platform.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    platform.tts("verify")
    assert platform.fingerprint() == seeded


def test_no_secret_is_in_the_state_the_logs_the_process_list_or_a_cron_file(platform: Platform) -> None:
    places = platform.places_where_a_secret_must_not_be()
    secrets = platform.secrets()
    assert len(secrets) > 6, "the search would find nothing if it looked for nothing"
    found = [(name, place) for place, text in places.items() for name, value in secrets.items() if value in text]
    assert found == []


def test_a_command_that_fails_shows_no_secret_and_the_next_up_continues(platform: Platform) -> None:
    platform.pulumi("config", "set", "domain", "tickets.example")
    with platform.broken_docker("web-1"):
        output = platform.pulumi_fails("up", "--yes", "--skip-preview")
    assert [name for name, value in platform.secrets().items() if value in output] == []
    platform.pulumi("config", "rm", "domain")
    platform.pulumi("up", "--yes", "--skip-preview")
    platform.wait_until_healthy()
