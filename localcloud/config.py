"""The settings of one local cloud: kept in its directory, so that every later command finds the same cloud."""

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path

from localcloud.errors import CloudError
from localcloud.store import write_private

API_PORT = 7480
S3_PORT = 7481
# From the range for benchmarks (RFC 2544), which nobody is given. The documentation ranges of RFC 5737 would read
# better, but container platforms do number their own networks, and their way to package registries, with them.
SUBNET = IPv4Network("198.18.0.0/24")
TLS_PORT = 7443  # on the gateway, for droplets; they reach it as 443
DNS_PORT = 7453  # likewise; they reach it as 53
IMAGES = ("droplet", "service")  # each built from the folder of its name


@dataclass(frozen=True)
class Config:
    """One local cloud. `identity` marks all that it makes in Docker; `subnet` holds its public addresses."""

    directory: Path
    identity: str
    api_port: int = API_PORT
    s3_port: int = S3_PORT
    subnet: IPv4Network = SUBNET
    images: Path | None = None
    droplet_image: str = ""

    @property
    def gateway(self) -> IPv4Address:
        return self.subnet[1]

    @property
    def droplet_addresses(self) -> list[IPv4Address]:
        """The lower half of the subnet, without the network's own address and the gateway."""
        return list(self.subnet)[2 : self.subnet.num_addresses // 2 - 1]

    @property
    def reserved_addresses(self) -> list[IPv4Address]:
        """The upper half, without the broadcast address."""
        return list(self.subnet)[self.subnet.num_addresses // 2 + 1 : -1]

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def s3(self) -> str:
        return f"http://127.0.0.1:{self.s3_port}"

    @property
    def image(self) -> str:
        return self.droplet_image or image_tag("droplet")

    @property
    def service_image(self) -> str:
        return image_tag("service")

    def name(self, role: str) -> str:
        """Name something of this cloud in Docker."""
        return f"localcloud-{self.identity}-{role}"

    def save(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        values = asdict(self) | {"directory": None, "subnet": str(self.subnet)}
        values["images"] = str(self.images) if self.images else None
        write_private(self.directory / "config.json", json.dumps(values, indent=1))


def load(directory: Path) -> Config | None:
    """Give the cloud that lives in a directory, if there is one."""
    try:
        values = json.loads((directory / "config.json").read_text())
    except FileNotFoundError:
        return None
    images = Path(values["images"]) if values["images"] else None
    return Config(**values | {"directory": directory, "subnet": IPv4Network(values["subnet"]), "images": images})


def make(directory: Path) -> Config:
    """Give a new cloud for a directory, with the default settings; nothing is written yet."""
    return Config(directory=directory, identity=secrets.token_hex(4))


def adapt(config: Config, **changes: object) -> Config:
    """Give the cloud with other settings; None means: as it was."""
    return replace(config, **{key: value for key, value in changes.items() if value is not None})


def subnet(text: str) -> IPv4Network:
    """Read the public range. Raises CloudError if it is no network or too small to be shared out."""
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise CloudError(f"--subnet {text}: {error}. Give a range such as {SUBNET}.") from None
    if not 16 <= network.prefixlen <= 27:
        raise CloudError(f"--subnet {text}: give a range between /16 and /27, such as {SUBNET}.")
    return network


def image_tag(name: str) -> str:
    """Name one of the images; its tag follows every file of the build context that is in the repository."""
    total, context = hashlib.sha256(), Path(__file__).parent / name
    built = context / "bin"
    for path in sorted(context.rglob("*")):
        if path.is_file() and built not in path.parents and path.name != "host-ca.crt":
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{path.relative_to(context)} {os.access(path, os.X_OK)} {content}\n".encode())
    return f"localcloud/{name}:{total.hexdigest()[:12]}"
