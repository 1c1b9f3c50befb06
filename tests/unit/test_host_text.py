"""Texts that hosts receive: first-boot configuration, and the commands that run there."""

import subprocess
from pathlib import Path

import yaml

from components.backup_vault import NEVER, append_only
from components.bundle import Bundle
from components.remote import Task
from components.web_host import cloud_config


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
