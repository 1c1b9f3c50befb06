"""The rung `externalised` as an engine sees it: what is new, what stays, what is said to whom, and the way down."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from settings import SettingsError
from tests.graph import guards
from tests.graph.climbs import CLUSTER, before, changes, on, one, replacements
from tests.graph.engine import CERTIFICATE, Graph
from tests.unit.config import SECRET_TEXTS, StackConfig

GOLDEN = Path(__file__).with_name("externalised.urns")
DATABASES = ["auth_db", "ticket_db", "workflow_db", "messaging_db", "notification_db"]


@pytest.fixture(scope="module")
def outside(sound: StackConfig, scratch: Path) -> Graph:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTS_LOCAL_DIR", str(scratch / "local"))
        patch.setattr("phases.built", lambda: ("externalised",))
        return on(sound, "externalised", "resized")


@pytest.fixture(scope="module")
def resized(sound: StackConfig, scratch: Path) -> Graph:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTS_LOCAL_DIR", str(scratch / "local"))
        return on(sound, "resized", "resized")


def test_the_urns_are_those_of_the_golden_list(outside: Graph) -> None:
    found = "\n".join(outside.urns()) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_no_guard_finds_anything(outside: Graph) -> None:
    assert [finding for guard in guards.GUARDS for finding in guard(outside)] == []


def test_nothing_of_the_lower_rung_is_lost_or_replaced(resized: Graph, outside: Graph) -> None:
    assert set(resized.urns()) < set(outside.urns())
    assert replacements(resized, outside) == []
    assert changes(resized, outside) == {
        "web-1-app-install": {"create", "stdin"},
        "backup-jobs-install": {"stdin"},
        "project": {"resources"},
    }


def test_a_cluster_that_is_named_after_its_rung_is_caught(
    config: StackConfig, outside: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The design that must not be: what holds the data is called otherwise on each rung."""
    made = outside_module().ManagedPostgres
    monkeypatch.setattr("outside.ManagedPostgres", lambda name, args: made(f"{name}-{config.values['rung']}", args))
    config.values["rung"] = "balanced"
    renamed = on(config, "balanced", before("externalised"))
    lost = guards.lost_on_the_way(outside, renamed)
    assert "db" in {urn.rpartition(":")[2] for urn in lost}


def outside_module() -> Any:
    import outside  # noqa: PLC0415 the name is also that of a fixture

    return outside


def test_the_cluster_is_highly_available_private_and_of_the_application_version(outside: Graph) -> None:
    cluster = one(outside, "db", "DatabaseCluster")
    assert cluster.inputs == {
        "engine": "pg",
        "version": "15",
        "region": "fra1",
        "size": "db-s-1vcpu-2gb",
        "nodeCount": 3,
        "privateNetworkUuid": "vpc-id",
    }
    (wall,) = outside.of("DatabaseFirewall")
    assert wall.inputs["rules"] == [{"type": "tag", "value": "tts-prod-web"}]
    assert wall.options["deleted_with"] == cluster.urn, "an empty rule list is open to the world"


def test_one_standby_is_a_change_in_place(config: StackConfig, outside: Graph) -> None:
    plan = {"size": "db-s-2vcpu-4gb", "standbys": 1, "poolSize": 8}
    changed = on(config, "externalised", before("externalised"), database=plan)
    assert changes(outside, changed) == {"db": {"nodeCount", "size"}}
    assert replacements(outside, changed) == []


def test_every_database_has_an_owner_and_a_pool_in_transaction_mode(outside: Graph) -> None:
    assert {each.inputs["name"] for each in outside.of("DatabaseDb")} == set(DATABASES)
    assert {each.inputs["name"] for each in outside.of("DatabaseUser")} == set(DATABASES)
    pools = [each.inputs for each in outside.of("DatabaseConnectionPool")]
    assert {(pool["dbName"], pool["user"], pool["mode"], pool["size"]) for pool in pools} == {
        (name, name, "transaction", 8) for name in DATABASES
    }


def test_media_are_private_versioned_and_readable_for_the_applications_own_pages(outside: Graph) -> None:
    bucket = one(outside, "media", "SpacesBucket")
    assert bucket.inputs["name"] == "tts-prod-media-x7k2m4qp"
    assert bucket.inputs["forceDestroy"] is False
    (cors,) = outside.of("SpacesBucketCorsConfiguration")
    assert cors.inputs["corsRules"][0]["allowedOrigins"] == ["http://203.0.113.200"]
    assert one(outside, "media", "SpacesKey").inputs["grants"] == [
        {"bucket": "tts-prod-media-x7k2m4qp", "permission": "readwrite"}
    ]


def test_the_broker_is_reached_by_web_hosts_alone_and_knows_no_secret_but_its_own(
    outside: Graph, sound: StackConfig
) -> None:
    rules = one(outside, "broker", "Firewall").inputs["inboundRules"]
    assert [(rule["portRange"], rule.get("sourceTags"), rule.get("sourceAddresses")) for rule in rules] == [
        ("5672", ["tts-prod-web"], None),
        ("22", None, sound.values["sshFrom"]),
    ]
    assert one(outside, "broker", "Droplet").inputs["tags"] == ["tts-prod-broker"]
    sent = json.loads(one(outside, "broker-app-install").inputs["stdin"])
    assert sent["services"] == ["rabbitmq"]
    assert "sides" not in sent
    assert sent["env"] == {
        "RABBITMQ_PASSWORD": sound.values["appSecrets"]["RABBITMQ_PASSWORD"],
        "POSTGRES_PASSWORD": "not-on-this-host",
        "SECRET_KEY": "not-on-this-host",
        "RABBITMQ_LISTEN": "10.20.0.90:5672",
    }


def test_the_first_host_is_told_of_both_sides_and_gets_the_variables_of_after(
    outside: Graph, sound: StackConfig
) -> None:
    sent = json.loads(one(outside, "web-1-app-install").inputs["stdin"])
    assert sent["placement"] == "outside"
    assert sent["sides"]["host"] == {
        "database": {"service": "postgres", "user": "postgres"},
        "media": {"volume": "media_files"},
        "broker": {"service": "rabbitmq"},
    }
    away = sent["sides"]["outside"]
    assert away["max_stop_seconds"] == 60
    assert away["database"]["owners"]["auth_db"] == {"user": "auth_db", "password": "secret-of-auth_db"}
    assert {key: away["database"][key] for key in ("host", "port", "user", "password", "ca", "maintenance")} == {
        "host": "private-db.example.org",
        "port": 25060,
        "user": "doadmin",
        "password": "secret-of-db",
        "ca": CERTIFICATE,
        "maintenance": "defaultdb",
    }
    assert away["media"] == {
        "endpoint": "https://fra1.digitaloceanspaces.com",
        "region": "fra1",
        "bucket": "tts-prod-media-x7k2m4qp",
        "access_key": "KEY-MEDIA",
        "secret_key": "secret-of-media",
    }
    env = sent["env"]
    pool = "private-db.example.org:25061"
    assert env["AUTH_DATABASE_URL"] == f"postgresql://auth_db:secret-of-auth_db@{pool}/auth_db"
    assert env["DATABASE_CA_FILE"] == "/etc/tts/database-ca.crt"
    assert env["MEDIA_CA_FILE"] == "/etc/ssl/certs/ca-certificates.crt"
    assert (env["MEDIA_BUCKET"], env["MEDIA_ACCESS_KEY_ID"]) == ("tts-prod-media-x7k2m4qp", "KEY-MEDIA")
    password = sound.values["appSecrets"]["RABBITMQ_PASSWORD"]
    assert env["BROKER_URL"] == f"amqp://tickets:{password}@10.20.0.90:5672/tickets"
    assert (env["POSTGRES_SCALE"], env["RABBITMQ_SCALE"], env["RUN_MIGRATIONS"]) == ("0", "0", "1")


def test_below_the_rung_nothing_points_outside(resized: Graph) -> None:
    sent = json.loads(one(resized, "web-1-app-install").inputs["stdin"])
    assert (sent["placement"], set(sent["sides"])) == ("host", {"host"})
    assert not any(key.endswith(("_URL", "_SCALE")) for key in sent["env"])


def test_backups_follow_the_data(outside: Graph) -> None:
    sent = json.loads(one(outside, "backup-jobs-install").inputs["stdin"])
    env, secrets = sent["env"], sent["secrets"]
    assert (env["TTS_PG_MODE"], env["TTS_PG_CREDENTIALS"]) == ("managed", "/etc/tts/secrets/database")
    assert secrets["database"] == (
        "PGHOST=private-db.example.org\nPGPORT=25060\nPGUSER=doadmin\nPGPASSWORD=secret-of-db\nPGDATABASE=defaultdb\n"
        "PGSSLMODE=verify-full\nPGSSLROOTCERT=/etc/tts/secrets/database-ca\n"
    )
    assert secrets["database-ca"] == CERTIFICATE
    assert env["TTS_MEDIA_BUCKET"] == "tts-prod-media-x7k2m4qp"
    assert env["TTS_MEDIA_CREDENTIALS"] == "/etc/tts/secrets/media"
    assert "AWS_SECRET_ACCESS_KEY=secret-of-media\n" in secrets["media"]


def test_no_secret_stands_in_the_open(outside: Graph, sound: StackConfig) -> None:
    values = [sound.values[key] for key in SECRET_TEXTS] + list(sound.values["appSecrets"].values())
    values += ["secret-of-db", "secret-of-media", *(f"secret-of-{name}" for name in DATABASES)]
    assert guards.plain_secrets(outside, values) == []


def test_the_move_waits_for_what_it_moves_to(outside: Graph) -> None:
    install = one(outside, "web-1-app-install")
    for name, kind in (("db", "DatabaseCluster"), ("db", "DatabaseFirewall"), ("auth_db", "DatabaseConnectionPool")):
        assert one(outside, name, kind).urn in install.dependencies
    assert one(outside, "media", "SpacesBucketCorsConfiguration").urn in install.dependencies
    assert one(outside, "broker-app-install").urn in install.dependencies
    assert install.urn in one(outside, "backup-jobs-install").dependencies
    trust = one(outside, "web-1-app-trust")
    assert trust.urn in install.dependencies
    assert json.loads(trust.inputs["stdin"]) == {"path": "/etc/tts/database-ca.crt", "certificates": CERTIFICATE}


def test_a_broker_of_somebody_else_needs_no_host(config: StackConfig) -> None:
    graph = on(config, "externalised", "resized", brokerUrl="amqps://u:hunter2@mq.example.org/v")
    assert [each for each in graph.resources if each.name.startswith("broker")] == []
    sent = json.loads(one(graph, "web-1-app-install").inputs["stdin"])
    assert sent["env"]["BROKER_URL"] == "amqps://u:hunter2@mq.example.org/v"
    assert guards.plain_secrets(graph, ["hunter2"]) == []


def test_the_outputs_name_the_cluster_the_bucket_and_every_host(outside: Graph) -> None:
    found = outside.outputs
    assert {key: found["database"][key] for key in ("id", "size", "nodes", "state")} == {
        "id": "c1u5t3r",
        "size": "db-s-1vcpu-2gb",
        "nodes": 3,
        "state": "in use",
    }
    assert found["media"] == {"bucket": "tts-prod-media-x7k2m4qp", "region": "fra1"}
    assert [(host["name"], host["role"]) for host in found["hosts"]] == [("web-1", "web"), ("broker", "broker")]
    assert found["costPerMonth"]["total"] == 165.95


def test_a_step_down_holds_all_of_it_and_tells_the_host_where_to_fetch_it(config: StackConfig, outside: Graph) -> None:
    down = on(config, "resized", before("externalised"))
    assert down.urns() == outside.urns()
    assert guards.unprotected(down) == []
    sent = json.loads(one(down, "web-1-app-install").inputs["stdin"])
    assert (sent["placement"], set(sent["sides"])) == ("host", {"host", "outside"})
    assert "BROKER_URL" not in sent["env"]
    assert json.loads(one(down, "backup-jobs-install").inputs["stdin"])["env"]["TTS_PG_MODE"] == "container"
    assert down.outputs["database"]["state"] == "held"
    assert any("tts release-old" in note for note in down.outputs["notes"])


def test_what_is_held_is_held_further_down_too(config: StackConfig, outside: Graph) -> None:
    assert on(config, "single", before("resized", state="held")).urns() == outside.urns()


def test_a_climb_that_failed_after_the_cluster_was_made_can_go_back(config: StackConfig, outside: Graph) -> None:
    assert on(config, "resized", {"rung": "resized", "database": CLUSTER}).urns() == outside.urns()


def test_a_release_takes_the_protection_first_and_the_rest_next(
    config: StackConfig, outside: Graph, resized: Graph
) -> None:
    first = on(config, "resized", before("resized", state="held"), release="c1u5t3r")
    assert first.urns() == outside.urns()
    assert first.outputs["database"]["state"] == "releasing"
    bucket = one(first, "media", "SpacesBucket")
    assert (bucket.options["protect"], bucket.options["retain_on_delete"]) == (False, False)
    assert bucket.inputs["forceDestroy"] is True
    free = {urn.rpartition(":")[2] for urn in guards.unprotected(first)}
    assert free == {"db", "media", "broker", *DATABASES}
    second = on(config, "resized", before("resized", state="releasing"), release="c1u5t3r")
    assert second.urns() == resized.urns()
    assert "database" not in second.outputs


def test_a_release_of_another_cluster_releases_nothing(config: StackConfig, outside: Graph) -> None:
    held = on(config, "resized", before("resized", state="held"), release="an-earlier-one")
    assert held.outputs["database"]["state"] == "held"
    assert held.urns() == outside.urns()


def test_what_is_in_use_is_not_released(config: StackConfig) -> None:
    with pytest.raises(SettingsError, match="this database cluster is in use"):
        on(config, "externalised", before("externalised"), release="c1u5t3r")


def test_the_cluster_is_in_the_outputs_as_soon_as_it_exists(outside: Graph) -> None:
    """The engine keeps what a failed update told it, beside what it knew: the whole of the outputs comes last."""
    first, *_, last = outside.told
    assert first == {"database": last["database"]}
    assert last["rung"] == "externalised"
