"""Check, diff and preview of the stand-ins: the rules that hold for every resource type."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from localcloud.plugins import aws, command, digitalocean
from tests.localcloud.fake_api import FakeApi, serve_api
from tests.localcloud.plugin_support import (
    SIGNATURE,
    UNKNOWN,
    InitFailureError,
    Plugin,
    reveal,
    secret,
    struct,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

VPC, DROPLET, FIREWALL = "index/vpc:Vpc", "index/droplet:Droplet", "index/firewall:Firewall"
TAG, SSH_KEY, PROJECT = "index/tag:Tag", "index/sshKey:SshKey", "index/project:Project"
WEB = {"image": "ubuntu-24-04-x64", "size": "s-2vcpu-2gb", "region": "fra1"}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeApi, Plugin]]:
    monkeypatch.setenv("DIGITALOCEAN_HTTP_RETRY_WAIT_MIN", "0.01")
    with serve_api() as (api, url), contextlib.closing(Plugin(digitalocean.provider(""), "digitalocean")) as plugin:
        plugin.configure(apiEndpoint=url, token="token-of-the-test")
        yield api, plugin


@pytest.fixture
def plugin(cloud: tuple[FakeApi, Plugin]) -> Plugin:
    return cloud[1]


def details(caught: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    return caught.value.details() or ""


def test_an_unknown_input_is_an_error_that_names_the_closest_valid_one(plugin: Plugin) -> None:
    _, failures = plugin.check(DROPLET, {**WEB, "regions": "fra1"})
    assert failures == {"regions": "'regions' is not a valid property; did you mean 'region'?"}


def test_an_unknown_input_deep_inside_names_its_path(plugin: Plugin) -> None:
    rule = {"protocol": "tcp", "portRange": "80", "sourceAdresses": ["0.0.0.0/0"]}
    _, failures = plugin.check(FIREWALL, {"inboundRules": [rule]})
    assert failures == {
        "inboundRules[0].sourceAdresses": "'sourceAdresses' is not a valid property; did you mean 'sourceAddresses'?"
    }


def test_all_missing_inputs_are_told_at_once(plugin: Plugin) -> None:
    _, failures = plugin.check(DROPLET, {"region": "fra1"})
    assert failures == {
        "image": "missing required property 'image'",
        "size": "missing required property 'size'",
    }


@pytest.mark.parametrize(
    ("inputs", "path", "reason"),
    [
        ({"monitoring": "yes"}, "monitoring", "expected a boolean, got a string"),
        ({"tags": "web"}, "tags", "expected a list, got a string"),
        ({"tags": ["web", 7]}, "tags[1]", "expected a string, got an integer"),
        ({"backups": True, "backupPolicy": {"hour": 4.5}}, "backupPolicy.hour", "expected an integer, got a number"),
        ({"backups": True, "backupPolicy": "daily"}, "backupPolicy", "expected an object, got a string"),
    ],
)
def test_a_value_of_a_wrong_type_is_an_error(plugin: Plugin, inputs: dict[str, Any], path: str, reason: str) -> None:
    _, failures = plugin.check(DROPLET, {**WEB, **inputs})
    assert failures == {path: reason}


def test_values_not_known_yet_pass_every_type(plugin: Plugin) -> None:
    inputs, failures = plugin.check(DROPLET, {**WEB, "vpcUuid": UNKNOWN, "tags": [UNKNOWN], "backups": UNKNOWN})
    assert failures == {}
    assert inputs["vpcUuid"] == UNKNOWN


def test_a_type_that_no_stand_in_knows_is_an_error_without_a_python_stack(plugin: Plugin) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        plugin.check("index/volume:Volume", {})
    text = details(caught)
    assert "does not know the resource type 'digitalocean:index/volume:Volume'; it knows Certificate, " in text
    assert "Traceback" not in text
    assert ".py" not in text


def test_a_resource_of_a_component_is_known_by_its_own_type(plugin: Plugin) -> None:
    urn = "urn:pulumi:stack::project::app:host:Host$app:net:Network$digitalocean:index/tag:Tag::web"
    answer = plugin.stub.Check(provider_pb2.CheckRequest(urn=urn, news=struct({"name": "web"})))
    assert list(answer.failures) == []
    created = plugin.stub.Create(provider_pb2.CreateRequest(urn=urn, properties=struct({"name": "web"})))
    assert created.id == "web"


def test_a_generated_name_stays_the_same_for_the_life_of_the_resource(plugin: Plugin) -> None:
    first = plugin.inputs(VPC, {"region": "fra1"})
    assert first["name"].startswith("thing-")
    assert len(first["name"]) == len("thing-") + 7
    assert first["__defaults"] == ["name"]
    again = plugin.inputs(VPC, {"region": "ams3"}, first)
    assert again["name"] == first["name"]


def test_a_name_that_becomes_explicit_is_taken(plugin: Plugin) -> None:
    first = plugin.inputs(VPC, {"region": "fra1"})
    named = plugin.inputs(VPC, {"region": "fra1", "name": "net"}, first)
    assert (named["name"], named.get("__defaults", [])) == ("net", [])


def test_equal_inputs_are_no_difference(plugin: Plugin) -> None:
    inputs = plugin.inputs(DROPLET, {**WEB, "tags": ["a", "b"]})
    answer = plugin.diff(DROPLET, inputs, inputs)
    assert answer.changes == answer.DIFF_NONE


def test_lists_that_are_sets_do_not_differ_by_their_order(plugin: Plugin) -> None:
    rules = [
        {"protocol": "tcp", "portRange": "80", "sourceAddresses": ["0.0.0.0/0", "::/0"]},
        {"protocol": "icmp", "sourceAddresses": ["0.0.0.0/0"]},
    ]
    old = plugin.inputs(FIREWALL, {"name": "web", "inboundRules": rules})
    swapped = [rules[1], {**rules[0], "sourceAddresses": ["::/0", "0.0.0.0/0"]}]
    new = plugin.inputs(FIREWALL, {"name": "web", "inboundRules": swapped}, old)
    assert plugin.diff(FIREWALL, old, new).changes == 1  # DIFF_NONE


def test_a_change_in_place_is_an_update(plugin: Plugin) -> None:
    old = plugin.inputs(DROPLET, {**WEB, "name": "web"})
    answer = plugin.diff(DROPLET, old, {**old, "size": "s-4vcpu-8gb"})
    assert (answer.changes, list(answer.diffs), list(answer.replaces)) == (answer.DIFF_SOME, ["size"], [])


def test_a_replacement_of_a_generated_name_creates_first(plugin: Plugin) -> None:
    old = plugin.inputs(DROPLET, WEB)
    answer = plugin.diff(DROPLET, old, {**old, "userData": "#cloud-config"})
    assert list(answer.replaces) == ["userData"]
    assert not answer.deleteBeforeReplace


def test_a_replacement_of_an_explicit_name_deletes_first(plugin: Plugin) -> None:
    old = plugin.inputs(DROPLET, {**WEB, "name": "web"})
    answer = plugin.diff(DROPLET, old, {**old, "userData": "#cloud-config"})
    assert list(answer.replaces) == ["userData"]
    assert answer.deleteBeforeReplace


def test_ipv6_can_be_turned_on_in_place_but_not_off(plugin: Plugin) -> None:
    off, on = plugin.inputs(DROPLET, WEB), plugin.inputs(DROPLET, {**WEB, "ipv6": True})
    assert list(plugin.diff(DROPLET, off, on).replaces) == []
    assert list(plugin.diff(DROPLET, on, off).replaces) == ["ipv6"]


def test_ignored_changes_are_no_difference(plugin: Plugin) -> None:
    old = plugin.inputs(DROPLET, {**WEB, "name": "web"})
    new = {**old, "image": "debian-12-x64", "size": "s-4vcpu-8gb"}
    assert list(plugin.diff(DROPLET, old, new, ignore=("image",)).diffs) == ["size"]
    assert plugin.diff(DROPLET, old, new, ignore=("image", "size")).changes == 1  # DIFF_NONE


def test_an_unknown_value_counts_as_a_change_of_its_property(plugin: Plugin) -> None:
    old = plugin.inputs(DROPLET, {**WEB, "name": "web", "vpcUuid": "a"})
    assert list(plugin.diff(DROPLET, old, {**old, "vpcUuid": UNKNOWN}).replaces) == ["vpcUuid"]


def test_a_previewed_creation_knows_its_inputs_and_nothing_else(cloud: tuple[FakeApi, Plugin]) -> None:
    api, plugin = cloud
    inputs = plugin.inputs(DROPLET, {**WEB, "name": "web"})
    resource_id, state = plugin.create(DROPLET, inputs, preview=True)
    assert resource_id == ""
    assert (state["size"], state["resizeDisk"]) == ("s-2vcpu-2gb", True)
    assert {state[name] for name in ("ipv4Address", "priceMonthly", "dropletUrn")} == {UNKNOWN}
    assert api.calls == []


def test_a_previewed_update_calls_nothing_and_shows_the_new_inputs(cloud: tuple[FakeApi, Plugin]) -> None:
    api, plugin = cloud
    inputs = plugin.inputs(VPC, {"region": "fra1", "name": "net"})
    resource_id, state = plugin.create(VPC, inputs)
    api.calls.clear()
    shown = plugin.update(VPC, resource_id, state, inputs, {**inputs, "description": "new"}, preview=True)
    assert (shown["description"], shown["vpcUrn"]) == ("new", state["vpcUrn"])
    assert api.calls == []


def test_a_secret_output_is_marked_wherever_it_appears(plugin: Plugin) -> None:
    token = "index/spacesKey:SpacesKey"
    inputs = plugin.inputs(token, {"name": "k", "grants": [{"bucket": "b", "permission": "read"}]})
    resource_id, state = plugin.create(token, inputs)
    assert state["secretKey"] == secret("spaces-secret")
    _, found, _ = plugin.read(token, resource_id, state, inputs)
    assert found["secretKey"] == secret("spaces-secret")
    assert plugin.update(token, resource_id, found, inputs, {**inputs, "name": "n"})["secretKey"] == found["secretKey"]


def test_a_droplet_that_does_not_become_active_stays_in_the_state(cloud: tuple[FakeApi, Plugin]) -> None:
    api, plugin = cloud
    broken = {"droplet": {"locked": False, "status": "archive"}}
    api.failures.append((r"GET /v2/droplets/\d+", 200, broken))
    with pytest.raises(InitFailureError, match="unexpected state 'archive', wanted target 'active'") as caught:
        plugin.create(DROPLET, plugin.inputs(DROPLET, {**WEB, "name": "web"}))
    assert caught.value.resource_id in api.objects["droplets"]
    assert reveal(caught.value.properties)["name"] == "web"


def test_the_answer_of_the_api_is_shown_with_its_request(cloud: tuple[FakeApi, Plugin]) -> None:
    api, plugin = cloud
    error = {"id": "unprocessable_entity", "message": "range overlaps", "request_id": "a1b2"}
    api.failures.append(("POST /v2/vpcs", 422, error))
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(VPC, plugin.inputs(VPC, {"region": "fra1"}))
    text = details(caught)
    assert text.startswith("Error creating VPC: POST http://127.0.0.1:")
    assert text.endswith('/v2/vpcs: 422 (request "a1b2") range overlaps')
    assert "token-of-the-test" not in text


def test_what_only_the_real_plugin_s_state_means_is_not_carried_into_another_state(
    cloud: tuple[FakeApi, Plugin],
) -> None:
    _, plugin = cloud
    inputs = plugin.inputs(VPC, {"region": "fra1", "description": "one"})
    number, state = plugin.create(VPC, inputs)
    state["__pulumi_raw_state_delta"] = {"obj": {"ps": {}}}
    assert "__pulumi_raw_state_delta" not in plugin.read(VPC, number, state, inputs)[1]
    news = {**inputs, "description": "two"}
    assert "__pulumi_raw_state_delta" not in plugin.update(VPC, number, state, inputs, news)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_api_is_asked_again(cloud: tuple[FakeApi, Plugin], status: int) -> None:
    api, plugin = cloud
    api.failures += [("POST /v2/vpcs", status, {"message": "busy"})] * 2
    plugin.create(VPC, plugin.inputs(VPC, {"region": "fra1"}))
    assert api.writes() == ["POST /v2/vpcs"] * 3


@pytest.mark.parametrize("status", [400, 401, 404, 422, 501])
def test_a_refusal_is_final(cloud: tuple[FakeApi, Plugin], status: int) -> None:
    api, plugin = cloud
    api.failures += [("POST /v2/vpcs", status, {"message": "no"})]
    with pytest.raises(grpc.RpcError):
        plugin.create(VPC, plugin.inputs(VPC, {"region": "fra1"}))
    assert api.writes() == ["POST /v2/vpcs"]


def test_an_api_that_stays_busy_is_given_up(cloud: tuple[FakeApi, Plugin]) -> None:
    api, plugin = cloud
    api.failures += [("POST /v2/vpcs", 503, {"message": "busy"})] * 9
    with pytest.raises(grpc.RpcError, match=r"giving up after 5 attempt\(s\)"):
        plugin.create(VPC, plugin.inputs(VPC, {"region": "fra1"}))


@pytest.mark.parametrize(
    "url",
    ["https://api.digitalocean.com", "http://192.0.2.7:80", "http://no-such-host.invalid", "ftp://127.0.0.1", ""],
)
def test_an_endpoint_that_is_not_loopback_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIGITALOCEAN_API_URL", raising=False)
    with contextlib.closing(Plugin(digitalocean.provider(""), "digitalocean")) as plugin:
        with pytest.raises(grpc.RpcError) as caught:
            plugin.configure(apiEndpoint=url, token="token-of-the-test")
        text = details(caught)
        assert "install the real plugin for a real cloud" in text or "not an http or https URL" in text
        assert "token-of-the-test" not in text


AWS_KEYS = {"accessKey": "a", "secretKey": "hidden-word", "region": "us-east-1"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (AWS_KEYS, "the AWS endpoint for s3 (AWS_ENDPOINT_URL) is not set, so the real cloud is meant"),
        (
            {**AWS_KEYS, "endpoints": '[{"s3": "http://127.0.0.1:1", "iam": "https://iam.amazonaws.com"}]'},
            "the AWS endpoint for iam (AWS_ENDPOINT_URL) is 'https://iam.amazonaws.com', which is not on this machine",
        ),
        ({**AWS_KEYS, "endpoints": "s3"}, "the AWS provider's endpoints are not a list"),
    ],
)
def test_aws_itself_is_refused(settings: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.closing(Plugin(aws.provider(""), "aws")) as plugin:
        with pytest.raises(grpc.RpcError) as caught:
            plugin.configure(**settings)
        assert details(caught).startswith(reason)
        assert "hidden-word" not in details(caught)


def test_inline_settings_of_a_bucket_name_the_resource_to_use() -> None:
    with contextlib.closing(Plugin(aws.provider(""), "aws")) as plugin:
        _, failures = plugin.check("s3/bucket:Bucket", {"versioning": {"enabled": True}})
    assert failures == {
        "versioning": "'versioning' of a bucket is deprecated; use the resource aws.s3.BucketVersioning"
    }


def test_a_redirect_does_not_lead_away(cloud: tuple[FakeApi, Plugin]) -> None:
    api, plugin = cloud
    api.headers["Location"] = "http://192.0.2.7/v2/vpcs"
    api.failures.append(("POST /v2/vpcs", 302, {"message": "elsewhere"}))
    with pytest.raises(grpc.RpcError, match="302 elsewhere"):
        plugin.create(VPC, plugin.inputs(VPC, {"region": "fra1"}))


def test_a_provider_setting_that_does_not_exist_is_an_error(plugin: Plugin) -> None:
    request = provider_pb2.CheckRequest(urn="u", news=struct({"apiEndpont": "x"}))
    (failure,) = plugin.stub.CheckConfig(request).failures
    assert failure.reason == "'apiEndpont' is not a setting of the provider digitalocean"


def test_an_asset_keeps_its_hash_through_the_plugin() -> None:
    asset = {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "path": "/tmp/x", "hash": "abc"}
    inputs = {"connection": {"host": "127.0.0.1"}, "source": asset, "remotePath": "/x"}
    with contextlib.closing(Plugin(command.provider("127.0.0.1:1"), "command")) as plugin:
        checked = plugin.inputs("remote:CopyToRemote", inputs)
        assert checked["source"] == asset
        moved = {**checked, "source": {**asset, "path": "/elsewhere/x"}}
        assert plugin.diff("remote:CopyToRemote", checked, moved).changes == 1  # DIFF_NONE
        changed = {**checked, "source": {**asset, "hash": "def"}}
        assert list(plugin.diff("remote:CopyToRemote", checked, changed).diffs) == ["source"]
