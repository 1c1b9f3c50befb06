"""A droplet's packet filter: cloud firewalls and the walls of the local cloud, as text for iptables-restore.

Filters stand in the table mangle: before Docker's translation of published ports on the way in, after all else on the
way out. A droplet without a firewall takes everything in; with one or more, only what one of them allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from localcloud.config import DNS_PORT, TLS_PORT


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
    offers = (("tcp", 443, TLS_PORT), ("udp", 53, DNS_PORT), ("tcp", 53, DNS_PORT))
    here = droplet.gateway
    translations = [
        f"-A LC-NAT -d {here}/32 -p {protocol} --dport {asked} -j DNAT --to-destination {here}:{port}"
        for protocol, asked, port in offers
    ]
    lines += ["*nat", ":LC-NAT - [0:0]", *translations, "COMMIT"]
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
    # The machine itself offers droplets the object store, names, and nothing else; beyond it there is nothing.
    yield f"-A LC-OUT -d {droplet.gateway}/32 -p tcp -m multiport ! --dports {TLS_PORT},{DNS_PORT} -j DROP"
    yield f"-A LC-OUT -d {droplet.gateway}/32 -p udp ! --dport {DNS_PORT} -j DROP"
    yield f"-A LC-OUT -d {droplet.gateway}/32 -p icmp -j DROP"
    yield f"-A LC-OUT -d {droplet.private[1]}/32 -j DROP"
    yield f"-A LC-OUT -o eth0 ! -d {droplet.public} -j DROP"
    yield f"-A LC-OUT -o eth1 ! -d {droplet.private} -j DROP"
    if droplet.outbound is None:
        return
    for rule in droplet.outbound:
        # The port that the program asked for: the gateway's have been translated by now.
        ports = f" -m conntrack --ctorigdstport {rule.ports.replace('-', ':')}" if rule.ports else ""
        for peer in rule.peers:
            yield f"-A LC-OUT -d {peer} -p {rule.protocol}{ports} -j RETURN"
    yield "-A LC-OUT -j DROP"
