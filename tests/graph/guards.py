"""What must hold for every graph that the program declares. Each guard returns its findings, worded for a person."""

import json
import re
from collections.abc import Iterable
from typing import Any

import naming
from components.vault_policies import NEVER, UNDOING
from tests.graph.engine import REMOTE, Graph, Registered, texts

DATABASE_PARTS = ("DatabaseCluster", "DatabaseDb", "DatabaseUser", "DatabaseFirewall")
STATEFUL = ("Droplet", "ReservedIp", "Vpc", "Bucket", "SpacesBucket", "Volume", *DATABASE_PARTS)
STATELESS_HOST = re.compile(r"web-(?!1$)\d+")
"""Web hosts that hold nothing: all but the first."""
BUCKET_PROTECTION = (
    "BucketVersioning",
    "BucketServerSideEncryptionConfiguration",
    "BucketPublicAccessBlock",
    "BucketOwnershipControls",
    "BucketObjectLockConfiguration",
    "BucketLifecycleConfiguration",
)
WORLD = {"0.0.0.0/0", "::/0"}


def orphans(graph: Graph) -> list[str]:
    """Resources that descend from no component."""
    components = {each.urn for each in graph.resources if not each.custom}
    return [each.urn for each in graph.resources if each.custom and each.parent not in components]


def unfinished(graph: Graph) -> list[str]:
    """Components that never registered their outputs."""
    return [each.urn for each in graph.resources if not each.custom and each.urn not in graph.finished]


def unprotected(graph: Graph) -> list[str]:
    """Resources with state that the engine would delete or replace."""
    kept = [each for each in graph.of(*STATEFUL, *BUCKET_PROTECTION) if not STATELESS_HOST.fullmatch(each.name)]
    return [each.urn for each in kept if not each.options["protect"]]


def destroyed_with_the_stack(graph: Graph) -> list[str]:
    """Buckets, and what protects them, that `pulumi destroy` would take along."""
    kept = graph.of("Bucket", "SpacesBucket", *BUCKET_PROTECTION)
    return [each.urn for each in kept if not each.options["retain_on_delete"]]


def replaceable_droplets(graph: Graph) -> list[str]:
    """Droplets that a new image, key or first-boot text would replace."""
    dangerous = {"image", "sshKeys", "userData"}
    return [each.urn for each in graph.of("Droplet") if not dangerous <= set(each.options["ignore_changes"])]


def unguarded_resizes(graph: Graph) -> list[str]:
    """Droplets whose size could change without a backup, or for good: their disk would grow."""
    sound = [
        each
        for each in graph.of("Droplet")
        if each.inputs.get("resizeDisk") is False and any(name in graph.hooks for name in each.options["before_update"])
    ]
    return [each.urn for each in graph.of("Droplet") if each not in sound]


def plain_secrets(graph: Graph, values: Iterable[str]) -> list[str]:
    """Inputs and outputs that hold one of the secret `values` outside of a secret."""
    secret_values = list(values)
    plain = {key: value for key, value in graph.outputs.items() if key not in graph.secret_outputs}
    found = [f"output {text[:20]}" for text in texts(plain) if _holds(text, secret_values)]
    for each in graph.resources:
        for key, value in each.inputs.items():
            marked = any(path == key or path.startswith((f"{key}.", f"{key}[")) for path in each.secrets)
            if not marked and any(_holds(text, secret_values) for text in texts(value)):
                found.append(f"{each.urn} {key}")
    return found


def _holds(text: str, values: Iterable[str]) -> bool:
    return any(value in text for value in values)


def open_ssh(graph: Graph) -> list[str]:
    """Firewall rules that let the world reach port 22."""
    found: list[str] = []
    for wall in graph.of("Firewall"):
        for rule in wall.inputs["inboundRules"]:
            wide = WORLD & set(rule.get("sourceAddresses", []))
            found += [f"{wall.urn} {rule['portRange']}"] if wide and _covers_ssh(rule) else []
    return found


def _covers_ssh(rule: dict[str, Any]) -> bool:
    ports = rule.get("portRange", "all")
    if rule["protocol"] != "tcp" or ports in {"all", "0"}:
        return rule["protocol"] == "tcp"
    low, _, high = ports.partition("-")
    return int(low) <= 22 <= int(high or low)


def open_to_the_world(graph: Graph) -> set[tuple[str, str]]:
    """What the whole world may reach, as tag and port."""
    return {
        (tag, rule["portRange"])
        for wall in graph.of("Firewall")
        for rule in wall.inputs.get("inboundRules", [])
        if WORLD & set(rule.get("sourceAddresses", []))
        for tag in wall.inputs["tags"]
    }


def open_databases(graph: Graph) -> list[str]:
    """Clusters outside the VPC, without exactly one firewall, or with one that lets in more than tags."""
    found: list[str] = []
    for cluster in graph.of("DatabaseCluster"):
        walls = graph.of("DatabaseFirewall")
        narrow = [each for each in walls if all(rule["type"] == "tag" for rule in each.inputs["rules"])]
        if len(walls) != 1 or narrow != walls or not walls[0].inputs["rules"]:
            found.append(f"{cluster.urn}: one firewall, by tag")
        if not cluster.inputs.get("privateNetworkUuid") or not cluster.inputs.get("version"):
            found.append(f"{cluster.urn}: VPC and version at creation")
    return found


def unwalled_droplets(graph: Graph) -> list[str]:
    """Droplets that no firewall covers."""
    tags = {tag for wall in graph.of("Firewall") for tag in wall.inputs.get("tags", [])}
    return [each.urn for each in graph.of("Droplet") if not tags & set(each.inputs.get("tags", []))]


def expiring_backups(graph: Graph) -> list[str]:
    """Lifecycle rules that would delete current objects of a repository: restic's old packs are still in use."""
    found: list[str] = []
    for each in graph.of("BucketLifecycleConfiguration"):
        for rule in each.inputs["rules"]:
            prefix = rule.get("filter", {}).get("prefix", rule.get("prefix", ""))
            found += _expiry(each, prefix, rule.get("expiration", {}))
    for each in graph.of("SpacesBucket"):
        for rule in each.inputs.get("lifecycleRules", []):
            found += _expiry(each, rule.get("prefix", ""), rule.get("expiration", {}))
    return found


def _expiry(resource: Registered, prefix: str, expiration: dict[str, Any]) -> list[str]:
    repository = f"{naming.REPOSITORY_PREFIX}/"
    touches = prefix.startswith(repository) or repository.startswith(prefix)
    return [f"{resource.urn} {prefix}"] if touches and ("days" in expiration or "date" in expiration) else []


def weak_buckets(graph: Graph) -> list[str]:
    """Buckets without versions, encryption, privacy, lock or clean-up."""
    found: list[str] = []
    for bucket in graph.of("Bucket"):
        for kind, holds in _S3_RULES.items():
            companions = [each for each in graph.of(kind) if each.inputs["bucket"] == bucket.inputs["bucket"]]
            if not any(holds(each.inputs) for each in companions):
                found.append(f"{bucket.urn}: {kind}")
        if not bucket.inputs.get("objectLockEnabled") or bucket.inputs.get("forceDestroy"):
            found.append(f"{bucket.urn}: object lock at creation, and no forced destroy")
    for bucket in graph.of("SpacesBucket"):
        private = bucket.inputs.get("acl") == "private" and not bucket.inputs.get("forceDestroy")
        if not private or not bucket.inputs.get("versioning", {}).get("enabled"):
            found.append(f"{bucket.urn}: private and versioned")
    return found


_S3_RULES = {
    "BucketVersioning": lambda inputs: inputs["versioningConfiguration"]["status"] == "Enabled",
    "BucketServerSideEncryptionConfiguration": lambda inputs: (
        inputs["rules"][0]["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "AES256"
    ),
    "BucketPublicAccessBlock": lambda inputs: all(
        inputs.get(key) for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ),
    "BucketOwnershipControls": lambda inputs: inputs["rule"]["objectOwnership"] == "BucketOwnerEnforced",
    "BucketObjectLockConfiguration": lambda inputs: inputs["rule"]["defaultRetention"]["days"] >= 1,
    "BucketLifecycleConfiguration": lambda inputs: _tidies(inputs["rules"]),
}


def _tidies(rules: list[dict[str, Any]]) -> bool:
    wanted = {"abortIncompleteMultipartUpload", "noncurrentVersionExpiration"}
    marker = any(rule.get("expiration", {}).get("expiredObjectDeleteMarker") for rule in rules)
    return marker and wanted <= {key for rule in rules for key in rule}


_HOST_MAY = {"s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetBucketLocation"}
_MAINTENANCE_MAY = {
    *_HOST_MAY,
    "s3:DeleteObject",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning",
    "s3:GetObjectRetention",
    "s3:GetObjectVersion",
    "s3:ListBucketVersions",
    "s3:PutObjectRetention",
}
_SPACES_MAY = {"audit": "read", "maintenance": "readwrite", "host": "readwrite"}


def powerful_credentials(graph: Graph) -> list[str]:
    """IAM statements that let anybody undo the history, or let a host take from it; Spaces keys that reach too far."""
    found: list[str] = []
    for each in graph.of("UserPolicy"):
        role = _role(each)
        statements = json.loads(each.inputs["policy"])["Statement"]
        if not _is_bounded(role, [statement for statement in statements if statement["Effect"] == "Deny"]):
            found.append(f"{each.urn} does not deny what {role} must never do")
        allowed = [statement for statement in statements if statement["Effect"] == "Allow"]
        found += [f"{each.urn} {statement['Sid']}" for statement in allowed if _oversteps(role, statement)]
    for each in graph.of("SpacesKey"):
        grants = each.inputs.get("grants", [])
        if len(grants) != 1 or not grants[0]["bucket"] or grants[0]["permission"] != _SPACES_MAY[_role(each)]:
            found.append(each.urn)
    return found


def _role(resource: Registered) -> str:
    """Whose credential it is. A name that says nothing is a host's, which may least."""
    ending = resource.name.rpartition("-")[2]
    return ending if ending in {"maintenance", "audit"} else "host"


def _is_bounded(role: str, denials: list[dict[str, Any]]) -> bool:
    if role == "audit":
        return any(
            set(each.get("NotAction", [])) == {"s3:Get*", "s3:List*"} and each["Resource"] == ["*"] for each in denials
        )
    denied = {action for each in denials for action in each.get("Action", [])}
    return set(NEVER if role == "host" else UNDOING) <= denied


def _oversteps(role: str, statement: dict[str, Any]) -> bool:
    actions = set(statement["Action"])
    if role == "audit":
        return any("*" in action or not action.startswith(("s3:Get", "s3:List")) for action in actions)
    allowed = _MAINTENANCE_MAY if role == "maintenance" else _HOST_MAY
    if all(resource.endswith("/locks/*") for resource in statement["Resource"]):
        allowed = allowed | {"s3:DeleteObject"}
    return not actions <= allowed


def operators_keys_on_hosts(graph: Graph) -> list[str]:
    """Resources of a host into which the operator's keys (maintenance, audit) found their way; or no keys at all."""
    keys = [text for role in ("maintenance", "audit") for text in texts(graph.outputs.get(role, {}))]
    if not keys:
        return ["the stack has no keys for maintenance and audit"]
    on_hosts = [each for each in graph.resources if each.type in REMOTE or each in graph.of("Droplet")]
    return [each.urn for each in on_hosts if any(_holds(text, keys) for text in texts(each.inputs))]


def careless_commands(graph: Graph) -> list[str]:
    """Remote steps that a new host would miss, that log, that leave output in the state, or that dial a dead host."""
    found: list[str] = []
    droplets = {each.urn for each in graph.of("Droplet")}
    for each in graph.resources:
        if each.type not in REMOTE:
            continue
        checks = {
            "triggers: droplet and content": len(each.inputs.get("triggers", [])) >= 2,
            "host key": bool(each.inputs["connection"].get("hostKey")),
            "delete before replace": each.options["delete_before_replace"],
            "deleted with the droplet": each.options["deleted_with"] in droplets,
            "no delete": "delete" not in each.inputs,
        }
        if each.type.endswith(":Command"):
            checks |= {
                "no logging": each.inputs.get("logging") == "none",
                "no earlier output in the environment": each.inputs.get("addPreviousOutputInEnv") is False,
                "secret output": {"stdout", "stderr"} <= each.options["additional_secret_outputs"],
                "a time limit": each.inputs["create"].startswith("timeout "),
                "no environment": "environment" not in each.inputs,
            }
        found += [f"{each.urn}: {name}" for name, holds in checks.items() if not holds]
    return found


GUARDS = (
    orphans,
    unfinished,
    unprotected,
    destroyed_with_the_stack,
    replaceable_droplets,
    unguarded_resizes,
    open_ssh,
    unwalled_droplets,
    open_databases,
    expiring_backups,
    weak_buckets,
    powerful_credentials,
    operators_keys_on_hosts,
    careless_commands,
)
"""All guards that need the graph alone."""


def lost_on_the_way(before: Graph, after: Graph) -> list[str]:
    """Resources with state that a change from `before` to `after` would delete."""
    kept = {each.urn for each in after.resources}
    return [each.urn for each in before.of(*STATEFUL, *BUCKET_PROTECTION) if each.urn not in kept]
