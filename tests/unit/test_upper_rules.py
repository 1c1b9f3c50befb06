"""The rules of what only the upper rungs have."""

from typing import Any

import pytest

import upper_rules
from deployed import Deployed
from phases import Rung, row
from rules import Problem
from tests.unit.config import StackConfig, load_settings, problems, stack_config, write_app

PLAN = {"size": "db-s-1vcpu-2gb", "standbys": 2, "poolSize": 8}


@pytest.fixture
def config(tmp_path_factory: pytest.TempPathFactory) -> StackConfig:
    return stack_config("prod", write_app(tmp_path_factory.mktemp("app")))


@pytest.mark.parametrize(
    ("change", "key", "rule"),
    [
        ({"database": {**PLAN, "size": "db-huge"}}, "database.size", "no database plan of this name"),
        ({"database": {**PLAN, "size": "db-s-1vcpu-1gb"}}, "database.size", "standbys need a plan of 2 GiB"),
        ({"database": {**PLAN, "standbys": 3}}, "database.standbys", "0 to 2 standbys"),
        ({"database": {**PLAN, "poolSize": 9}}, "database.poolSize", "5 pools share 47 connections: 1 to 8 each"),
        ({"database": {**PLAN, "poolSize": 0}}, "database.poolSize", "1 to 8 each"),
        ({"dnsZone": "example.org"}, "dnsZone", "without a domain"),
        ({"domain": "a.example.net", "dnsZone": "example.org"}, "dnsZone", "not in this zone"),
        ({"domain": "an-example.org", "dnsZone": "example.org"}, "dnsZone", "not in this zone"),
        ({"webHosts": 1}, "webHosts", "0, or 2 to 20"),
        ({"webHosts": 21}, "webHosts", "0, or 2 to 20"),
        ({"brokerUrl": "mq.example.org"}, "brokerUrl", "a URL"),
        ({"maxStopSeconds": 0}, "maxStopSeconds", "between 5 and 86400"),
        ({"sizes": {"db": "s-2vcpu-4gb"}}, "sizes.db", "no host has this role"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], key: str, rule: str, config: StackConfig) -> None:
    config.values |= change
    assert rule in problems(config)[key].rule


@pytest.mark.parametrize(
    "change",
    [
        {"database": {"size": "db-s-1vcpu-1gb", "standbys": 0, "poolSize": 3}},
        {"domain": "example.org", "dnsZone": "example.org"},
        {"domain": "a.b.example.org", "dnsZone": "example.org"},
        {"webHosts": 20},
        {"brokerUrl": "amqps://u:p@mq.example.org/v"},
        {"sizes": {"broker": "s-2vcpu-2gb"}},
    ],
)
def test_what_is_right_passes(change: dict[str, Any], config: StackConfig) -> None:
    config.values |= change
    assert problems(config) == {}


def test_a_broker_address_in_the_open_is_refused_and_not_shown(config: StackConfig) -> None:
    config.values["brokerUrl"] = "amqps://u:hunter2@mq.example.org/v"
    config.encrypted.remove("brokerUrl")
    problem = problems(config)["brokerUrl"]
    assert "unencrypted" in problem.rule
    assert "hunter2" not in repr(problem)


def test_a_cluster_only_grows(config: StackConfig) -> None:
    config.values["database"] = {**PLAN, "size": "db-s-1vcpu-2gb"}
    deployed = Deployed("single", database_size="db-s-2vcpu-4gb")
    assert "refuses to make a cluster smaller" in problems(config, deployed=deployed)["database.size"].rule
    assert problems(config, deployed=Deployed("single", database_size="db-s-1vcpu-1gb")) == {}


def test_one_host_stands_where_no_balancer_does(config: StackConfig) -> None:
    config.values["webHosts"] = 4
    assert load_settings(config).hosts == 1


def test_the_least_number_of_hosts_is_that_of_the_rung() -> None:
    assert list(upper_rules.web_hosts(2, row(Rung.BALANCED))) == []
    assert list(upper_rules.web_hosts(0, row(Rung.BALANCED))) == []


def test_only_what_is_not_in_use_is_released() -> None:
    assert list(upper_rules.release("c1", "", "prod")) == []
    (problem,) = upper_rules.release("c1", "c1", "prod")
    assert problem == Problem(
        "release",
        "c1",
        "this database cluster is in use on the rung that you ask for",
        "pulumi config rm release --stack prod",
    )
