"""Starting the cloud: its settings, its certificates, and clear words when something outside is not as needed."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from localcloud import config as settings
from localcloud import control, daemon, tls
from localcloud.engine import Engine, EngineError, used_by_machine
from localcloud.errors import CloudError

GATEWAY = IPv4Address("198.18.0.1")
IMAGES = Path(settings.__file__).parent


def run(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localcloud", *arguments]
    environment = {"PATH": path} if path else None
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_port_that_is_taken_is_named_with_who_has_it_and_the_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CloudError, match=rf"Port {port} .* is taken.*--s3-port"):
            control.check_port(port, "--s3-port")
        if subprocess.run(["which", "ss"], capture_output=True, check=False).returncode == 0:
            with pytest.raises(CloudError, match=r"by .+ \(process \d+\)"):
                control.check_port(port, "--s3-port")
    control.check_port(port, "--s3-port")


def test_docker_that_is_not_installed_or_not_running_is_said_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EngineError, match="systemctl start docker"):
        Engine("x").check()
    found = run("up", "--dir", str(tmp_path / "cloud"), path=str(tmp_path))
    assert found.returncode == 1
    assert "apt-get install docker.io" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "cloud").exists(), "nothing half made"


@pytest.mark.docker
def test_an_image_that_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    found = run("up", "--dir", str(tmp_path / "cloud"), "--droplet-image", "localcloud/droplet:none")
    assert found.returncode == 1
    assert "localcloud/droplet:none is not there. Fix: make bootstrap" in found.stderr
    assert not (tmp_path / "cloud").exists()


@pytest.mark.parametrize("text", ["nonsense", "198.18.0.7/24", "198.18.0.0/30", "10.0.0.0/8"])
def test_a_subnet_that_cannot_be_shared_out_is_refused(text: str, tmp_path: Path) -> None:
    found = run("up", "--dir", str(tmp_path / "cloud"), "--subnet", text)
    assert (found.returncode, text in found.stderr, "Traceback" in found.stderr) == (1, True, False)
    assert not (tmp_path / "cloud").exists()


def test_a_range_that_this_machine_uses_itself_is_found() -> None:
    lines = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    assert [one for one in lines if one[1] != "00000000"], "this machine has no route of its own to test with"
    for interface, target, *_ in (one for one in lines if one[1] != "00000000"):
        address = IPv4Address(int.from_bytes(bytes.fromhex(target), "little"))
        found = used_by_machine(IPv4Network(f"{address}/32"))
        assert found, f"the route of {interface} was not seen"
    assert used_by_machine(IPv4Network("240.0.0.0/24")) is None, "the default route is no use of a range"


def test_a_directory_that_holds_other_things_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    found = run("up", "--dir", str(tmp_path))
    assert (found.returncode, "holds other things" in found.stderr) == (1, True)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


def test_commands_without_a_cloud_say_so(tmp_path: Path) -> None:
    directory = str(tmp_path / "none")
    for command, code in (("status", 1), ("down", 0), ("destroy", 0)):
        found = run(command, "--dir", directory)
        assert (found.returncode, "There is no local cloud" in found.stderr) == (code, True)


def test_a_directory_has_one_daemon(tmp_path: Path) -> None:
    with daemon.hold(tmp_path):
        assert daemon.holder(tmp_path)
        with pytest.raises(CloudError, match="runs already"):
            daemon.hold(tmp_path)
    assert daemon.holder(tmp_path) is None


def test_settings_are_kept_and_only_what_is_given_changes(tmp_path: Path) -> None:
    first = settings.adapt(settings.make(tmp_path), api_port=1234, subnet=IPv4Network("198.18.0.0/24"), images=None)
    first.save()
    again = settings.load(tmp_path)
    assert again == first
    assert again is not None
    assert settings.adapt(again, s3_port=99, api_port=None).api_port == 1234


def test_addresses_of_droplets_and_reserved_ones_do_not_meet(tmp_path: Path) -> None:
    cloud = settings.make(tmp_path)
    droplets, reserved = set(cloud.droplet_addresses), set(cloud.reserved_addresses)
    assert not droplets & reserved
    assert (str(min(droplets)), str(max(droplets))) == ("198.18.0.2", "198.18.0.126")
    assert (str(min(reserved)), str(max(reserved))) == ("198.18.0.129", "198.18.0.254")
    assert cloud.gateway not in droplets | reserved


def test_the_images_tag_follows_the_files_and_not_what_is_built_into_them(tmp_path: Path) -> None:
    before = settings.image_tag("droplet")
    assert before == run("image", "droplet").stdout.strip()
    built = IMAGES / "droplet/bin"
    assert not built.exists() or before == settings.image_tag("droplet")
    assert settings.image_tag("service") == run("image", "service").stdout.strip() != before


def test_the_droplets_scripts_are_sound() -> None:
    scripts = sorted(map(str, (IMAGES / "droplet/files/usr/local/lib/localcloud").iterdir()))
    assert len(scripts) == 2
    for command in (["shellcheck", *scripts], ["shfmt", "-i", "2", "-ci", "-d", *scripts]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    ["s3.us-east-1.amazonaws.com", "bucket-1.s3.dualstack.eu-central-1.amazonaws.com", "fra1.digitaloceanspaces.com",
     "bucket.fra1.digitaloceanspaces.com", "198.18.0.1", "localhost"],
)  # fmt: skip
def test_the_certificate_serves_under_the_production_names(name: str, tmp_path: Path) -> None:
    authority, certificate, key = tls.ensure(tmp_path, GATEWAY)
    assert handshake(authority, certificate, key, name) == ""


def test_the_certificate_serves_under_no_other_name(tmp_path: Path) -> None:
    assert "mismatch" in handshake(*tls.ensure(tmp_path, GATEWAY), "example.com")


def test_certificates_are_kept_and_made_anew_for_another_gateway(tmp_path: Path) -> None:
    authority, certificate, key = tls.ensure(tmp_path, GATEWAY)
    first = (authority.read_bytes(), certificate.read_bytes())
    tls.ensure(tmp_path, GATEWAY)
    assert (authority.read_bytes(), certificate.read_bytes()) == first
    tls.ensure(tmp_path, IPv4Address("198.51.100.1"))
    assert authority.read_bytes() == first[0], "droplets trust the authority: it stays"
    assert handshake(authority, certificate, key, "198.51.100.1") == ""
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_certificate_without_its_key_is_made_again(tmp_path: Path) -> None:
    _, certificate, _ = tls.ensure(tmp_path, GATEWAY)
    certificate.unlink()
    assert handshake(*tls.ensure(tmp_path, GATEWAY), "localhost") == ""


def handshake(authority: Path, certificate: Path, key: Path, name: str) -> str:
    """Shake hands as a client that trusts only the authority; give the client's complaint, or nothing."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(authority))
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(far, server_side=True).close()
        except (ssl.SSLError, OSError):
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(near, server_hostname=name).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        near.close()
        thread.join()
    return ""


class Removing(Engine):
    """Docker while somebody else removes a container: for some looks it is still there."""

    looks = 3

    def run(self, *arguments: str, timeout: float = 120, given: str = "") -> str:
        raise EngineError("Error response from daemon: removal of container x is already in progress")

    def exists(self, kind: str, name: str) -> bool:
        Removing.looks -= 1
        return Removing.looks >= 0


def test_what_somebody_else_is_removing_is_waited_for() -> None:
    Removing("x").remove("container", "x")
    assert Removing.looks < 0
