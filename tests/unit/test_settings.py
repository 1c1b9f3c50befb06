"""Configuration: what is accepted, and for each mistake the message a person reads."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from phases import Rung
from reading import camel, snake
from settings import App, Retention, Settings, SettingsError, Thresholds, Vault
from tests.unit.config import (
    COMPOSE,
    SECRET_OBJECTS,
    SECRET_TEXTS,
    StackConfig,
    load_settings,
    problems,
    project_file,
    schema,
    stack_config,
    stack_file,
    write_app,
)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_app(tmp_path / "app")


@pytest.fixture
def config(app: Path) -> StackConfig:
    return stack_config("prod", app)


@pytest.fixture
def wrong(config: StackConfig) -> Callable[..., dict[str, Any]]:
    def make(deployed: str | None = None, **changes: object) -> dict[str, Any]:
        config.values |= changes
        return problems(config, deployed=deployed)

    return make


def test_a_sound_configuration_loads(config: StackConfig) -> None:
    settings = load_settings(config)
    assert settings.rung is Rung.SINGLE
    assert settings.web_size == "s-2vcpu-2gb"
    assert settings.ssh_from == ("198.18.0.1/32",)
    assert settings.app.databases == ("auth_db", "ticket_db", "workflow_db", "messaging_db", "notification_db")
    assert settings.retention == Retention(daily=30, weekly=12, monthly=12)
    assert settings.vault == Vault(lock_mode="governance", lock_days=35, cold_after_days=30, noncurrent_days=90)


def test_a_size_of_the_stack_beats_the_ladders(config: StackConfig) -> None:
    config.values["sizes"] = {"web": "s-2vcpu-4gb"}
    assert load_settings(config).web_size == "s-2vcpu-4gb"


def test_settings_are_frozen(config: StackConfig) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_settings(config).region = "ams3"  # pyright: ignore[reportAttributeAccessIssue]


def test_keys_of_the_project_file_are_the_fields_of_settings() -> None:
    assert {snake(key) for key in schema()} == {field.name for field in dataclasses.fields(Settings)}
    assert all(camel(snake(key)) == key for key in schema())


def test_every_key_has_a_type_a_default_and_a_description() -> None:
    for key, entry in schema().items():
        assert {"type", "default", "description"} <= set(entry), key
        assert len(entry["description"].strip()) > 20, key


def test_no_secret_is_declared_with_a_value() -> None:
    for key in (*SECRET_TEXTS, *SECRET_OBJECTS):
        assert schema()[key]["default"] in ("", {})
        assert "secret" not in schema()[key], (
            "with `secret: true` the engine refuses the stack before we name the command"
        )


@pytest.mark.parametrize(
    ("key", "shape"), [("app", App), ("thresholds", Thresholds), ("retention", Retention), ("vault", Vault)]
)
def test_default_objects_are_complete(key: str, shape: type[Any]) -> None:
    assert {snake(name) for name in schema()[key]["default"]} == {field.name for field in dataclasses.fields(shape)}


def test_the_project_runs_python_in_the_projects_own_environment() -> None:
    assert project_file()["runtime"] == {"name": "python", "options": {"virtualenv": ".local/venv"}}


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_a_committed_stack_file_loads(stack: str, app: Path) -> None:
    assert load_settings(stack_config(stack, app), stack=stack).rung is Rung.SINGLE


def test_the_scaled_stack_is_balanced(app: Path) -> None:
    found = load_settings(stack_config("scaled", app), stack="scaled")
    assert (found.rung, found.hosts) == (Rung.BALANCED, 2)


@pytest.mark.parametrize("stack", ["local", "prod", "scaled"])
def test_a_committed_stack_file_holds_no_secret_and_no_undeclared_key(stack: str) -> None:
    assert set(stack_file(stack)) <= set(schema()) - {*SECRET_TEXTS, *SECRET_OBJECTS}


MISTAKES: list[tuple[str, object, str, str]] = [
    ("rung", "tripled", "rung", "a rung is one of single, resized, externalised, balanced, cluster"),
    ("rung", "cluster", "rung", "rung 'cluster' is not there yet: this version builds single, resized"),
    ("region", "mars1", "region", "no such region for droplets"),
    ("spacesRegion", "nyc1", "spacesRegion", "Spaces is not offered there"),
    ("awsRegion", "Frankfurt", "awsRegion", "not the name of an AWS region"),
    ("sizes", {"web": "s-3vcpu-3gb"}, "sizes.web", "no droplet size of this name is known"),
    ("sizes", {"database": "s-2vcpu-4gb"}, "sizes.database", "no host has this role"),
    ("sshFrom", [], "sshFrom", "at least one network may use SSH"),
    ("sshFrom", ["0.0.0.0/0"], "sshFrom", "SSH must not be open to the world"),
    ("sshFrom", ["::/0"], "sshFrom", "SSH must not be open to the world"),
    ("sshFrom", ["12.0.0.0/6"], "sshFrom", "SSH must not be open to the world"),
    ("sshFrom", ["2000::/16"], "sshFrom", "SSH must not be open to the world"),
    ("sshFrom", ["11.0.0.0/8", "13.0.0.0/8"], "sshFrom", "together these open SSH to more than a /8"),
    ("sshFrom", ["198.51.100.7/24"], "sshFrom", "198.51.100.7/24 has host bits set"),
    ("sshFrom", ["my house"], "sshFrom", "'my house' does not appear to be an IPv4 or IPv6 network"),
    ("sshFrom", ["198.51.100.0/24", "198.51.100.7/32"], "sshFrom", "it overlaps 198.51.100.0/24"),
    ("vpcRange", "10.20.0.0", "vpcRange", "a VPC has between /16 and /28"),
    ("vpcRange", "10.20.0.1/20", "vpcRange", "10.20.0.1/20 has host bits set"),
    ("vpcRange", "10.0.0.0/8", "vpcRange", "a VPC has between /16 and /28"),
    ("vpcRange", "8.8.8.0/24", "vpcRange", "a VPC needs a private IPv4 range"),
    ("vpcRange", "fd00::/24", "vpcRange", "a VPC needs a private IPv4 range"),
    ("vpcRange", "172.17.0.0/16", "vpcRange", "it overlaps 172.16.0.0/12: Docker's bridge"),
    ("vpcRange", "192.168.8.0/24", "vpcRange", "it overlaps 192.168.0.0/16: Docker's second pool"),
    ("vpcRange", "10.245.0.0/16", "vpcRange", "it overlaps 10.244.0.0/15: DigitalOcean's internal range"),
    ("domain", "https://x.org/", "domain", "not a host name"),
    ("uploadLimitKib", -1, "uploadLimitKib", "between 0 and 10000000"),
    ("uploadLimitKib", "fast", "uploadLimitKib", "it is a whole number"),
    ("aws", "perhaps", "aws", "it is true or false"),
    ("retention", {"daily": 0, "weekly": 12, "monthly": 12}, "retention.daily", "between 1 and 3650"),
    ("retention", {"daily": 30, "weekly": 12}, "retention.monthly", "required: a whole number"),
    ("retention", {"daily": "30", "weekly": 12, "monthly": 1}, "retention.daily", "a whole number"),
    ("retention", {"daily": 3, "weekly": 1, "monthly": 1, "yearly": 1}, "retention.yearly", "no such key"),
    ("thresholds", {"minFreePercent": 100, "maxRepositoryGb": 10}, "thresholds.minFreePercent", "between 1 and 90"),
    ("bucketSuffix", "x" * 50, "bucketSuffix", "a bucket name has at most 63 characters, this one has 70"),
    ("bucketSuffix", "Ä_1", "bucketSuffix", "a bucket name has at least 3 lower-case letters, digits and hyphens"),
    ("sshPublicKey", "ssh-rsa AAAA", "sshPublicKey", "an ed25519 public key in one line"),
    ("retention_", 1, "retention_", "no such key"),
    ("destinations", {"b2": "b2:bucket:restic"}, "destinations", "it is a list"),
    ("destinations", ["b2:bucket:restic"], "destinations[0]", "an object"),
]


@pytest.mark.parametrize(("key", "value", "where", "rule"), MISTAKES, ids=[f"{m[0]}={m[1]}"[:40] for m in MISTAKES])
def test_a_mistake_is_named_with_its_rule(
    key: str, value: object, where: str, rule: str, wrong: Callable[..., dict[str, Any]]
) -> None:
    found = wrong(**{key: value})
    assert set(found) == {where}
    assert rule in found[where].rule
    assert found[where].fix


VAULT = {"lockMode": "governance", "lockDays": 35, "coldAfterDays": 30, "noncurrentDays": 90}
VAULT_MISTAKES: list[tuple[dict[str, object], str, str]] = [
    ({"lockMode": "none"}, "vault.lockMode", "governance or compliance"),
    ({"coldAfterDays": 7}, "vault.coldAfterDays", "between 30 and 3650"),
    ({"noncurrentDays": 10}, "vault.noncurrentDays", "at least vault.lockDays (35)"),
]


@pytest.mark.parametrize(("change", "where", "rule"), VAULT_MISTAKES)
def test_a_mistake_in_the_vault_is_named(
    change: dict[str, object], where: str, rule: str, wrong: Callable[..., dict[str, Any]]
) -> None:
    found = wrong(vault={**VAULT, **change})
    assert set(found) == {where}
    assert rule in found[where].rule


APP_MISTAKES: list[tuple[dict[str, object], str, str]] = [
    ({"path": "nowhere"}, "app.path", "no such directory"),
    ({"composeFile": "docker-compose.yml"}, "app.composeFile", "no such file"),
    ({"databaseService": "mysql"}, "app.databaseService", "compose.yaml has no such service"),
    ({"mediaVolume": "pictures"}, "app.mediaVolume", "compose.yaml declares no such volume"),
    ({"mediaReferences": ["ticket_db.file"]}, "app.mediaReferences", "DATABASE:TABLE.COLUMN"),
    ({"mediaReferences": ["a:b.c", "a:b.c"]}, "app.mediaReferences", "it is listed twice"),
    ({"databases": []}, "app.databases", "at least one database is expected"),
    ({"databases": ["a; drop"]}, "app.databases", "a name of a-z, 0-9 and _"),
    ({"databases": ["a", "a"]}, "app.databases", "it is listed twice"),
    ({"databases": "auth_db"}, "app.databases", "a list of texts"),
    ({"databaseUser": "Root!"}, "app.databaseUser", "a name of a-z, 0-9 and _"),
    ({"project": "TTS Docker"}, "app.project", "a Compose project name"),
    ({"healthPath": "health"}, "app.healthPath", "a path starts with /"),
    ({"port": 80}, "app.port", "no such key"),
    ({"healthPath": None}, "app.healthPath", "required: a text"),
]


@pytest.mark.parametrize(("change", "where", "rule"), APP_MISTAKES, ids=[f"{m[0]}"[:40] for m in APP_MISTAKES])
def test_a_mistake_in_the_application_is_named(
    change: dict[str, object], where: str, rule: str, config: StackConfig
) -> None:
    config.values["app"] = {**config.values["app"], **change}
    found = problems(config)
    assert set(found) == {where}
    assert rule in found[where].rule


COMPOSE_MISTAKES: list[tuple[str, object, str]] = [
    ("no health check", {"image": "x"}, "a service without a health check cannot be waited for"),
    ("disabled", {"healthcheck": {"test": ["CMD", "true"], "disable": True}}, "a service without a health check"),
    ("none", {"healthcheck": {"test": ["NONE"]}}, "a service without a health check"),
    ("interval only", {"healthcheck": {"interval": "5s"}}, "a service without a health check"),
]


@pytest.mark.parametrize(("name", "service", "rule"), COMPOSE_MISTAKES, ids=[m[0] for m in COMPOSE_MISTAKES])
def test_a_service_without_a_health_check_is_named(name: str, service: object, rule: str, tmp_path: Path) -> None:
    document = {**COMPOSE, "services": {**COMPOSE["services"], "worker": service}}
    found = problems(stack_config("prod", write_app(tmp_path / name, document)))
    assert set(found) == {"app.composeFile"}
    assert "worker" in found["app.composeFile"].value
    assert rule in found["app.composeFile"].rule


def test_a_health_check_may_come_from_a_yaml_anchor(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "anchored")
    (folder / "compose.yaml").write_text(
        "x-base: &base\n  healthcheck: {test: [CMD, 'true']}\n"
        "services:\n  postgres:\n    <<: *base\n  web:\n    <<: *base\nvolumes:\n  media_files:\n",
        encoding="utf-8",
    )
    assert problems(stack_config("prod", folder)) == {}


@pytest.mark.parametrize(("text", "rule"), [("a: [", "it is not YAML"), ("just words", "it is not a Compose file")])
def test_a_broken_compose_file_is_named(text: str, rule: str, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "broken")
    (folder / "compose.yaml").write_text(text, encoding="utf-8")
    assert rule in problems(stack_config("prod", folder))["app.composeFile"].rule


@pytest.mark.parametrize("key", [*SECRET_TEXTS, "bucketSuffix", "sshPublicKey", "hostPublicKey"])
def test_what_init_writes_is_missed_with_the_command_that_writes_it(
    key: str, wrong: Callable[..., dict[str, Any]]
) -> None:
    found = wrong(**{key: ""})
    assert set(found) == {key}
    assert found[key].value == "(missing)"
    assert found[key].fix == "tts init --stack prod"


def test_a_stack_before_init_is_told_one_command(config: StackConfig) -> None:
    config.values |= dict.fromkeys((*SECRET_TEXTS, "bucketSuffix", "sshPublicKey", "hostPublicKey"), "")
    config.values["appSecrets"] = {}
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert str(caught.value) == (
        "10 mistakes in the configuration of stack 'prod'; nothing was changed:\n\n"
        "  missing: sshPrivateKey, hostPrivateKey, backupPassphrase, recoveryKey, bucketSuffix, sshPublicKey, "
        "hostPublicKey, appSecrets.POSTGRES_PASSWORD, appSecrets.RABBITMQ_PASSWORD, appSecrets.SECRET_KEY\n"
        "    fix:  tts init --stack prod"
    )


def test_a_missing_secret_of_the_application_is_missed_by_name(config: StackConfig) -> None:
    del config.values["appSecrets"]["SECRET_KEY"]
    found = problems(config)
    assert set(found) == {"appSecrets.SECRET_KEY"}
    assert found["appSecrets.SECRET_KEY"].fix == "tts init --stack prod"


def test_a_secret_that_no_env_file_can_hold_is_refused_without_showing_it(config: StackConfig) -> None:
    config.values["appSecrets"]["SECRET_KEY"] = "two words $(id)"
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert "appSecrets.SECRET_KEY = (hidden)" in str(caught.value)
    assert "two words" not in str(caught.value)


def test_a_secret_that_nothing_uses_is_named(config: StackConfig) -> None:
    config.values["appSecrets"]["OLD_KEY"] = "x"
    assert set(problems(config)) == {"appSecrets.OLD_KEY"}


@pytest.mark.parametrize("key", [*SECRET_TEXTS, *SECRET_OBJECTS])
def test_an_unencrypted_secret_is_refused_without_showing_it(key: str, config: StackConfig) -> None:
    config.values |= {"destinations": [{"name": "b2", "repository": "b2:bucket:restic"}]}
    config.values["destinationCredentials"] = {"b2": {"B2_ACCOUNT_ID": "secret-1", "B2_ACCOUNT_KEY": "secret-2"}}
    config.values["alerts"] = {"pingUrl": "https://example.org/secret-3"}
    config.encrypted.discard(key)
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert [each.key for each in caught.value.problems] == [key]
    assert "unencrypted" in str(caught.value)
    assert "secret-" not in str(caught.value)


def test_no_off_site_copy_at_all_is_refused(wrong: Callable[..., dict[str, Any]]) -> None:
    found = wrong(aws=False, spaces=False)
    assert found["aws"].rule == "with spaces: false too there is no off-site copy"


def test_a_jump_of_the_ladder_names_the_legal_path(wrong: Callable[..., dict[str, Any]]) -> None:
    found = wrong(deployed="balanced")
    assert "go balanced -> externalised -> resized -> single" in found["rung"].rule


def test_a_rung_of_another_version_is_not_guessed_at(wrong: Callable[..., dict[str, Any]]) -> None:
    assert "the stack stands on 'swarm', which this version does not know" in wrong(deployed="swarm")["rung"].rule


def test_all_mistakes_come_in_one_go(config: StackConfig) -> None:
    config.values |= {"rung": "tripled", "sshFrom": ["0.0.0.0/0"], "vpcRange": "172.17.0.0/16", "backupPassphrase": ""}
    config.values |= {"retention": {"daily": 0, "weekly": -1}, "bucketSuffix": "x" * 60, "sizes": {"web": "huge"}}
    config.values["app"] = {**config.values["app"], "composeFile": "missing.yaml"}
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert {each.key for each in caught.value.problems} == {
        "rung",
        "sshFrom",
        "vpcRange",
        "backupPassphrase",
        "retention.daily",
        "retention.weekly",
        "retention.monthly",
        "bucketSuffix",
        "sizes.web",
        "app.composeFile",
    }
    text = str(caught.value)
    assert text.startswith("10 mistakes in the configuration of stack 'prod'; nothing was changed:")
    assert "\n  sshFrom = 0.0.0.0/0\n    rule: SSH must not be open to the world\n    fix:  name the addresses" in text


def test_the_error_is_one_that_the_engine_prints_without_a_traceback() -> None:
    assert issubclass(SettingsError, pulumi.RunError)
