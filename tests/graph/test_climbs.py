"""The whole ladder, up and down: what holds data keeps its identity, and nothing is replaced on the way."""

from itertools import pairwise
from typing import Any

import pytest

from settings import SettingsError
from tests.graph import guards
from tests.graph.climbs import CHAIN, ZONE, before, on, one, replacements
from tests.graph.engine import Graph
from tests.unit.config import StackConfig, problems, public_key

UP = list(pairwise(CHAIN))


def stateful(graph: Graph) -> set[str]:
    """URNs of everything that holds state."""
    return {each.urn for each in graph.of(*guards.STATEFUL, *guards.BUCKET_PROTECTION)}


@pytest.mark.parametrize(("low", "high"), UP)
def test_a_step_up_keeps_the_identity_of_all_that_holds_state(low: str, high: str, climb: dict[str, Graph]) -> None:
    assert guards.lost_on_the_way(climb[low], climb[high]) == []
    assert replacements(climb[low], climb[high]) == []


@pytest.mark.parametrize(("low", "high"), UP)
def test_a_step_down_keeps_it_too(low: str, high: str, climb: dict[str, Graph], config: StackConfig) -> None:
    down = on(config, low, before(high), **ZONE)
    kept = stateful(climb[high]) - {each.urn for each in climb[high].resources if each.name == "web-2"}
    assert stateful(down) >= kept
    assert replacements(climb[high], down) == []


def test_a_changed_input_that_replaces_is_seen(climb: dict[str, Graph], config: StackConfig) -> None:
    elsewhere = on(config, "balanced", region="ams3", spacesRegion="ams3", vpcRange="10.99.0.0/20", **ZONE)
    found = {finding.rpartition("::")[2] for finding in replacements(climb["balanced"], elsewhere)}
    assert {"vpc: ipRange", "vpc: region", "web-1: region", "entry: region", "media: region", "spaces: region"} <= found


FIXED: dict[str, tuple[Any, str]] = {
    "region": ("ams3", "droplets, VPC, reserved IP and database cluster would be replaced"),
    "spacesRegion": ("ams3", "the Spaces buckets of backups and media would be replaced"),
    "awsRegion": ("eu-central-1", "the AWS bucket of the backups would be replaced"),
    "vpcRange": ("10.99.0.0/20", "the VPC would be replaced"),
    "bucketSuffix": ("another1", "the buckets of backups and media would be left behind"),
    "sshPublicKey": (public_key(), "nobody could reach them"),
    "hostPublicKey": (public_key(), "every connection would be refused"),
}


@pytest.mark.parametrize("key", FIXED)
def test_a_fixed_key_cannot_change_once_deployed(key: str, climb: dict[str, Graph], config: StackConfig) -> None:
    deployed = climb["balanced"].outputs
    value, loss = FIXED[key]
    with pytest.raises(SettingsError) as caught:
        on(config, "balanced", deployed, **{**ZONE, key: value})
    (problem,) = caught.value.problems
    assert problem.key == key
    assert loss in problem.rule
    assert problem.fix.startswith(f"pulumi config set {key} ")


def test_every_key_that_is_called_fixed_is_refused_or_secret(climb: dict[str, Graph]) -> None:
    from tests.unit.config import schema  # noqa: PLC0415

    called = {key for key, entry in schema().items() if "[fixed]" in entry["description"]}
    assert called == set(FIXED) | {"hostPrivateKey"}
    assert set(climb["single"].outputs["fixed"]) == set(FIXED)


@pytest.mark.parametrize("option", ["image", "sshKeys", "userData"])
def test_a_changed_image_key_or_first_boot_changes_no_droplet(option: str, climb: dict[str, Graph]) -> None:
    assert all(option in each.options["ignore_changes"] for each in climb["balanced"].of("Droplet"))


@pytest.mark.parametrize(
    ("deployed", "wanted", "way"),
    [
        ("single", "externalised", "single -> resized -> externalised"),
        ("resized", "balanced", "resized -> externalised -> balanced"),
        ("balanced", "resized", "balanced -> externalised -> resized"),
        ("externalised", "single", "externalised -> resized -> single"),
    ],
)
def test_a_jump_is_refused_with_the_legal_way(deployed: str, wanted: str, way: str, config: StackConfig) -> None:
    config.values["rung"] = wanted
    assert way in problems(config, deployed=deployed)["rung"].rule


def test_a_second_run_changes_nothing_on_any_rung(climb: dict[str, Graph], config: StackConfig) -> None:
    for rung in CHAIN:
        again = on(config, rung, climb[rung].outputs, **ZONE)
        assert {each.urn: each.inputs for each in again.resources} == {
            each.urn: each.inputs for each in climb[rung].resources
        }


def test_hosts_beyond_the_rungs_own_number_are_added_and_taken_away_alone(
    climb: dict[str, Graph], config: StackConfig
) -> None:
    four = on(config, "balanced", before("balanced"), webHosts=4, **ZONE)
    new = set(four.urns()) - set(climb["balanced"].urns())
    assert all("web-3" in urn or "web-4" in urn for urn in new)
    assert one(four, "web-4", "Droplet").inputs["tags"] == ["tts-prod-web"]
