"""Further destinations and alerts: what is accepted, and for each mistake the message, which shows no secret."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import alerts
from reading import plain_parts
from settings import Destination, SettingsError
from tests.unit.config import StackConfig, load_settings, problems, stack_config, write_app

B2 = {"name": "b2-eu", "repository": "b2:bucket:restic"}
GCS = {"name": "gcs", "repository": "gs:bucket:/restic"}
KEY_FILE = json.dumps({"type": "service_account", "private_key": "hunter2"})
OPENED: dict[str, Any] = {
    "b2-eu": {"B2_ACCOUNT_ID": "hunter2-id", "B2_ACCOUNT_KEY": "hunter2"},
    "gcs": {"GOOGLE_PROJECT_ID": "hunter2-project", "GOOGLE_APPLICATION_CREDENTIALS_JSON": KEY_FILE},
}
SMTP: dict[str, Any] = {"host": "smtp.example.org", "from": "tts@example.org", "to": ["ops@example.org"]}


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    found = stack_config("prod", write_app(tmp_path / "app"))
    found.values |= {"destinations": [B2, GCS], "destinationCredentials": OPENED}
    found.values["alerts"] = {"pingUrl": "https://example.org/hunter2/%j", "smtp": SMTP}
    return found


@pytest.fixture
def wrong(config: StackConfig) -> Callable[..., dict[str, Any]]:
    def make(**changes: object) -> dict[str, Any]:
        config.values |= changes
        found = problems(config)
        assert not any("hunter2" in f"{each.value} {each.rule} {each.fix}" for each in found.values())
        assert all(each.fix for each in found.values())
        return found

    return make


def test_sound_destinations_and_alerts_load(config: StackConfig) -> None:
    settings = load_settings(config)
    assert settings.destinations == (Destination("b2-eu", "b2:bucket:restic"), Destination("gcs", "gs:bucket:/restic"))
    assert set(settings.destination_credentials) == {"b2-eu", "gcs"}
    assert settings.alerts is not None


def test_no_channel_is_no_alert(config: StackConfig) -> None:
    config.values["alerts"] = {}
    assert load_settings(config).alerts is None


@pytest.mark.parametrize(
    "repository",
    [
        "s3:https://s3.example.org/bucket/restic",
        "s3:s3.example.org/bucket",
        "s3:http://127.0.0.1:9000/bucket/restic",
        "sftp:backup@host.example.org:/restic",
        "sftp://backup@host.example.org:2222//restic",
        "rest:https://host.example.org:8000/",
        "azure:container:/restic",
        "swift:container:/restic",
    ],
)
def test_restics_addresses_are_accepted(repository: str, wrong: Callable[..., dict[str, Any]]) -> None:
    found = wrong(destinations=[{"name": "other", "repository": repository}], destinationCredentials={})
    assert all(each.value == "(missing)" and "needs it" in each.rule for each in found.values())


ADDRESSES: list[tuple[str, str, str]] = [
    ("B2", "b2:bucket:restic", "destinations[0].name"),
    ("2b", "b2:bucket:restic", "destinations[0].name"),
    ("aws", "b2:bucket:restic", "destinations[0].name"),
    ("local", "b2:bucket:restic", "destinations[0].name"),
    ("other", "/mnt/disk/restic", "destinations[0].repository"),
    ("other", "rclone:remote:restic", "destinations[0].repository"),
    ("other", "gs:bucket", "destinations[0].repository"),
    ("other", "s3:bucket", "destinations[0].repository"),
    ("other", "s3:https://s3.example.org/bucket/two words", "destinations[0].repository"),
    ("other", "rest:https://user:hunter2@host.example.org/", "destinations[0].repository"),
]


@pytest.mark.parametrize(("name", "repository", "where"), ADDRESSES)
def test_a_mistake_in_a_destination_is_named(
    name: str, repository: str, where: str, wrong: Callable[..., dict[str, Any]]
) -> None:
    credentials = {name: {**OPENED["b2-eu"], **OPENED["gcs"], "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}}
    assert set(wrong(destinations=[{"name": name, "repository": repository}], destinationCredentials=credentials)) == {
        where
    }


def test_two_destinations_of_one_name_or_one_address_are_refused(wrong: Callable[..., dict[str, Any]]) -> None:
    assert set(wrong(destinations=[B2, GCS, B2])) == {"destinations[2].name", "destinations[2].repository"}


def test_a_destination_has_a_name_and_a_repository_and_nothing_else(wrong: Callable[..., dict[str, Any]]) -> None:
    found = wrong(destinations=[{**B2, "region": "eu"}, {"name": "gcs"}])
    assert set(found) >= {"destinations[0].region", "destinations[1].repository"}


CREDENTIALS: list[tuple[object, str, str]] = [
    ({"B2_ACCOUNT_ID": "x"}, "b2-eu.B2_ACCOUNT_KEY", "b2 needs it"),
    ({}, "b2-eu.B2_ACCOUNT_ID", "b2 needs it"),
    ("hunter2", "b2-eu", "an object of variables and texts"),
    ({**OPENED["b2-eu"], "RESTIC_PASSWORD": "hunter2"}, "b2-eu.RESTIC_PASSWORD", "not a variable"),
    ({**OPENED["b2-eu"], "LD_PRELOAD": "/hunter2"}, "b2-eu.LD_PRELOAD", "not a variable"),
    ({**OPENED["b2-eu"], "B2_ACCOUNT_KEY": "hunter2\nPATH=/x"}, "b2-eu.B2_ACCOUNT_KEY", "one line of text"),
    ({**OPENED["b2-eu"], "B2_ACCOUNT_KEY": " hunter2"}, "b2-eu.B2_ACCOUNT_KEY", "one line of text"),
    (
        {**OPENED["b2-eu"], "GOOGLE_APPLICATION_CREDENTIALS": "/root/hunter2"},
        "b2-eu.GOOGLE_APPLICATION_CREDENTIALS",
        "the host has no such file",
    ),
    (
        {**OPENED["b2-eu"], "GOOGLE_APPLICATION_CREDENTIALS_JSON": "/root/hunter2.json"},
        "b2-eu.GOOGLE_APPLICATION_CREDENTIALS_JSON",
        "the content of a JSON key file",
    ),
]


@pytest.mark.parametrize(("variables", "where", "rule"), CREDENTIALS, ids=[each[1] for each in CREDENTIALS])
def test_a_mistake_in_the_credentials_is_named_and_not_shown(
    variables: object, where: str, rule: str, wrong: Callable[..., dict[str, Any]]
) -> None:
    found = wrong(destinationCredentials={**OPENED, "b2-eu": variables})
    assert rule in found[f"destinationCredentials.{where}"].rule


def test_credentials_of_no_destination_are_named(wrong: Callable[..., dict[str, Any]]) -> None:
    assert set(wrong(destinations=[B2])) == {"destinationCredentials.gcs"}


def test_a_destination_alone_is_an_off_site_copy(wrong: Callable[..., dict[str, Any]]) -> None:
    assert wrong(aws=False, spaces=False) == {}
    assert set(wrong(destinations=[], destinationCredentials={})) == {"aws"}


ALERTS: list[tuple[dict[str, object], str]] = [
    ({"slack": "https://example.org/hunter2"}, "slack"),
    ({"pingUrl": "hunter2"}, "pingUrl"),
    ({"pingUrl": ""}, "pingUrl"),
    ({"pingUrl": "ftp://example.org/hunter2"}, "pingUrl"),
    ({"webhookUrl": "https://"}, "webhookUrl"),
    ({"webhookUrl": "https://example.org/hunter2 x"}, "webhookUrl"),
    ({"webhookUrl": 7}, "webhookUrl"),
    ({"smtp": "hunter2"}, "smtp"),
    ({"smtp": {**SMTP, "tls": True}}, "smtp.tls"),
    ({"smtp": {**SMTP, "host": "https://hunter2"}}, "smtp.host"),
    ({"smtp": {**SMTP, "port": 0}}, "smtp.port"),
    ({"smtp": {**SMTP, "port": "smtp"}}, "smtp.port"),
    ({"smtp": {**SMTP, "port": True}}, "smtp.port"),
    ({"smtp": {**SMTP, "from": "hunter2"}}, "smtp.from"),
    ({"smtp": {**SMTP, "from": "a@b.org\nBcc: hunter2@b.org"}}, "smtp.from"),
    ({"smtp": {**SMTP, "to": []}}, "smtp.to"),
    ({"smtp": {**SMTP, "to": "ops@example.org"}}, "smtp.to"),
    ({"smtp": {**SMTP, "user": "hunter2"}}, "smtp.password"),
    ({"smtp": {**SMTP, "password": "hunter2"}}, "smtp.user"),
    ({"smtp": {"from": "a@b.org", "to": ["a@b.org"]}}, "smtp.host"),
]


@pytest.mark.parametrize(("change", "where"), ALERTS, ids=[str(each[0])[:60] for each in ALERTS])
def test_a_mistake_in_the_alerts_is_named_and_not_shown(
    change: dict[str, object], where: str, wrong: Callable[..., dict[str, Any]]
) -> None:
    found = wrong(alerts=change)
    assert set(found) == {f"alerts.{where}"}
    assert found[f"alerts.{where}"].value == "(hidden)"


def test_hosts_are_told_the_channels_that_are_set() -> None:
    assert alerts.content({"webhookUrl": "https://example.org/x"}) == {"webhook_url": "https://example.org/x"}
    assert alerts.content({"smtp": SMTP})["smtp"] == {**SMTP, "port": 587}


def test_a_port_that_was_set_encrypted_comes_as_text_and_is_a_number_for_the_host(config: StackConfig) -> None:
    config.values["alerts"] = {"smtp": {**SMTP, "port": "2525"}}
    assert problems(config) == {}
    assert alerts.content(config.values["alerts"])["smtp"]["port"] == 2525


STACK_FILE = """
config:
  tts:alerts:
    pingUrl:
      secure: v1:x
    webhookUrl: https://example.org/hunter2
    smtp: {to: [ops@example.org], password: {secure: v1:x}}
  tts:destinationCredentials:
    secure: v1:x
"""


def test_a_part_that_is_not_encrypted_is_refused_though_others_are(
    config: StackConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text(STACK_FILE, encoding="utf-8")
    monkeypatch.setattr("pulumi.get_root_directory", lambda: str(tmp_path))
    found = problems(config)
    assert set(found) == {"alerts.webhookUrl", "alerts.smtp.to[0]"}
    assert all("unencrypted" in each.rule and each.value == "(hidden)" for each in found.values())


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ({"a": {"secure": "x"}, "b": {"c": [1, {"secure": "x"}]}}, [".b.c[0]"]),
        ({"a": {"secure": "x"}}, []),
        ({"secure": "x"}, []),
        ({"a": "x"}, []),
        (None, []),
    ],
)
def test_the_parts_that_are_not_encrypted_are_found(value: object, parts: list[str]) -> None:
    assert list(plain_parts(value)) == parts


def test_a_stack_with_mistakes_in_secrets_shows_none_of_them(config: StackConfig) -> None:
    config.values["alerts"] = {"pingUrl": "hunter2", "smtp": {**SMTP, "from": "hunter2"}}
    config.values["destinationCredentials"] = {"b2-eu": {"B2_ACCOUNT_ID": "hunter2\n"}, "gcs": OPENED["gcs"]}
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert "hunter2" not in str(caught.value)
    assert "pulumi config set --secret --path 'alerts.pingUrl' --stack prod" in str(caught.value)
