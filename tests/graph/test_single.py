"""The whole program on the rung `single`, as an engine sees it."""

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from settings import SettingsError
from tests.graph import guards
from tests.graph.engine import Graph, Registered, run
from tests.unit.config import SECRET_TEXTS, StackConfig

GOLDEN = Path(__file__).with_name("single.urns")


def test_the_urns_are_those_of_the_golden_list(graph: Graph) -> None:
    found = "\n".join(graph.urns()) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8"), (
        "a URN that changes deletes and recreates the resource on every deployed stack; "
        "if that is meant, give it an alias and run UPDATE_GOLDEN=1 pytest tests/graph"
    )


@pytest.mark.parametrize("guard", guards.GUARDS, ids=lambda guard: guard.__name__)
def test_no_guard_finds_anything(guard: Callable[[Graph], list[str]], graph_of_vaults: Graph) -> None:
    assert guard(graph_of_vaults) == []


def test_no_secret_stands_in_the_open(config: StackConfig) -> None:
    graph = run(config)
    values = [config.values[key] for key in SECRET_TEXTS] + list(config.values["appSecrets"].values())
    assert guards.plain_secrets(graph, [*values, "secret-of-aws", "secret-of-spaces"]) == []


def test_secret_inputs_are_marked_in_the_raw_request(graph: Graph) -> None:
    assert all("userData" in each.secrets for each in graph.of("Droplet"))
    assert all("connection" in each.secrets for each in graph.of("Command", "CopyToRemote"))
    assert all("stdin" in each.secrets for each in graph.of("Command") if "stdin" in each.inputs)
    assert len([each for each in graph.of("Command") if "stdin" in each.inputs]) == 2


def test_the_droplet_is_kept_resizable_and_backed_up(graph: Graph) -> None:
    (droplet,) = graph.of("Droplet")
    assert droplet.inputs["size"] == "s-2vcpu-2gb"
    assert droplet.inputs["resizeDisk"] is False
    assert droplet.inputs["monitoring"] is True
    assert droplet.inputs["backups"] is True
    assert droplet.inputs["backupPolicy"] == {"plan": "weekly", "weekday": "SUN", "hour": 8}
    assert droplet.inputs["vpcUuid"] == "vpc-id"
    assert "name" not in droplet.inputs, "a fixed name turns a replacement into delete-before-create"


def test_only_web_ports_and_configured_ssh_are_open(variant: Callable[..., Graph]) -> None:
    walls = variant(sshFrom=["198.51.100.7/32", "2001:db8::/48"]).of("Firewall")
    rules = {rule["portRange"]: rule["sourceAddresses"] for wall in walls for rule in wall.inputs["inboundRules"]}
    assert rules == {
        "80": ["0.0.0.0/0", "::/0"],
        "443": ["0.0.0.0/0", "::/0"],
        "22": ["198.51.100.7/32", "2001:db8::/48"],
    }


def test_cold_storage_is_for_data_packs_only(graph: Graph) -> None:
    (lifecycle,) = graph.of("BucketLifecycleConfiguration")
    moves = [rule for rule in lifecycle.inputs["rules"] if rule.get("transitions")]
    assert [(rule["filter"]["prefix"], rule["transitions"]) for rule in moves] == [
        ("restic/data/", [{"storageClass": "STANDARD_IA", "days": 30}])
    ]


def test_object_lock_has_a_default_retention(graph: Graph) -> None:
    (lock,) = graph.of("BucketObjectLockConfiguration")
    assert lock.inputs["rule"]["defaultRetention"] == {"mode": "GOVERNANCE", "days": 35}


def test_nothing_is_uploaded_before_the_bucket_is_protected(graph: Graph) -> None:
    jobs = _one(graph, "backup-jobs-install")
    protection = {each.urn for each in graph.of(*guards.BUCKET_PROTECTION)}
    assert protection <= jobs.dependencies


def test_steps_on_the_host_follow_one_another(graph: Graph) -> None:
    order = ["web-1-scripts", "web-1-prepare", "web-1-app-install", "backup-jobs-install"]
    for earlier, later in pairwise(order):
        assert _one(graph, earlier).urn in _one(graph, later).dependencies


def test_the_backup_owner_gets_its_environment_and_secrets_over_stdin(graph: Graph, sound: StackConfig) -> None:
    sent = json.loads(_one(graph, "backup-jobs-install").inputs["stdin"])
    env = sent["env"]
    assert env["TTS_HOST"] == "web-1"
    assert env["TTS_STACK"] == "prod"
    assert env["TTS_OFFSITE"] == "aws,spaces"
    assert (
        env["TTS_OFFSITE_AWS_REPOSITORY"] == "s3:https://s3.us-east-1.amazonaws.com/tts-prod-backup-aws-x7k2m4qp/restic"
    )
    assert env["TTS_OFFSITE_SPACES_CREDENTIALS"] == "/etc/tts/secrets/offsite-spaces"
    assert env["TTS_PG_EXPECTED"] == "auth_db,ticket_db,workflow_db,messaging_db,notification_db"
    assert set(sent["secrets"]) == {"backup-passphrase", "recovery-key", "offsite-aws", "offsite-spaces"}
    assert sent["secrets"]["backup-passphrase"] == sound.values["backupPassphrase"]
    assert "AWS_SECRET_ACCESS_KEY=secret-of-aws\n" in sent["secrets"]["offsite-aws"]


def test_retention_thresholds_and_bandwidth_reach_the_host(variant: Callable[..., Graph]) -> None:
    graph = variant(
        retention={"daily": 7, "weekly": 5, "monthly": 3},
        thresholds={"minFreePercent": 15, "maxRepositoryGb": 40},
        uploadLimitKib=512,
    )
    env = _sent(graph)["env"]
    assert {key: value for key, value in env.items() if key.startswith(("TTS_KEEP", "TTS_M", "TTS_LIMIT"))} == {
        "TTS_KEEP_DAILY": "7",
        "TTS_KEEP_WEEKLY": "5",
        "TTS_KEEP_MONTHLY": "3",
        "TTS_MIN_FREE_PERCENT": "15",
        "TTS_MAX_REPOSITORY_GB": "40",
        "TTS_MEDIA_VOLUME": "media_files",
        "TTS_MEDIA_REFERENCES": "ticket_db:ticketing_attachment.file",
        "TTS_LIMIT_UPLOAD_KIB": "512",
    }
    assert env["TTS_BROKER_SERVICE"] == "rabbitmq"
    assert graph.outputs["backup"]["retention"] == {"daily": 7, "weekly": 5, "monthly": 3}


def test_without_a_channel_the_host_has_no_alerts(graph: Graph) -> None:
    sent = _sent(graph)
    assert "TTS_ALERTS_FILE" not in sent["env"]
    assert "alerts.json" not in sent["secrets"]


def test_alerts_reach_the_host_as_a_secret_file(variant: Callable[..., Graph]) -> None:
    smtp = {"host": "smtp.example.org", "from": "tts@example.org", "to": ["ops@example.org"], "port": "2525"}
    channels = {"pingUrl": "https://example.org/hunter2/%j", "webhookUrl": "https://example.org/hunter2", "smtp": smtp}
    graph = variant(alerts=channels)
    sent = _sent(graph)
    assert sent["env"]["TTS_ALERTS_FILE"] == "/etc/tts/secrets/alerts.json"
    assert json.loads(sent["secrets"]["alerts.json"]) == {
        "ping_url": "https://example.org/hunter2/%j",
        "webhook_url": "https://example.org/hunter2",
        "smtp": {**smtp, "port": 2525},
    }
    assert guards.plain_secrets(graph, ["hunter2"]) == []


def test_further_destinations_reach_the_host_like_the_vaults(variant: Callable[..., Graph]) -> None:
    key_file = json.dumps({"type": "service_account", "private_key": "hunter2"})
    graph = variant(
        destinations=[
            {"name": "b2-eu", "repository": "b2:bucket:restic"},
            {"name": "gcs", "repository": "gs:bucket:/restic"},
            {"name": "nas", "repository": "sftp:backup@nas.example.org:/restic"},
        ],
        destinationCredentials={
            "b2-eu": {"B2_ACCOUNT_ID": "hunter2-id", "B2_ACCOUNT_KEY": "hunter2"},
            "gcs": {"GOOGLE_PROJECT_ID": "p", "GOOGLE_APPLICATION_CREDENTIALS_JSON": key_file},
        },
    )
    sent = _sent(graph)
    further = {key: value for key, value in sent["env"].items() if "_B2_" in key or "_GCS_" in key or "_NAS_" in key}
    assert sent["env"]["TTS_OFFSITE"] == "aws,spaces,b2-eu,gcs,nas"
    assert further == {
        "TTS_OFFSITE_B2_EU_REPOSITORY": "b2:bucket:restic",
        "TTS_OFFSITE_B2_EU_CREDENTIALS": "/etc/tts/secrets/offsite-b2-eu",
        "TTS_OFFSITE_GCS_REPOSITORY": "gs:bucket:/restic",
        "TTS_OFFSITE_GCS_CREDENTIALS": "/etc/tts/secrets/offsite-gcs",
        "TTS_OFFSITE_NAS_REPOSITORY": "sftp:backup@nas.example.org:/restic",
    }
    assert sent["secrets"]["offsite-b2-eu"] == "B2_ACCOUNT_ID=hunter2-id\nB2_ACCOUNT_KEY=hunter2\n"
    assert sent["secrets"]["offsite-gcs"] == (
        "GOOGLE_APPLICATION_CREDENTIALS=/etc/tts/secrets/google-gcs.json\nGOOGLE_PROJECT_ID=p\n"
    )
    assert sent["secrets"]["google-gcs.json"] == key_file
    assert "offsite-nas" not in sent["secrets"]
    assert guards.plain_secrets(graph, ["hunter2"]) == []
    b2 = graph.outputs["backup"]["offsite"][2]
    assert (b2["name"], b2["repository"]) == ("b2-eu", "b2:bucket:restic")
    assert b2.get("bucket") is None
    assert b2.get("region") is None


def test_every_secret_file_that_the_environment_names_is_sent(variant: Callable[..., Graph]) -> None:
    sent = _sent(variant(alerts={"pingUrl": "https://example.org/x"}))
    folder = "/etc/tts/secrets/"
    named = {value.removeprefix(folder) for value in sent["env"].values() if value.startswith(folder)}
    assert named | {"recovery-key"} == set(sent["secrets"])


def test_only_keys_of_vaults_that_are_on_are_handed_out(variant: Callable[..., Graph]) -> None:
    graph = variant(aws=False)
    assert set(graph.outputs["maintenance"]) == set(graph.outputs["audit"]) == {"spaces"}
    assert graph.outputs["backup"].get("lock") is None


def test_the_application_gets_its_secrets_and_the_ladders_concurrency(graph: Graph, sound: StackConfig) -> None:
    sent = json.loads(_one(graph, "web-1-app-install").inputs["stdin"])
    assert sound.values["appSecrets"].items() <= sent["env"].items()
    assert sent["env"]["WORKFLOW_CONCURRENCY"] == "4"
    assert sent["env"]["NOTIFICATION_CONCURRENCY"] == "2"
    assert sent["env"]["PUBLIC_HOST"] == "203.0.113.200"
    assert sent["directory"] == "/srv/app"
    assert sent["source"].startswith("/root/tts-app-")


def test_without_aws_the_program_says_what_is_lost(
    variant: Callable[..., Graph], caplog: pytest.LogCaptureFixture
) -> None:
    graph = variant(aws=False)
    assert graph.of("Bucket", "User", "AccessKey") == []
    assert any("append-only credential and object lock" in note for note in graph.outputs["notes"])
    assert "append-only credential and object lock" in caplog.text
    assert [each["name"] for each in graph.outputs["backup"]["offsite"]] == ["spaces"]


def test_the_outputs_are_those_that_tts_reads(graph: Graph) -> None:
    outputs: dict[str, Any] = graph.outputs
    assert outputs["rung"] == "single"
    assert outputs["url"] == "http://203.0.113.200/"
    assert outputs["entry"] == {
        "kind": "reserved_ip",
        "address": "203.0.113.200",
        "reservedIp": "203.0.113.200",
    }
    assert outputs["hosts"] == [
        {
            "name": "web-1",
            "role": "web",
            "address": "203.0.113.1",
            "privateAddress": "10.20.0.1",
            "size": "s-2vcpu-2gb",
            "dropletId": "101",
            "backupOwner": True,
        }
    ]
    assert outputs["sshUser"] == "root"
    assert outputs["application"]["envFile"] == "/etc/tts/app.env"
    assert outputs["backup"]["owner"] == "web-1"
    assert outputs["costPerMonth"]["total"] == 26.6
    assert any("retained" in note for note in outputs["notes"])
    assert graph.secret_outputs == {"maintenance", "audit"}
    assert outputs["maintenance"] == {
        "aws": {"accessKeyId": "KEY-AWS-MAINTENANCE", "secretAccessKey": "secret-of-aws-maintenance"},
        "spaces": {"accessKeyId": "KEY-SPACES-MAINTENANCE", "secretAccessKey": "secret-of-spaces-maintenance"},
    }
    assert outputs["audit"]["aws"] == {"accessKeyId": "KEY-AWS-AUDIT", "secretAccessKey": "secret-of-aws-audit"}
    assert outputs["backup"]["retention"] == {"daily": 30, "weekly": 12, "monthly": 12}
    assert outputs["backup"]["lock"] == {"mode": "governance", "days": 35}


def test_a_domain_is_the_public_name(variant: Callable[..., Graph]) -> None:
    graph = variant(domain="tickets.example.org")
    assert graph.outputs["url"] == "http://tickets.example.org/"
    assert any("A record of tickets.example.org" in note for note in graph.outputs["notes"])


def test_a_second_run_after_a_deployment_declares_the_same(config: StackConfig) -> None:
    assert run(config, deployed="single").urns() == run(config).urns()


def test_a_step_from_a_rung_further_up_is_refused_before_anything_is_declared(config: StackConfig) -> None:
    with pytest.raises(SettingsError, match="the deployed rung is 'externalised' and a step moves one rung") as caught:
        run(config, deployed="externalised")
    assert "externalised -> resized -> single" in str(caught.value)


def _sent(graph: Graph) -> dict[str, Any]:
    """What the installer of the backup jobs reads."""
    return json.loads(_one(graph, "backup-jobs-install").inputs["stdin"])


def _one(graph: Graph, name: str) -> Registered:
    (found,) = [each for each in graph.resources if each.name == name and each.custom]
    return found
