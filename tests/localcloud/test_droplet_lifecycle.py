"""Droplets as they are: hosts that boot, keep their disk, are walled in, and are gone when they are destroyed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.localcloud.droplet_support import (
    WEB,
    Droplet,
    RealCloud,
    docker,
    new_cloud,
    reaches,
    wait,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker
BASE = "debian:bookworm-slim"
OUT = [{"protocol": "tcp", "ports": "443", "destinations": {"addresses": ["0.0.0.0/0"]}}]
ANSWER = (
    "use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die;"
    " while ($c = $s->accept) { print $c qq(nested\\n); close $c }"
)


def tcp(ports: str, *addresses: str) -> dict[str, Any]:
    return {"protocol": "tcp", "ports": ports, "sources": {"addresses": list(addresses)}}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCloud]:
    with new_cloud(tmp_path_factory.mktemp("cloud"), BASE) as real:
        yield real


@pytest.fixture(scope="module")
def vpc(cloud: RealCloud) -> str:
    return cloud.call("POST", "/v2/vpcs", {"name": "n", "region": "fra1", "ip_range": str(cloud.vpc_range)})["vpc"][
        "id"
    ]


@pytest.fixture(scope="module")
def pair(cloud: RealCloud, vpc: str) -> tuple[Droplet, Droplet]:
    first, second = (cloud.droplet(name, vpc_uuid=vpc) for name in ("web-1", "web-2"))
    return first.ready(), second.ready()


@pytest.fixture
def web(pair: tuple[Droplet, Droplet]) -> Droplet:
    return pair[0]


@pytest.fixture
def other(pair: tuple[Droplet, Droplet]) -> Droplet:
    return pair[1]


def test_a_droplet_is_a_host_with_docker_and_the_tools_of_a_production_host(web: Droplet) -> None:
    assert web.ssh("cat /srv/index.html") == "web-1", "user-data was run"
    assert "0.18.1" in web.ssh("restic version")
    assert "v2.40.0" in web.ssh("docker compose version")
    assert web.ssh("systemctl is-active ssh cron docker").split() == ["active"] * 3
    assert web.ssh("ip -o -4 address show eth0").split()[3] == f"{web.address()}/24"
    assert web.ssh("ip -o -4 address show eth1").split()[3] == f"{web.address('private')}/24"
    assert BASE in web.ssh("docker image ls --format '{{.Repository}}:{{.Tag}}'"), "images were loaded at boot"


def test_nobody_logs_in_with_a_password_or_with_a_strange_key(web: Droplet, tmp_path: Any) -> None:
    settings = web.ssh("sshd -T")
    assert "passwordauthentication no" in settings
    strange = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(strange)], check=True)
    stranger = RealCloud(web.cloud.directory, web.cloud.images, strange)
    assert Droplet(stranger, web.number, web.name).ssh("true; echo in", check=False) == ""


def test_host_keys_are_a_droplets_own(web: Droplet, other: Droplet) -> None:
    assert web.host_key() != other.host_key()


def test_droplets_reach_each_other_on_both_networks(web: Droplet, other: Droplet) -> None:
    for kind in ("public", "private"):
        assert web.ssh(f"curl -sS --max-time 5 http://{other.address(kind)}:8080/") == "web-2"


def test_a_droplet_has_the_object_store_under_its_production_names(web: Droplet) -> None:
    about = web.cloud.about
    names = [
        "s3.us-east-1.amazonaws.com",
        "bucket.s3.dualstack.us-east-1.amazonaws.com",
        "b.fra1.digitaloceanspaces.com",
    ]
    for name in names:
        assert "AccessDenied" in web.ssh(f"curl -sS --max-time 5 https://{name}/"), "TLS, trust and name are right"
    keys = f"AWS_ACCESS_KEY_ID={about['aws_access_key']} AWS_SECRET_ACCESS_KEY={about['aws_secret_key']}"
    repository = "RESTIC_PASSWORD=x restic -r s3:https://s3.us-east-1.amazonaws.com/vault"
    web.ssh(f"export {keys}; {repository} init && {repository} backup -q /etc/hostname")
    assert "hostname" in web.ssh(f"export {keys}; {repository} ls latest")


def test_a_droplet_reaches_nothing_else_on_this_machine(web: Droplet) -> None:
    port = socket.create_server(("0.0.0.0", 0))
    try:
        number, gateway = port.getsockname()[1], str(web.cloud.subnet[1])
        assert reaches(gateway, number), "the listener itself can be reached"
        own = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
        for address in (gateway, str(web.cloud.vpc_range[1]), own):
            assert web.ssh(f"nc -z -w 2 {address} {number} && echo open", check=False) == "", address
    finally:
        port.close()


def test_no_packet_of_a_droplet_leaves_the_machine_even_if_its_root_tears_the_walls_down(other: Droplet) -> None:
    """A container on a network with a way out stands for the outside; the machine reaches it, the droplet must not."""
    outside = docker("run", "--detach", "--rm", BASE, "perl", "-e", ANSWER)
    try:
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", outside)
        wait("the outside", lambda: reaches(address, 80))
        attempt = f"timeout 3 bash -c 'cat < /dev/tcp/{address}/80' || echo cut"
        assert other.ssh(attempt) == "cut"
        tear = f"iptables -t mangle -F; ip route replace default via {other.cloud.subnet[1]} dev eth0"
        assert other.ssh(f"{tear}; {attempt}") == "cut"
        assert other.ssh("timeout 5 getent hosts pypi.org || echo none") == "none", "names are not asked for outside"
    finally:
        docker("rm", "--force", outside)
        other.act("power_cycle")
        other.ready()
    assert other.ssh("ip route show default") == "", "the walls stand again after a boot"


def test_a_firewall_is_enforced_for_hosts_and_for_ports_that_docker_publishes(web: Droplet, cloud: RealCloud) -> None:
    web.ssh(f"docker run -d --restart always --name nested -p 81:80 {BASE} perl -e '{ANSWER}'")
    address = web.address()
    wait("the published port", lambda: reaches(address, 81))
    rules = [tcp("22", f"{cloud.subnet[1]}/32"), tcp("8080", "10.0.0.0/8")]
    body = {"name": "fw", "inbound_rules": rules, "outbound_rules": OUT, "tags": ["walled"]}
    firewall = cloud.call("POST", "/v2/firewalls", body)["firewall"]["id"]
    assert reaches(address, 81), "the firewall does not apply yet"
    resources = {"resources": [{"resource_id": str(web.number), "resource_type": "droplet"}]}
    cloud.call("POST", "/v2/tags/walled/resources", resources)
    assert (reaches(address, 81), reaches(address, 8080), reaches(address, 22)) == (False, False, True)
    web.ssh("curl -sS --max-time 5 https://s3.us-east-1.amazonaws.com/")
    assert web.ssh(f"nc -z -w 2 {address.rsplit('.', 1)[0]}.3 8080 && echo open", check=False) == "", (
        "only 443 goes out"
    )
    cloud.call("PUT", f"/v2/firewalls/{firewall}", {**body, "inbound_rules": [*rules, tcp("81", "0.0.0.0/0")]})
    assert (reaches(address, 81), reaches(address, 8080)) == (True, False)
    web.act("power_cycle")
    web.ready()
    wait("the published port", lambda: reaches(address, 81))
    assert not reaches(address, 8080), "the firewall holds after a boot"
    cloud.call("DELETE", f"/v2/firewalls/{firewall}")
    assert reaches(address, 8080)


def test_a_new_member_of_a_tag_never_stands_open(cloud: RealCloud, vpc: str) -> None:
    body = {"name": "fw", "inbound_rules": [tcp("22", str(cloud.subnet))], "outbound_rules": OUT, "tags": ["closed"]}
    firewall = cloud.call("POST", "/v2/firewalls", body)["firewall"]["id"]
    droplet = cloud.droplet("new", vpc_uuid=vpc, tags=["closed"])
    seen, done = [], threading.Event()

    def look() -> None:
        address = droplet.address()
        while not done.is_set():
            seen.append(reaches(address, 8080, 0.2))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        droplet.ready()
        assert droplet.ssh("curl -sS http://127.0.0.1:8080/") == "new", "there is something to be closed off"
    finally:
        done.set()
        watcher.join()
        droplet.destroy()
        cloud.call("DELETE", f"/v2/firewalls/{firewall}")
    assert seen
    assert not any(seen)


def test_a_reserved_address_moves_and_stays_through_a_boot(web: Droplet, other: Droplet, cloud: RealCloud) -> None:
    address = cloud.call("POST", "/v2/reserved_ips", {"region": "fra1"})["reserved_ip"]["ip"]
    path = f"/v2/reserved_ips/{address}"
    for holder in (web, other, web):
        assign = {"type": "assign", "droplet_id": holder.number}
        cloud.finish(cloud.call("POST", f"{path}/actions", assign)["action"])
        assert holder.ssh("hostname", address=address) == holder.name
    web.act("power_cycle")
    web.ready()
    assert web.ssh("hostname", address=address) == "web-1"
    cloud.finish(cloud.call("POST", f"{path}/actions", {"type": "unassign"})["action"])
    assert not reaches(address, 22)
    cloud.call("DELETE", path)


def test_the_disk_survives_power_cycles_and_a_reboot_from_inside(web: Droplet) -> None:
    web.ssh("echo kept > /root/file; docker volume create data; docker run --rm -v data:/d "
            f"{BASE} sh -c 'echo kept > /d/file'; sync")  # fmt: skip
    key, boots = web.host_key(), web.ssh("systemctl show --value -p UserspaceTimestampMonotonic")
    web.act("power_off")
    assert web.shown["status"] == "off"
    assert not reaches(web.address(), 22)
    web.act("power_on")
    web.ready()
    web.ssh("systemctl reboot", check=False)
    wait(
        "the reboot",
        lambda: web.ssh("systemctl show --value -p UserspaceTimestampMonotonic", check=False) not in ("", boots),
    )
    web.ready()
    kept = web.ssh(f"cat /root/file; docker run --rm -v data:/d {BASE} cat /d/file")
    assert kept.split() == ["kept", "kept"]
    assert web.host_key() == key, "cloud-init did not start anew"


def test_a_resize_changes_what_the_droplet_may_use(web: Droplet, cloud: RealCloud) -> None:
    web.act("power_off")
    web.act("resize", size="s-2vcpu-2gb", disk=False)
    web.act("power_on")
    assert docker("inspect", "--format", "{{.HostConfig.Memory}}", cloud.container(web)) == str(2048 * 2**20)
    assert web.shown["size_slug"] == "s-2vcpu-2gb"
    web.ready()


def test_containers_in_a_droplet_share_its_memory(web: Droplet) -> None:
    take = f"docker run --rm {BASE} perl -e '$x = \"x\" x %s; print length $x'"
    assert web.ssh(take % "100_000_000") == "100000000"
    assert web.ssh(take % "4_000_000_000", check=False) == "", "4 GB in a droplet of 2 GB"
    web.ready()


def test_a_snapshot_holds_the_whole_disk_and_makes_another_machine(web: Droplet, cloud: RealCloud, vpc: str) -> None:
    web.ssh(f"echo first > /root/file; docker run --rm -v data:/d {BASE} sh -c 'echo first > /d/file'")
    web.act("snapshot", name="first")
    web.ssh(f"echo second > /root/file; docker run --rm -v data:/d {BASE} sh -c 'echo second > /d/file'")
    [snapshot] = cloud.call("GET", f"/v2/droplets/{web.number}/snapshots")["snapshots"]
    copy = cloud.droplet("copy", image=snapshot["id"], vpc_uuid=vpc).ready()
    assert copy.ssh(f"cat /root/file; docker run --rm -v data:/d {BASE} cat /d/file").split() == ["first", "first"]
    assert copy.ssh("hostname") == "copy"
    assert copy.host_key() != web.host_key()
    copy.destroy()
    cloud.call("DELETE", f"/v2/snapshots/{snapshot['id']}")
    gone = ["ls", "--quiet", "--filter", f"label=localcloud.cloud={cloud.identity}"]
    wait("the snapshot to go", lambda: not docker("image", *gone))


def test_a_rebuild_wipes_the_disk_and_keeps_the_address(other: Droplet) -> None:
    other.ssh("echo lost > /root/file; docker volume create lost")
    address, key = other.address(), other.host_key()
    other.act("rebuild", image="ubuntu-24-04-x64")
    other.ready()
    assert other.ssh("ls /root/file 2>&1; docker volume ls -q").endswith("No such file or directory")
    assert (other.address(), other.host_key() != key) == (address, True)


def test_host_keys_may_come_from_user_data(other: Droplet, tmp_path: Any) -> None:
    key = tmp_path / "host"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    private = "".join(f"    {line}\n" for line in key.read_text().splitlines())
    public = key.with_suffix(".pub").read_text().strip()
    data = f"{WEB}ssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n{private}  ed25519_public: {public}\n"
    vpc = other.shown["vpc_uuid"]
    droplet = other.cloud.droplet("pinned", vpc_uuid=vpc, user_data=data).ready()
    assert droplet.host_key() == public.split()[1]
    droplet.destroy()


def test_a_killed_daemon_loses_nothing_and_droplets_run_on(web: Droplet, cloud: RealCloud) -> None:
    store = boto3.client(
        "s3", endpoint_url=cloud.about["s3"], region_name="us-east-1", aws_access_key_id=cloud.about["aws_access_key"],
        aws_secret_access_key=cloud.about["aws_secret_key"], config=Config(proxies={}, s3={"addressing_style": "path"}),
    )  # fmt: skip
    store.create_bucket(Bucket="kept")
    store.put_object(Bucket="kept", Key="x", Body=b"kept")
    address = web.address()
    before, since = cloud.call("GET", "/v2/droplets"), web.ssh("systemctl show --value -p UserspaceTimestampMonotonic")
    os.kill(cloud.about["pid"], signal.SIGKILL)
    assert reaches(address, 22)
    cloud.up()
    assert cloud.call("GET", "/v2/droplets") == before
    assert store.get_object(Bucket="kept", Key="x")["Body"].read() == b"kept"
    assert web.ssh("systemctl show --value -p UserspaceTimestampMonotonic") == since, "it was not restarted"
    store.close()


def test_down_and_up_bring_back_the_same_droplets(web: Droplet, other: Droplet, cloud: RealCloud) -> None:
    other.act("power_off")
    web.ssh("echo kept > /root/file")
    cloud.command("down")
    assert docker("ps", "--quiet", "--filter", f"label=localcloud.cloud={cloud.identity}") == ""
    cloud.up()
    web.ready()
    assert web.ssh("cat /root/file") == "kept"
    assert (web.shown["status"], other.shown["status"]) == ("active", "off")
    assert not reaches(other.address(), 22), "what was off stays off"
    assert "web-1" in cloud.command("status")


def test_a_droplet_is_to_come_back_with_docker_unless_it_was_off(web: Droplet, cloud: RealCloud) -> None:
    policy = docker("inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", cloud.container(web))
    assert policy == "unless-stopped"


def test_destroy_leaves_nothing_behind(web: Droplet, cloud: RealCloud) -> None:
    mark = f"label=localcloud.cloud={cloud.identity}"
    assert docker("volume", "ls", "--quiet", "--filter", mark)
    cloud.command("destroy")
    for kind in ("container", "volume", "network", "image"):
        every = ["--all"] if kind == "container" else []
        assert docker(kind, "ls", *every, "--quiet", "--filter", mark) == "", kind
    assert not cloud.directory.exists()
    assert subprocess.run(["pgrep", "-f", str(cloud.directory)], capture_output=True, check=False).stdout == b""
