"""Texts that hosts receive: first-boot configuration, and the commands that run there."""

import subprocess
from pathlib import Path

import yaml

from components.bundle import Bundle
from components.host import cloud_config
from components.offsite import env_text, key_files
from components.remote import Task
from components.vault_policies import NEVER, UNDOING, append_only, audit, maintenance


def test_user_data_is_cloud_config_with_the_hosts_own_keys_and_nothing_else_secret() -> None:
    private = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ndef\n-----END OPENSSH PRIVATE KEY-----\n"
    text = cloud_config(private, "ssh-ed25519 AAAA host")
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == {
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": private, "ed25519_public": "ssh-ed25519 AAAA host"},
        "ssh_pwauth": False,
        "disable_root": False,
        "locale": "C.UTF-8",
    }


def test_a_task_is_one_bounded_bash_command_that_parses() -> None:
    host, app = Bundle("host", Path("h.tar"), "aaa"), Bundle("app", Path("a.tar"), "bbb")
    command = Task("install-app", [host, app], {"env": {"SECRET_KEY": "hunter2"}}, minutes=7).command
    assert command.startswith("timeout --kill-after=30 7m bash -c ")
    assert command.endswith('exec bash /root/tts-host-aaa/install-app"')
    assert "/root/tts-app-bbb.tar" in command
    assert "hunter2" not in command
    subprocess.run(["bash", "-n", "-c", command], check=True)


def test_the_host_may_add_to_the_vault_and_take_nothing_away() -> None:
    statements = {each["Sid"]: each for each in append_only("arn:aws:s3:::b")["Statement"]}
    assert statements["Append"]["Action"] == ["s3:GetObject", "s3:PutObject"]
    assert statements["Unlock"]["Resource"] == ["arn:aws:s3:::b/restic/locks/*"]
    assert statements["Never"]["Effect"] == "Deny"
    assert {"s3:DeleteObjectVersion", "s3:BypassGovernanceRetention", "s3:PutBucketVersioning"} <= set(NEVER)


def test_maintenance_prolongs_locks_and_can_undo_nothing() -> None:
    statements = {each["Sid"]: each for each in maintenance("arn:aws:s3:::b")["Statement"]}
    assert {"s3:DeleteObject", "s3:PutObject", "s3:GetObjectRetention", "s3:PutObjectRetention"} <= set(
        statements["Keep"]["Action"]
    )
    assert statements["Keep"]["Resource"] == ["arn:aws:s3:::b/restic/*"]
    assert set(statements["Never"]["Action"]) == set(UNDOING) == set(NEVER) - {"s3:PutObjectRetention"}
    assert "s3:DeleteObjectVersion" in UNDOING


def test_an_audit_is_denied_everything_that_is_not_reading() -> None:
    *allowed, never = audit("arn:aws:s3:::b")["Statement"]
    assert (never["Effect"], never["NotAction"], never["Resource"]) == ("Deny", ["s3:Get*", "s3:List*"], ["*"])
    actions = [action for statement in allowed for action in statement["Action"]]
    assert all(action.startswith(("s3:Get", "s3:List")) for action in actions)
    assert all("*" not in action for action in actions)


def test_a_key_file_of_a_destination_becomes_a_file_that_the_variables_name() -> None:
    variables = {"GOOGLE_PROJECT_ID": "p", "GOOGLE_APPLICATION_CREDENTIALS_JSON": '{"type": "service_account"}'}
    assert env_text("gcs", variables) == (
        "GOOGLE_APPLICATION_CREDENTIALS=/etc/tts/secrets/google-gcs.json\nGOOGLE_PROJECT_ID=p\n"
    )
    assert key_files("gcs", variables) == {"google-gcs.json": '{"type": "service_account"}'}
    assert key_files("b2", {"B2_ACCOUNT_ID": "x"}) == {}
