"""The rules that configuration values obey, one small validator per subject. Pure: values in, problems out."""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import naming
import phases
import pricing

SPACES_REGIONS: Final = frozenset(
    {"ams3", "atl1", "blr1", "fra1", "lon1", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1"}
)
DROPLET_REGIONS: Final = SPACES_REGIONS | {"nyc1", "nyc2", "ric1"}
ROLES: Final = ("web", "broker")
ENV_VALUE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
"""What a value in a host's env file may hold: bash, Compose and systemd parse these characters alike."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PRIVATE: Final = tuple(ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
TAKEN: Final[dict[str, ipaddress.IPv4Network]] = {
    "Docker's bridge and its pool for Compose networks": ipaddress.IPv4Network("172.16.0.0/12"),
    "Docker's second pool for Compose networks": ipaddress.IPv4Network("192.168.0.0/16"),
    "DigitalOcean's internal range": ipaddress.IPv4Network("10.244.0.0/15"),
    "DigitalOcean's internal range of 10.246": ipaddress.IPv4Network("10.246.0.0/24"),
    "DigitalOcean's internal range of 10.229": ipaddress.IPv4Network("10.229.0.0/16"),
}
"""Ranges that a VPC must not touch (Docker's default address pools; DigitalOcean's VPC documentation)."""

_WIDEST_V4, _WIDEST_V6 = 2**24, 32


@dataclass(frozen=True)
class Problem:
    """One mistake: the key, the value as a person would recognise it, the rule it breaks, and what to do."""

    key: str
    value: str
    rule: str
    fix: str


def rung(value: str, deployed: str | None) -> Iterator[Problem]:
    """The rung exists, is built in this version, and is one step from the deployed one."""
    names = [str(each) for each in phases.Rung]
    if value not in names:
        yield Problem("rung", value, f"a rung is one of {', '.join(names)}", f"set it to '{phases.Rung.SINGLE}'")
        return
    wanted = phases.Rung(value)
    if deployed is not None and deployed not in names:
        yield Problem(
            "rung",
            value,
            f"the stack stands on '{deployed}', which this version does not know",
            "use the version that deployed it",
        )
    elif refusal := phases.refusal(phases.Rung(deployed) if deployed else None, wanted):
        yield Problem("rung", value, refusal, "set it to the next rung of that path")
    if wanted not in phases.built():
        possible = ", ".join(phases.built())
        yield Problem(
            "rung",
            value,
            f"rung '{value}' is not there yet: this version builds {possible}",
            f"set it to one of: {possible}",
        )


def regions(droplets: str, spaces: str, aws: str) -> Iterator[Problem]:
    """Each region exists for the service that is to run there."""
    if droplets not in DROPLET_REGIONS:
        yield Problem("region", droplets, "no such region for droplets", f"one of {', '.join(sorted(DROPLET_REGIONS))}")
    if spaces not in SPACES_REGIONS:
        yield Problem(
            "spacesRegion", spaces, "Spaces is not offered there", f"one of {', '.join(sorted(SPACES_REGIONS))}"
        )
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", aws):
        yield Problem("awsRegion", aws, "not the name of an AWS region", "write it like us-east-1 or eu-central-1")


def sizes(values: Mapping[str, object]) -> Iterator[Problem]:
    """Only known roles are sized, with sizes that exist."""
    for role, size in values.items():
        if role not in ROLES:
            yield Problem(f"sizes.{role}", str(size), "no host has this role", f"the roles are {', '.join(ROLES)}")
        elif size not in pricing.DROPLETS:
            known = ", ".join(sorted(pricing.DROPLETS))
            yield Problem(
                f"sizes.{role}",
                str(size),
                "no droplet size of this name is known",
                f"one of {known}, or add it with its price to pricing.py",
            )


def ssh_from(values: Sequence[str]) -> Iterator[Problem]:
    """SSH is open to named networks: at least one, each well formed, none as wide as the world, none twice."""
    if not values:
        yield Problem(
            "sshFrom", "(empty)", "at least one network may use SSH", "add your own address, as in 198.51.100.7/32"
        )
    networks: list[Network] = []
    for value in values:
        network = _network(value)
        if isinstance(network, str):
            yield Problem("sshFrom", value, network, "write it like 198.51.100.7/32 or 2001:db8::/48")
        elif network.prefixlen == 0 or _too_wide(network):
            yield Problem(
                "sshFrom",
                value,
                "SSH must not be open to the world",
                "name the addresses that you work from, as in 198.51.100.7/32",
            )
        else:
            networks += [network]
    yield from _together(networks)


def _together(networks: Sequence[Network]) -> Iterator[Problem]:
    fours = [each for each in networks if isinstance(each, ipaddress.IPv4Network)]
    if sum(each.num_addresses for each in ipaddress.collapse_addresses(fours)) > _WIDEST_V4:
        joined = ", ".join(map(str, fours))
        yield Problem(
            "sshFrom", joined, "together these open SSH to more than a /8", "name the addresses that you work from"
        )
    for index, network in enumerate(networks):
        for other in networks[:index]:
            if network.version == other.version and network.overlaps(other):
                yield Problem("sshFrom", str(network), f"it overlaps {other}", "keep the wider one")


def vpc_range(value: str) -> Iterator[Problem]:
    """The VPC has a private IPv4 range of /16 to /28 that nothing else on the host or at the provider uses."""
    network = _network(value)
    example = "write it like 10.20.0.0/20"
    if isinstance(network, str):
        yield Problem("vpcRange", value, network, example)
    elif not isinstance(network, ipaddress.IPv4Network) or not any(network.subnet_of(each) for each in PRIVATE):
        yield Problem("vpcRange", value, "a VPC needs a private IPv4 range", example)
    elif not 16 <= network.prefixlen <= 28:
        yield Problem("vpcRange", value, "a VPC has between /16 and /28", example)
    else:
        for owner, taken in TAKEN.items():
            if network.overlaps(taken):
                yield Problem(
                    "vpcRange", value, f"it overlaps {taken}: {owner}", "choose a range in 10.0.0.0/8, as 10.20.0.0/20"
                )


def domain(value: str) -> Iterator[Problem]:
    """Empty, or a host name."""
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if value and not (len(value) <= 253 and re.fullmatch(rf"({label}\.)+[a-z]{{2,63}}", value)):
        yield Problem(
            "domain", value, "not a host name", "write it like tickets.example.org, without https:// and without a path"
        )


def numbers(section: str, values: Mapping[str, int], limits: Mapping[str, tuple[int, int]]) -> Iterator[Problem]:
    """Each number lies within its limits, both included."""
    for name, (low, high) in limits.items():
        if not low <= values[name] <= high:
            key = f"{section}.{name}" if section else name
            yield Problem(key, str(values[name]), f"between {low} and {high}", f"set a number from {low} to {high}")


def vault(lock_mode: str, lock_days: int, noncurrent_days: int) -> Iterator[Problem]:
    """The lock mode exists, and versions are kept at least as long as they are locked."""
    if lock_mode not in {"governance", "compliance"}:
        yield Problem("vault.lockMode", lock_mode, "governance or compliance", "set it to 'governance'")
    if noncurrent_days < lock_days:
        yield Problem(
            "vault.noncurrentDays",
            str(noncurrent_days),
            f"at least vault.lockDays ({lock_days}): a locked version cannot expire",
            f"set {lock_days} or more",
        )


def off_site(names: Sequence[str]) -> Iterator[Problem]:
    """There is at least one off-site copy."""
    if not names:
        rule = "with spaces: false too there is no off-site copy"
        yield Problem("aws", "false", rule, "turn on at least one of aws and spaces, or name destinations")


def buckets(project: str, stack: str, suffix: str, vaults: Sequence[str]) -> Iterator[Problem]:
    """The suffix makes legal names for the buckets of all vaults."""
    if not suffix:
        rule = "bucket names are shared by the whole world: ours end in letters of chance"
        yield Problem("bucketSuffix", "(missing)", rule, f"tts init --stack {stack}")
        return
    names = [naming.bucket(project, stack, each, suffix) for each in vaults]
    refused = [(name, problem) for name in names if (problem := naming.bucket_problem(name))]
    for name, problem in refused[:1]:
        fix = "shorten the stack's name or the suffix, and use a-z, 0-9 and hyphens"
        yield Problem("bucketSuffix", f"{suffix} (bucket {name})", problem, fix)


def public_key(key: str, value: str, stack: str) -> Iterator[Problem]:
    """An OpenSSH public key of type ed25519 in one line."""
    if not value:
        yield Problem(key, "(missing)", "needed to reach the hosts", f"tts init --stack {stack}")
    elif not re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/]{68}( [^\n]*)?\n?", value):
        yield Problem(key, f"{value[:30]}...", "an ed25519 public key in one line", f"tts init --stack {stack}")


def env_secrets(names: Sequence[str], values: Mapping[str, str], stack: str) -> Iterator[Problem]:
    """Every secret the application names has a value that an env file can hold. No value is ever shown."""
    for name in names:
        if not values.get(name):
            yield Problem(f"appSecrets.{name}", "(missing)", "app.secrets names it", f"tts init --stack {stack}")
        elif not ENV_VALUE.fullmatch(values[name]):
            yield Problem(
                f"appSecrets.{name}",
                "(hidden)",
                "only A-Z a-z 0-9 and _@%+=:,./- survive in an env file",
                f"pulumi config set --secret --path 'appSecrets.{name}' --stack {stack}",
            )
    for name in values:
        if name not in names:
            yield Problem(
                f"appSecrets.{name}",
                "(hidden)",
                "app.secrets does not name it",
                f"add it there, or: pulumi config rm --path 'appSecrets.{name}' --stack {stack}",
            )


def _network(text: str) -> Network | str:
    """The network, or why `text` is none."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        return str(error)


def _too_wide(network: Network) -> bool:
    return network.num_addresses > _WIDEST_V4 if network.version == 4 else network.prefixlen < _WIDEST_V6
