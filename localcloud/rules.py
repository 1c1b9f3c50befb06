"""A droplet's packet filter: cloud firewalls and the walls of the local cloud, as text for iptables-restore.

Filters stand in the table mangle: before Docker's translation of published ports on the way in, after all else on the
way out. A droplet without a firewall takes everything in; with one or more, only what one of them allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from localcloud.config import TLS_PORT


@dataclass(frozen=True)
class Rule:
    """One allowance: protocol tcp, udp or icmp; ports "80", "8000-9000" or "" for all; the far ends, as ranges."""

    protocol: str
    ports: str
    peers: tuple[IPv4Network, ...]


@dataclass(frozen=True)
class Filter:
    """What a droplet's filter depends on. `inbound` and `outbound` are None when no firewall applies."""

    gateway: IPv4Address
    public: IPv4Network
    private: IPv4Network
    inbound: tuple[Rule, ...] | None
    outbound: tuple[Rule, ...] | None


def render(droplet: Filter) -> str:
    """Give the text for `iptables-restore --noflush`; it replaces the three chains LC-IN, LC-OUT and LC-NAT at once."""
    lines = ["*mangle", ":LC-IN - [0:0]", ":LC-OUT - [0:0]", *_inbound(droplet), *_outbound(droplet), "COMMIT"]
    store = f"-d {droplet.gateway}/32 -p tcp --dport 443 -j DNAT --to-destination {droplet.gateway}:{TLS_PORT}"
    lines += ["*nat", ":LC-NAT - [0:0]", f"-A LC-NAT {store}", "COMMIT"]
    return "\n".join(lines) + "\n"


def _inbound(droplet: Filter) -> Iterator[str]:
    if droplet.inbound is None:
        return
    # Only what comes from outside: Docker's own bridges and loopback are not the cloud's affair.
    yield "-A LC-IN ! -i eth+ -j RETURN"
    yield "-A LC-IN -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
    for rule in droplet.inbound:
        ports = f" --dport {rule.ports.replace('-', ':')}" if rule.ports else ""
        for peer in rule.peers:
            yield f"-A LC-IN -s {peer} -p {rule.protocol}{ports} -j RETURN"
    yield "-A LC-IN -j DROP"


def _outbound(droplet: Filter) -> Iterator[str]:
    yield "-A LC-OUT ! -o eth+ -j RETURN"
    yield "-A LC-OUT -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
    # The machine itself offers droplets the object store and nothing else, and beyond it there is nothing.
    yield f"-A LC-OUT -d {droplet.gateway}/32 ! -p tcp -j DROP"
    yield f"-A LC-OUT -d {droplet.gateway}/32 -p tcp ! --dport {TLS_PORT} -j DROP"
    yield f"-A LC-OUT -d {droplet.private[1]}/32 -j DROP"
    yield f"-A LC-OUT -o eth0 ! -d {droplet.public} -j DROP"
    yield f"-A LC-OUT -o eth1 ! -d {droplet.private} -j DROP"
    if droplet.outbound is None:
        return
    for rule in droplet.outbound:
        # The port that the program asked for: the store's 443 has been translated by now.
        ports = f" -m conntrack --ctorigdstport {rule.ports.replace('-', ':')}" if rule.ports else ""
        for peer in rule.peers:
            yield f"-A LC-OUT -d {peer} -p {rule.protocol}{ports} -j RETURN"
    yield "-A LC-OUT -j DROP"
