"""Each guard is given a design that breaks its rule, and has to see it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_digitalocean as digitalocean
import pytest
from pulumi.runtime.mocks import MockMonitor
from pulumi_command import remote

from components import backup_vault, vault_policies
from components.base import Component
from tests.graph import guards
from tests.graph.engine import Cloud, Graph, run
from tests.unit.config import StackConfig

Mutation = Callable[[Graph], Graph]


def change(kind: str, *, named: str = "", options: dict[str, Any] | None = None, **inputs: Any) -> Mutation:
    """A mutation: every resource of `kind` (or the one `named`) with other inputs or options; None takes one away."""

    def mutate(graph: Graph) -> Graph:
        changed = [
            replace(
                each,
                inputs={key: value for key, value in {**each.inputs, **inputs}.items() if value is not None},
                options={**each.options, **(options or {})},
            )
            if each in graph.of(kind) and named in {"", each.name}
            else each
            for each in graph.resources
        ]
        return replace(graph, resources=changed)

    return mutate


def without(kind: str) -> Mutation:
    """A mutation: no resource of `kind`."""
    return lambda graph: replace(graph, resources=[each for each in graph.resources if each not in graph.of(kind)])


def expiring(prefix: str, **expiration: Any) -> list[dict[str, Any]]:
    return [{"id": "old", "status": "Enabled", "filter": {"prefix": prefix}, "expiration": expiration}]


def spaces_rule(prefix: str) -> list[dict[str, Any]]:
    return [{"id": "old", "enabled": True, "prefix": prefix, "expiration": {"days": 30}}]


def policy(action: str, resource: str) -> str:
    return json.dumps({"Statement": [{"Sid": "Own", "Effect": "Allow", "Action": [action], "Resource": [resource]}]})


def more(document: Callable[[str], dict[str, Any]], action: str, resource: str = "arn:aws:s3:::b/restic/*") -> str:
    """The policy with one statement too many."""
    sound = document("arn:aws:s3:::b")
    return json.dumps({**sound, "Statement": [*sound["Statement"], *json.loads(policy(action, resource))["Statement"]]})


def less(document: Callable[[str], dict[str, Any]]) -> str:
    """The policy without what it denies."""
    sound = document("arn:aws:s3:::b")
    return json.dumps({**sound, "Statement": [each for each in sound["Statement"] if each["Effect"] == "Allow"]})


def spaces_grant(permission: str) -> list[dict[str, str]]:
    return [{"bucket": "b", "permission": permission}]


NOT_RETAINED = {"retain_on_delete": False}
ANYBODY = [{"type": "ip_addr", "value": "0.0.0.0/0"}]
BROKEN: list[tuple[Callable[[Graph], list[str]], str, Mutation]] = [
    (guards.unprotected, "a droplet without protection", change("Droplet", options={"protect": False})),
    (guards.unprotected, "a bucket without protection", change("Bucket", options={"protect": False})),
    (guards.unprotected, "a reserved IP without protection", change("ReservedIp", options={"protect": False})),
    (guards.unprotected, "versioning without protection", change("BucketVersioning", options={"protect": False})),
    (
        guards.destroyed_with_the_stack,
        "a Spaces bucket that is destroyed",
        change("SpacesBucket", options={"retain_on_delete": False}),
    ),
    (
        guards.replaceable_droplets,
        "a droplet that a new key replaces",
        change("Droplet", options={"ignore_changes": ["image", "userData"]}),
    ),
    (guards.unguarded_resizes, "a droplet that is resized unasked", change("Droplet", options={"before_update": []})),
    (guards.unguarded_resizes, "a disk that grows for good", change("Droplet", resizeDisk=True)),
    (guards.unguarded_resizes, "a hook that is not there", lambda graph: replace(graph, hooks={})),
    (guards.unwalled_droplets, "a droplet outside the firewall", change("Droplet", tags=[])),
    (guards.weak_buckets, "a bucket without versions", without("BucketVersioning")),
    (guards.weak_buckets, "a bucket without encryption", without("BucketServerSideEncryptionConfiguration")),
    (guards.weak_buckets, "a bucket without a lock", without("BucketObjectLockConfiguration")),
    (guards.weak_buckets, "a bucket that may be public", change("BucketPublicAccessBlock", blockPublicAcls=False)),
    (guards.weak_buckets, "a bucket without clean-up", change("BucketLifecycleConfiguration", rules=[])),
    (guards.weak_buckets, "a bucket that may be emptied", change("Bucket", forceDestroy=True)),
    (guards.weak_buckets, "a public Spaces bucket", change("SpacesBucket", acl="public-read")),
    (guards.weak_buckets, "a Spaces bucket without versions", change("SpacesBucket", versioning={"enabled": False})),
    (
        guards.expiring_backups,
        "expiry in the repository",
        change("BucketLifecycleConfiguration", rules=expiring("restic/data/", days=30)),
    ),
    (
        guards.expiring_backups,
        "expiry by date in the whole bucket",
        change("BucketLifecycleConfiguration", rules=expiring("", date="2027-01-01")),
    ),
    (
        guards.expiring_backups,
        "expiry in Spaces",
        change("SpacesBucket", lifecycleRules=spaces_rule("restic/")),
    ),
    (
        guards.powerful_credentials,
        "a user that may delete packs",
        change("UserPolicy", policy=policy("s3:DeleteObject", "arn:aws:s3:::b/restic/*")),
    ),
    (
        guards.powerful_credentials,
        "a user that may do anything",
        change("UserPolicy", policy=policy("s3:*", "arn:aws:s3:::b/restic/locks/*")),
    ),
    (
        guards.powerful_credentials,
        "a host that may change a retention",
        change("UserPolicy", named="aws", policy=more(vault_policies.append_only, "s3:PutObjectRetention")),
    ),
    (
        guards.powerful_credentials,
        "a host with the rights of maintenance",
        change("UserPolicy", named="aws", policy=json.dumps(vault_policies.maintenance("arn:aws:s3:::b"))),
    ),
    (
        guards.powerful_credentials,
        "a host to which nothing is denied",
        change("UserPolicy", named="aws", policy=less(vault_policies.append_only)),
    ),
    (
        guards.powerful_credentials,
        "maintenance that deletes versions",
        change(
            "UserPolicy",
            named="aws-maintenance",
            policy=more(vault_policies.maintenance, "s3:DeleteObjectVersion"),
        ),
    ),
    (
        guards.powerful_credentials,
        "maintenance to which nothing is denied",
        change("UserPolicy", named="aws-maintenance", policy=less(vault_policies.maintenance)),
    ),
    (
        guards.powerful_credentials,
        "an audit that writes",
        change("UserPolicy", named="aws-audit", policy=more(vault_policies.audit, "s3:PutObject")),
    ),
    (
        guards.powerful_credentials,
        "an audit to which nothing is denied",
        change("UserPolicy", named="aws-audit", policy=less(vault_policies.audit)),
    ),
    (guards.powerful_credentials, "a Spaces key for every bucket", change("SpacesKey", grants=[])),
    (
        guards.powerful_credentials,
        "a Spaces key with all rights",
        change("SpacesKey", named="spaces", grants=spaces_grant("fullaccess")),
    ),
    (
        guards.powerful_credentials,
        "an audit that writes to Spaces",
        change("SpacesKey", named="spaces-audit", grants=spaces_grant("readwrite")),
    ),
    (
        guards.operators_keys_on_hosts,
        "a host with the key of maintenance",
        change("Command", named="backup-jobs-install", stdin='{"secrets": {"x": "secret-of-aws-maintenance"}}'),
    ),
    (
        guards.operators_keys_on_hosts,
        "a droplet with the key of the audit",
        change("Droplet", userData="secret-of-spaces-audit"),
    ),
    (guards.operators_keys_on_hosts, "no keys at all", lambda graph: replace(graph, outputs={})),
    (guards.careless_commands, "a command without triggers", change("Command", triggers=[])),
    (guards.careless_commands, "a copy without the droplet's id", change("CopyToRemote", triggers=["hash"])),
    (guards.careless_commands, "a command that logs", change("Command", logging="stdoutAndStderr")),
    (guards.careless_commands, "a command that deletes", change("Command", delete="rm -rf /srv/app")),
    (guards.careless_commands, "output in the state", change("Command", options={"additional_secret_outputs": set()})),
    (guards.careless_commands, "dialling a dead host", change("Command", options={"deleted_with": ""})),
]


UPPER: list[tuple[Callable[[Graph], list[str]], str, Mutation]] = [
    (guards.unprotected, "a cluster without protection", change("DatabaseCluster", options={"protect": False})),
    (guards.unprotected, "a database without protection", change("DatabaseDb", options={"protect": False})),
    (guards.unprotected, "a broker without protection", change("Droplet", named="broker", options={"protect": False})),
    (guards.unprotected, "a first host without", change("Droplet", named="web-1", options={"protect": False})),
    (guards.destroyed_with_the_stack, "media", change("SpacesBucket", named="media", options=NOT_RETAINED)),
    (guards.open_databases, "a database for the world", without("DatabaseFirewall")),
    (guards.open_databases, "a database for an address", change("DatabaseFirewall", rules=ANYBODY)),
    (guards.open_databases, "a database for nobody, which is all", change("DatabaseFirewall", rules=[])),
    (guards.open_databases, "a database outside the VPC", change("DatabaseCluster", privateNetworkUuid=None)),
    (guards.open_databases, "a database of any version", change("DatabaseCluster", version=None)),
    (guards.weak_buckets, "public media", change("SpacesBucket", named="media", acl="public-read")),
    (guards.unwalled_droplets, "a broker outside its firewall", change("Droplet", named="broker", tags=["x"])),
]


@pytest.mark.parametrize(("guard", "mutation"), [(guard, made) for guard, _, made in UPPER], ids=[b[1] for b in UPPER])
def test_a_guard_sees_what_it_guards_against_further_up(
    guard: Callable[[Graph], list[str]], mutation: Mutation, balanced: Graph
) -> None:
    assert guard(balanced) == []
    assert guard(mutation(balanced)) != []


def test_ports_that_are_open_to_the_world_are_seen(balanced: Graph) -> None:
    opened = change("Firewall", named="web-ports", inboundRules=[{"portRange": "80", "sourceAddresses": ["::/0"]}])
    assert guards.open_to_the_world(opened(balanced)) == {("tts-prod-web", "80")}


@pytest.mark.parametrize(
    ("guard", "mutation"), [(guard, made) for guard, _, made in BROKEN], ids=[b[1] for b in BROKEN]
)
def test_a_guard_sees_what_it_guards_against(
    guard: Callable[[Graph], list[str]], mutation: Mutation, graph: Graph
) -> None:
    assert guard(graph) == []
    assert guard(mutation(graph)) != []


@pytest.mark.parametrize(
    "rule",
    [
        {"protocol": "tcp", "portRange": "22", "sourceAddresses": ["0.0.0.0/0"]},
        {"protocol": "tcp", "portRange": "1-1024", "sourceAddresses": ["::/0"]},
        {"protocol": "tcp", "portRange": "all", "sourceAddresses": ["0.0.0.0/0"]},
    ],
)
def test_ssh_for_the_world_is_seen(rule: dict[str, Any], graph: Graph) -> None:
    assert guards.open_ssh(change("Firewall", inboundRules=[rule])(graph)) != []


def test_every_guard_is_broken_on_purpose_somewhere() -> None:
    here = {guard.__name__ for guard, _, _ in (*BROKEN, *UPPER)} | {"orphans", "unfinished", "open_ssh"}
    assert {guard.__name__ for guard in guards.GUARDS} == here


class _Unfinished(Component):
    def __init__(self) -> None:
        super().__init__("broken:Unfinished", "unfinished")
        digitalocean.Tag("inside", name="x", opts=self.child())


def test_an_orphan_and_an_unfinished_component_are_seen(config: StackConfig) -> None:
    def program() -> None:
        digitalocean.Tag("alone", name="y")
        _Unfinished()

    graph = run(config, program=program)
    assert [urn.rpartition("::")[2] for urn in guards.orphans(graph)] == ["alone"]
    assert [urn.rpartition("::")[2] for urn in guards.unfinished(graph)] == ["unfinished"]


def test_a_vault_whose_lifecycle_deletes_packs_is_seen(config: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = backup_vault.lifecycle

    def broken(cold: int, noncurrent: int) -> list[Any]:
        rules = sound(cold, noncurrent)
        rules[1].expiration = backup_vault.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=365)
        return rules

    monkeypatch.setattr(backup_vault, "lifecycle", broken)
    assert guards.expiring_backups(run(config)) != []


def test_components_without_protection_are_seen(config: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Component, "stateful", Component.child)
    kinds = {urn.split("$")[-1].split("::")[0].rpartition(":")[2] for urn in guards.unprotected(run(config))}
    assert kinds == {"Vpc", "Droplet", "ReservedIp"}


def test_a_secret_in_the_open_is_seen(config: StackConfig) -> None:
    def program() -> None:
        digitalocean.Tag("leak", name=pulumi.Output.from_input("hunter2"))
        pulumi.export("leak", "hunter2")

    assert len(guards.plain_secrets(run(config, program=program), ["hunter2"])) == 2


def test_a_command_without_a_host_fails(config: StackConfig) -> None:
    def program() -> None:
        nowhere = remote.ConnectionArgs(host=pulumi.Output.from_input("").apply(lambda _: ""))
        remote.Command("lost", connection=nowhere, create="true")

    with pytest.raises(Exception, match="lost has no host to connect to"):
        run(config, program=program)


class _Phase(Component):
    """The design that must not be: the rung is a component class, and the host a child of it."""

    def __init__(self, rung: str) -> None:
        super().__init__(f"phase:{rung.capitalize()}", "platform")
        _Host(self)
        self.finish()


class _Host(pulumi.ComponentResource):
    def __init__(self, parent: Component) -> None:
        super().__init__("tts:web_host:WebHost", "web-1", None, pulumi.ResourceOptions(parent=parent))
        digitalocean.Droplet("web-1", image="i", size="s", opts=pulumi.ResourceOptions(parent=self, protect=True))
        self.register_outputs({})


def test_a_component_class_per_rung_is_caught(config: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def climb() -> tuple[Graph, Graph]:
        return run(config, program=lambda: _Phase("single") and None), run(
            config, program=lambda: _Phase("resized") and None
        )

    assert guards.lost_on_the_way(*climb()) != []
    # The SDK's own rule keeps the immediate parent only and would call the same design safe.
    monkeypatch.setattr("tests.graph.engine.RecordingMonitor.make_urn", MockMonitor.make_urn)
    assert guards.lost_on_the_way(*climb()) == []


def test_the_monitor_follows_the_engines_urn_rule(config: StackConfig) -> None:
    (droplet,) = run(config, program=lambda: _Phase("single") and None).of("Droplet")
    assert droplet.urn == (
        "urn:pulumi:prod::tts::tts:phase:Single$tts:web_host:WebHost$digitalocean:index/droplet:Droplet::web-1"
    )


def test_no_invoke_passes_unplanned() -> None:
    with pytest.raises(AssertionError, match="nothing was planned"):
        Cloud({}).call(type("Call", (), {"token": "digitalocean:index/getImages:getImages"})())  # pyright: ignore[reportArgumentType]
