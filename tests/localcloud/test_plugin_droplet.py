"""The stand-ins on the real local cloud: a droplet made, filled over pinned SSH, resized, replaced and destroyed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localcloud.plugins.install import install
from tests.localcloud.droplet_support import RealCloud, new_cloud
from tests.localcloud.plugin_support import Engine
from toolchain.tools import pulumi_program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker

PROGRAM = """\
import json
import pulumi
import pulumi_digitalocean as do
from pulumi_command import remote

given = json.load(open("given.json"))
cloud_config = "#cloud-config\\n" + json.dumps(
    {"ssh_deletekeys": True, "ssh_keys": {"ed25519_private": given["host_key"], "ed25519_public": given["host_pub"]}}
)
vpc = do.Vpc("vpc", region="fra1", ip_range=given["range"])
key = do.SshKey("key", public_key=given["pub"])
web = do.Droplet(
    "web",
    image="ubuntu-24-04-x64",
    size=given["size"],
    region="fra1",
    vpc_uuid=vpc.id,
    ssh_keys=[key.fingerprint],
    monitoring=True,
    user_data=pulumi.Output.secret(cloud_config),
)
entry = do.ReservedIp("entry", region="fra1", droplet_id=web.id.apply(int))
rules = [
    do.FirewallInboundRuleArgs(protocol="tcp", port_range="22", source_addresses=[given["subnet"]]),
]
out = [do.FirewallOutboundRuleArgs(protocol="tcp", port_range="1-65535", destination_addresses=["0.0.0.0/0"])]
do.Firewall("firewall", droplet_ids=[web.id.apply(int)], inbound_rules=rules, outbound_rules=out)
connection = remote.ConnectionArgs(
    host=entry.ip_address,
    private_key=pulumi.Output.secret(given["key"]),
    host_key=given["pinned"],
    dial_error_limit=60,
)
files = remote.CopyToRemote(
    "files",
    connection=connection,
    source=pulumi.FileArchive("files"),
    remote_path="/srv/stage",
    triggers=[web.id, given["version"]],
)
stored = remote.Command(
    "store",
    connection=connection,
    create="umask 077; cat > /srv/secret; sh /srv/stage/files/hello",
    stdin=pulumi.Output.secret("word-of-the-test"),
    triggers=[web.id, given["version"]],
    logging=remote.Logging.NONE,
    add_previous_output_in_env=False,
    opts=pulumi.ResourceOptions(depends_on=[files], delete_before_replace=True),
)
pulumi.export("said", stored.stdout)
pulumi.export("address", entry.ip_address)
"""


def make_key(path: Path) -> tuple[str, str]:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path.read_text(), path.with_suffix(".pub").read_text().strip()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RealCloud]:
    with new_cloud(tmp_path) as real:
        yield real


@pytest.fixture
def engine(cloud: RealCloud, tmp_path: Path) -> Engine:
    home, program = tmp_path / "home", tmp_path / "program"
    (tmp_path / "home-state").mkdir()
    (tmp_path / "state-of-pulumi").mkdir()
    (program / "files").mkdir(parents=True)
    (program / "files/hello").write_text("echo hello from $(hostname)\n")
    (program / "Pulumi.yaml").write_text("name: droplets\nruntime:\n  name: python\n")
    (program / "__main__.py").write_text(PROGRAM)
    install(home, Path(sys.executable))
    made = Engine(program, home, pulumi_program())
    about = cloud.about
    made.environment = {
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state-of-pulumi",
        "DIGITALOCEAN_API_URL": about["api"],
        "DIGITALOCEAN_TOKEN": about["token"],
    }
    made.run("stack", "init", "test")
    return made


def give(engine: Engine, cloud: RealCloud, keys: dict[str, str], **more: str) -> None:
    network = {"range": str(cloud.vpc_range), "subnet": str(cloud.subnet)}
    (engine.program / "given.json").write_text(json.dumps({**keys, **network, **more}))


def test_a_droplet_is_made_filled_resized_and_destroyed(engine: Engine, cloud: RealCloud, tmp_path: Path) -> None:
    key, pub = make_key(tmp_path / "operator")
    host_key, host_pub = make_key(tmp_path / "host")
    keys = {"key": key, "pub": pub, "host_key": host_key, "host_pub": host_pub, "pinned": host_pub}

    give(engine, cloud, keys, size="s-1vcpu-1gb", version="1")
    assert engine.up() == {"create": 8}
    assert engine.outputs()["said"].startswith("hello from web-")
    exported = engine.run("stack", "export").stdout
    assert "word-of-the-test" not in exported
    assert "PRIVATE KEY" not in exported
    assert engine.up() == {"same": 8}

    give(engine, cloud, keys, size="s-2vcpu-2gb", version="1")
    assert engine.up() == {"same": 7, "update": 1}
    engine.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    (engine.program / "files/hello").write_text("echo again; cat /srv/secret\n")
    give(engine, cloud, keys, size="s-2vcpu-2gb", version="2")
    engine.up()
    assert engine.outputs()["said"] == "again\nword-of-the-test"

    stranger = make_key(tmp_path / "stranger")[1]
    give(engine, cloud, {**keys, "pinned": stranger}, size="s-2vcpu-2gb", version="2")
    (engine.program / "__main__.py").write_text(PROGRAM.replace("dial_error_limit=60", "dial_error_limit=1"))
    refused = engine.run("up", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "Host key" in refused.stdout

    engine.run("destroy", "--yes", "--skip-preview")
    assert cloud.call("GET", "/v2/droplets")["droplets"] == []
