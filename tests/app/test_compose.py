"""What the Compose file and the Dockerfiles promise, read without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets"
SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD")
CONTAINERS = {
    "postgres": "tts-postgres",
    "rabbitmq": "tts-rabbitmq",
    "auth-service": "tts-auth",
    "ticket-service": "tts-ticket",
    "workflow-api": "tts-workflow-api",
    "messaging-service": "tts-messaging",
    "notification-service": "tts-notification",
    "workflow-worker": "tts-workflow-worker",
    "notification-worker": "tts-notification-worker",
    "nginx": "tts-nginx",
}
TEXT = (EXAMPLE / "compose.yaml").read_text()
PROJECT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]


def test_services_and_containers_have_the_guides_names() -> None:
    assert {name: service["container_name"] for name, service in SERVICES.items()} == CONTAINERS
    assert PROJECT["name"] == "tts-docker"


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_service_is_checked_restarted_and_cannot_fill_the_disk_with_logs(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["healthcheck"]["retries"] >= 2
    assert service["restart"] == "unless-stopped"
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_service_waits_for_health_and_not_for_a_start(name: str) -> None:
    conditions = {need["condition"] for need in SERVICES[name].get("depends_on", {}).values()}
    assert conditions <= {"service_healthy"}


def test_only_nginx_is_reachable_from_outside() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "nginx": ["80:80"],
        "rabbitmq": ["${RABBITMQ_LISTEN:-127.0.0.1:}:5672"],
    }
    assert not [name for name, service in SERVICES.items() if "network_mode" in service or "privileged" in service]


def test_a_secret_has_no_default_and_is_written_nowhere() -> None:
    for secret in SECRETS:
        uses = re.findall(rf"\$\{{{secret}([^}}]*)\}}", TEXT)
        assert uses, secret
        assert all(use.startswith(":?") for use in uses), secret
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN", key):
                assert str(value).startswith("${"), f"{name}: {key}"


def test_every_image_is_built_here_and_never_pulled_by_its_short_name() -> None:
    for name, service in SERVICES.items():
        assert service["pull_policy"] == "never", name
        assert "build" in service, name


def test_worker_concurrency_comes_from_the_rung() -> None:
    assert SERVICES["workflow-worker"]["command"] == ["worker", "workflow", "${WORKFLOW_CONCURRENCY:-4}"]
    assert SERVICES["notification-worker"]["command"] == ["worker", "notification", "${NOTIFICATION_CONCURRENCY:-2}"]


def test_only_the_ticket_service_has_the_media() -> None:
    holders = [name for name, service in SERVICES.items() if "media_files:/app/media" in service.get("volumes", [])]
    assert holders == ["ticket-service"]


@pytest.mark.parametrize("image", ["app", "postgres", "rabbitmq", "nginx"])
def test_an_image_needs_debian_and_the_classic_builder_only(image: str) -> None:
    lines = (EXAMPLE / "images" / image / "Dockerfile").read_text().splitlines()
    assert {line.split()[1] for line in lines if line.startswith("FROM")} == {"debian:bookworm-slim"}
    assert not [line for line in lines if re.search(r"--(mount|chmod|link)\b|<<|^# syntax=", line)]


def test_python_packages_are_pinned_with_hashes() -> None:
    text = (EXAMPLE / "src" / "requirements.txt").read_text()
    packages = re.findall(r"^[a-z0-9-]+==\S+ \\$", text, re.MULTILINE)
    assert len(packages) > 10
    assert text.count("==") == len(packages)
    assert "--require-hashes" in (EXAMPLE / "images" / "app" / "Dockerfile").read_text()
