"""How an application takes state that is elsewhere: its variables, and every mistake in naming them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import placement
from compose import services, variables
from phases import Rung, row
from sections import App
from tests.unit.config import COMPOSE, StackConfig, load_settings, stack_config, write_app


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> StackConfig:
    return stack_config("prod", write_app(tmp_path_factory.mktemp("app")))


@pytest.fixture(scope="module")
def app(config: StackConfig) -> App:
    return load_settings(config).app


def found(app: App, *, own_broker: bool = True) -> dict[str, str]:
    """The rule that each mistaken key breaks."""
    text, names = services(Path(app.path), app.compose_file)
    return {each.key: each.rule for each in placement.problems(app, text, names, own_broker=own_broker)}


def test_a_complete_application_has_no_problem(app: App) -> None:
    assert found(app) == {}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"database_urls": {}}, "app.databaseUrls.auth_db"),
        ({"media_variables": {}}, "app.mediaVariables.secretKey"),
        ({"broker_service": ""}, "app.brokerService"),
        ({"broker_variable": ""}, "app.brokerVariable"),
        ({"broker_url": ""}, "app.brokerUrl"),
        ({"broker_listen_variable": ""}, "app.brokerListenVariable"),
        ({"scale_variables": {"rabbitmq": "RABBITMQ_SCALE"}}, "app.scaleVariables.postgres"),
        ({"database_ca_variable": "ca file"}, "app.databaseCaVariable"),
        ({"migrations_variable": "NOBODY_READS"}, "app.migrationsVariable"),
        ({"broker_service": "redis"}, "app.brokerService"),
        ({"broker_url": "amqp://u:${POSTGRES}@${HOST}/"}, "app.brokerUrl"),
        ({"broker_url": "amqp://localhost/"}, "app.brokerUrl"),
        ({"broker_url": "${HOST}:5672"}, "app.brokerUrl"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], key: str, app: App) -> None:
    assert key in found(replace(app, **change))


@pytest.mark.parametrize("field", ["database_urls", "media_variables", "scale_variables"])
def test_a_name_that_does_not_exist_is_named(field: str, app: App) -> None:
    broken = replace(app, **{field: {**getattr(app, field), "nobody": "BROKER_URL"}})
    assert "no such name" in found(broken).values()


def test_a_broker_of_somebody_else_needs_no_form_of_an_address(app: App) -> None:
    assert found(replace(app, broker_url="", broker_listen_variable=""), own_broker=False) == {}


def test_an_application_that_stays_on_its_host_needs_none_of_it(config: StackConfig) -> None:
    names = ("databaseUrls", "databaseCaVariable", "mediaVariables", "brokerService", "brokerUrl", "brokerVariable")
    more = ("brokerListenVariable", "migrationsVariable", "scaleVariables")
    short = {key: value for key, value in config.values["app"].items() if key not in {*names, *more}}
    loaded = load_settings(StackConfig({**config.values, "app": short}))
    assert loaded.app.database_urls == {}
    assert not row(Rung.SINGLE).outside


def test_what_needs_escaping_is_escaped(app: App) -> None:
    pool = {"user": "u@x", "password": "p/?#", "host": "db", "port": 25061.0, "name": "auth_db"}
    assert placement.database_url(app, pool) == "postgresql://u%40x:p%2F%3F%23@db:25061/auth_db"
    assert placement.broker_url(app, "10.0.0.9", {"RABBITMQ_PASSWORD": "a/b"}) == (
        "amqp://tickets:a%2Fb@10.0.0.9:5672/tickets"
    )


def test_an_application_without_a_ca_variable_uses_tls_all_the_same(app: App) -> None:
    pool = {"user": "u", "password": "p", "host": "db", "port": 25061, "name": "x"}
    url = placement.database_url(replace(app, database_ca_variable=""), pool)
    assert url == "postgresql://u:p@db:25061/x?sslmode=require"


@pytest.mark.parametrize(("url", "port"), [("amqp://u@${HOST}/", 5672), ("redis://${HOST}:6380/0", 6380)])
def test_the_brokers_port_is_that_of_its_address(url: str, port: int, app: App) -> None:
    assert placement.broker_port(replace(app, broker_url=url)) == port


def test_a_service_reads_the_variables_of_its_own_definition(app: App) -> None:
    folder = Path(app.path)
    assert variables(folder, app.compose_file, "rabbitmq") == {"RABBITMQ_LISTEN", "RABBITMQ_PASSWORD"}
    assert set(COMPOSE["services"]) == services(folder, app.compose_file)[1]
