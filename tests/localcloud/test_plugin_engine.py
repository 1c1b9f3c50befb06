"""The stand-ins under the real engine: small programs, created, changed, refreshed, previewed and destroyed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localcloud.plugins.install import install
from tests.localcloud.fake_api import FakeApi, serve_api
from tests.localcloud.plugin_support import Engine, object_store
from toolchain.tools import pulumi_program

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """\
import pulumi
import pulumi_digitalocean as do

config = pulumi.Config("demo")
net = pulumi.ComponentResource("demo:net:Network", "net")
vpc = do.Vpc("vpc", region="fra1", ip_range="10.10.0.0/24", opts=pulumi.ResourceOptions(parent=net))
key = do.SshKey("key", public_key="ssh-ed25519 AAAA one")
web = do.Droplet(
    "web",
    image=config.get("image") or "ubuntu-24-04-x64",
    size=config.get("size") or "s-1vcpu-1gb",
    region="fra1",
    vpc_uuid=vpc.id,
    ssh_keys=[key.fingerprint],
    tags=["web", "prod"],
    backups=True,
    backup_policy={"plan": "weekly", "weekday": "SUN", "hour": 4},
    monitoring=True,
    user_data=pulumi.Output.secret("#cloud-config of the test"),
    opts=pulumi.ResourceOptions(ignore_changes=["image"]),
)
rules = [
    do.FirewallInboundRuleArgs(protocol="tcp", port_range="80", source_addresses=["0.0.0.0/0", "::/0"]),
    do.FirewallInboundRuleArgs(protocol="icmp", source_addresses=["0.0.0.0/0"]),
]
do.Firewall("firewall", droplet_ids=[web.id.apply(int)], inbound_rules=rules)
entry = do.ReservedIp("entry", region="fra1", droplet_id=web.id.apply(int))
project = do.Project("project", environment="Production")
do.ProjectResources("members", project=project.id, resources=[web.droplet_urn, entry.reserved_ip_urn])
domain = do.Domain("domain", name="shop.example")
do.DnsRecord("www", domain=domain.id, type="CNAME", name="www", value="shop.example.", ttl=300)
account_key = do.SpacesKey("spaces", grants=[{"bucket": "media", "permission": "readwrite"}])
pulumi.export("address", entry.ip_address)
pulumi.export("price", web.price_monthly)
pulumi.export("spaces", account_key.secret_key)
pulumi.export("sizes", do.get_sizes(filters=[{"key": "memory", "values": ["1024"]}]).sizes[0].slug)
"""

STORE_PROGRAM = """\
import json
import pulumi
import pulumi_aws as aws
import pulumi_digitalocean as do

config = pulumi.Config("demo")
days = config.get_int("days") or 30
bucket = aws.s3.Bucket("backups", object_lock_enabled=True, tags={"stack": "test"})
aws.s3.BucketVersioning("versions", bucket=bucket.id, versioning_configuration={"status": "Enabled"})
aws.s3.BucketServerSideEncryptionConfiguration(
    "encryption",
    bucket=bucket.id,
    rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
)
aws.s3.BucketPublicAccessBlock(
    "private",
    bucket=bucket.id,
    block_public_acls=True,
    block_public_policy=True,
    ignore_public_acls=True,
    restrict_public_buckets=True,
)
aws.s3.BucketOwnershipControls("owner", bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"})
aws.s3.BucketObjectLockConfiguration(
    "lock", bucket=bucket.id, rule={"default_retention": {"mode": "GOVERNANCE", "days": days}}
)
aws.s3.BucketLifecycleConfiguration(
    "lifecycle",
    bucket=bucket.id,
    rules=[
        {
            "id": "data",
            "status": "Enabled",
            "filter": {"prefix": "data/"},
            "transitions": [{"days": 30, "storage_class": "STANDARD_IA"}],
        },
        {
            "id": "rest",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
            "noncurrent_version_expiration": {"noncurrent_days": 90},
            "expiration": {"expired_object_delete_marker": True},
        },
    ],
)
user = aws.iam.User("writer", tags={"stack": "test"})
policy = pulumi.Output.json_dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": [bucket.arn]}],
    }
)
aws.iam.UserPolicy("writer", user=user.name, policy=policy)
access = aws.iam.AccessKey("writer", user=user.name)
media = do.SpacesBucket(
    "media",
    region="fra1",
    versioning={"enabled": True},
    lifecycle_rules=[
        {"id": "old", "enabled": True, "prefix": "x/", "noncurrent_version_expiration": {"days": days}},
    ],
)
do.SpacesBucketCorsConfiguration(
    "cors", bucket=media.name, region="fra1", cors_rules=[{"allowed_methods": ["GET"], "allowed_origins": ["*"]}]
)
pulumi.export("bucket", bucket.bucket)
pulumi.export("access_key", access.id)
pulumi.export("secret", access.secret)
pulumi.export("account", aws.get_caller_identity().account_id)
pulumi.export("region", aws.get_region().region)
pulumi.export("media", media.bucket_urn)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("engine") / "home"
    install(directory, Path(sys.executable), None)
    return directory


@pytest.fixture
def engine(home: Path, tmp_path: Path) -> Engine:
    program, state = tmp_path / "program", home.parent / "state"
    program.mkdir()
    state.mkdir(exist_ok=True)
    stack = f"name: {tmp_path.name}\nruntime:\n  name: python\n"
    (program / "Pulumi.yaml").write_text(stack)
    made = Engine(program, home, pulumi_program())
    made.run("stack", "init", "test")
    return made


@pytest.fixture
def api(engine: Engine) -> Iterator[FakeApi]:
    with serve_api() as (api, url):
        engine.environment |= {"DIGITALOCEAN_API_URL": url, "DIGITALOCEAN_TOKEN": "token-of-the-test"}
        yield api


def test_a_stack_of_droplets_lives_its_whole_life(engine: Engine, api: FakeApi) -> None:
    engine.write(PROGRAM)
    assert set(engine.preview().values()) == {"create"}
    assert api.writes() == [], "a preview must not write"
    assert engine.up() == {"create": 12}
    assert engine.outputs() == {
        "address": "203.0.113.130",
        "price": 18,
        "spaces": "spaces-secret",
        "sizes": "s-1vcpu-1gb",
    }
    state = engine.run("stack", "export").stdout
    assert "#cloud-config of the test" not in state
    assert "spaces-secret" not in state
    assert engine.up() == {"same": 12}, "a second run must change nothing"

    change_in_place(engine, api)
    replace_the_droplet(engine, api)
    repair_after_a_refresh(engine, api)

    engine.run("destroy", "--yes", "--skip-preview")
    kinds = ("vpcs", "droplets", "firewalls", "reserved_ips", "projects", "account/keys", "spaces/keys", "domains")
    assert {kind: api.objects[kind] for kind in kinds if api.objects[kind]} == {}
    assert {item["project"] for item in api.objects["resources"].values()} == {"default-project"}


def change_in_place(engine: Engine, api: FakeApi) -> None:
    engine.run("config", "set", "demo:image", "debian-12-x64")
    assert engine.preview() == {}, "the image is ignored"
    engine.run("config", "set", "demo:size", "s-2vcpu-2gb")
    assert engine.up() == {"same": 11, "update": 1}
    (droplet,) = api.objects["droplets"].values()
    assert (droplet["size"]["slug"], droplet["status"]) == ("s-2vcpu-2gb", "active")


def replace_the_droplet(engine: Engine, api: FakeApi) -> None:
    """Its name is generated, so the new one comes first, and the address moves to it."""
    (first,) = api.objects["droplets"]
    engine.write(PROGRAM.replace("#cloud-config of the test", "#cloud-config anew"))
    engine.up()
    (second,) = api.objects["droplets"]
    assert first != second
    order = [call for call in api.writes() if call.endswith("/v2/droplets") or call == f"DELETE /v2/droplets/{first}"]
    assert order[-2:] == ["POST /v2/droplets", f"DELETE /v2/droplets/{first}"]
    assert api.objects["reserved_ips"]["203.0.113.130"]["droplet"]["id"] == int(second)


def repair_after_a_refresh(engine: Engine, api: FakeApi) -> None:
    """A refresh sees what others changed, and the next run repairs it."""
    (firewall,) = api.objects["firewalls"].values()
    firewall["inbound_rules"] = [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}]
    api.objects["records"].clear()
    engine.run("refresh", "--yes", "--skip-preview")
    assert engine.preview() == {"firewall": "update", "www": "create"}
    assert engine.up() == {"same": 10, "update": 1, "create": 1}
    assert {rule["protocol"] for rule in firewall["inbound_rules"]} == {"tcp", "icmp"}
    engine.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_an_error_of_the_cloud_is_one_clear_line(engine: Engine, api: FakeApi) -> None:
    engine.write("import pulumi_digitalocean as do\ndo.Vpc('vpc', region='fra1')\n")
    api.failures.append(("POST /v2/vpcs", 422, {"message": "range overlaps", "request_id": "r9"}))
    done = engine.run("up", "--yes", "--skip-preview", check=False)
    assert done.returncode != 0
    assert '/v2/vpcs: 422 (request "r9") range overlaps' in done.stdout
    assert "Traceback" not in done.stdout
    assert "token-of-the-test" not in done.stdout + done.stderr


def test_a_droplet_that_failed_to_start_is_kept_and_taken_up_again(engine: Engine, api: FakeApi) -> None:
    line = "do.Droplet('web', image='debian-12-x64', size='s-1vcpu-1gb', region='fra1')"
    engine.write(f"import pulumi_digitalocean as do\n{line}\n")
    api.failures.append((r"GET /v2/droplets/\d+", 200, {"droplet": {"locked": False, "status": "archive"}}))
    assert engine.run("up", "--yes", "--skip-preview", check=False).returncode != 0
    engine.up()
    assert len(api.objects["droplets"]) == 1
    assert api.writes().count("POST /v2/droplets") == 1


def test_the_real_cloud_is_refused(engine: Engine) -> None:
    engine.environment |= {"DIGITALOCEAN_API_URL": "https://api.digitalocean.com", "DIGITALOCEAN_TOKEN": "t"}
    engine.write("import pulumi_digitalocean as do\ndo.Vpc('vpc', region='fra1')\n")
    done = engine.run("preview", check=False)
    assert done.returncode != 0
    assert "which is not on this machine: this is a stand-in for trying the program" in done.stdout + done.stderr


def test_a_wrong_nested_input_fails_in_preview(engine: Engine, api: FakeApi) -> None:
    rule = "{'protocol': 'tcp', 'port_rang': '80'}"
    engine.write(f"import pulumi_digitalocean as do\ndo.Firewall('f', inbound_rules=[{rule}])\n")
    done = engine.run("preview", check=False)
    assert done.returncode != 0
    assert "'port_rang' is not a valid property; did you mean 'portRange'?" in done.stdout


def test_buckets_and_identities_live_their_whole_life(engine: Engine, api: FakeApi, tmp_path: Path) -> None:
    with object_store(tmp_path / "objects") as store:
        engine.environment |= {
            "AWS_ENDPOINT_URL": store["url"],
            "AWS_ACCESS_KEY_ID": store["aws_access_key"],
            "AWS_SECRET_ACCESS_KEY": store["aws_secret_key"],
            "AWS_REGION": "us-east-1",
            "SPACES_ENDPOINT_URL": store["url"],
            "SPACES_ACCESS_KEY_ID": store["spaces_access_key"],
            "SPACES_SECRET_ACCESS_KEY": store["spaces_secret_key"],
        }
        engine.write(STORE_PROGRAM)
        assert set(engine.preview().values()) == {"create"}
        assert engine.up() == {"create": 13}
        outputs = engine.outputs()
        assert outputs["bucket"].startswith("backups-")
        assert (outputs["region"], outputs["media"].partition("-")[0]) == ("us-east-1", "do:space:media")
        assert outputs["secret"] not in engine.run("stack", "export").stdout
        assert engine.up() == {"same": 13}
        engine.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")

        engine.run("config", "set", "demo:days", "40")
        assert engine.up() == {"same": 11, "update": 2}
        engine.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
        engine.run("destroy", "--yes", "--skip-preview")


def test_import_takes_over_what_is_there(engine: Engine, api: FakeApi) -> None:
    engine.write("import pulumi_digitalocean as do\ndo.Vpc('vpc', name='net', region='fra1', ip_range='10.1.0.0/24')\n")
    api.put("vpcs", "u-1", {"id": "u-1", "name": "net", "region": "fra1", "ip_range": "10.1.0.0/24", "urn": "do:vpc:u"})
    engine.run(
        "import", "--yes", "--protect=false", "--generate-code=false", "digitalocean:index/vpc:Vpc", "vpc", "u-1"
    )
    assert engine.resources()["vpc"]["inputs"] == {"name": "net", "region": "fra1", "ipRange": "10.1.0.0/24"}
    assert engine.up() == {"same": 2}
    assert api.writes() == []


RECORD_PROGRAM = """\
import pulumi
import pulumi_digitalocean as do

config = pulumi.Config("demo")
number = config.get("number")
if config.get_bool("owns"):
    do.DnsRecord(
        "entry", domain="shop.example", type="A", name="@", value=config.require("value"), ttl=60,
        opts=pulumi.ResourceOptions(import_=number and f"shop.example,{number}", retain_on_delete=True),
    )
"""


def test_a_record_is_let_go_and_taken_over_by_its_number_and_is_there_all_the_time(
    engine: Engine, api: FakeApi
) -> None:
    engine.write(RECORD_PROGRAM)
    for key, value in (("owns", "true"), ("value", "198.18.0.5")):
        engine.run("config", "set", f"demo:{key}", value)
    assert engine.up()["create"] == 2  # the stack itself is the other one
    (number,) = api.objects["records"]
    engine.run("config", "set", "demo:owns", "false")
    engine.up()
    api.objects["records"][number]["data"] = "198.18.0.9"
    for key, value in (("owns", "true"), ("value", "198.18.0.9"), ("number", number)):
        engine.run("config", "set", f"demo:{key}", value)
    assert engine.up()["import"] == 1
    assert engine.resources()["entry"]["id"] == number
    assert api.writes() == ["POST /v2/domains/shop.example/records"], "nobody has deleted or changed it"
    assert engine.preview() == {}
    engine.run("config", "rm", "demo:number")
    assert engine.preview() == {}, "the key may go again"
