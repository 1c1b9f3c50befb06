"""The files that the nodes of managed databases run by: addresses, filter, settings; and who may come in."""

import logging
import threading
from collections import defaultdict
from copy import deepcopy
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

from cryptography.x509 import DNSName

from localcloud.cloud import Cloud
from localcloud.engine import EngineError
from localcloud.kinds import catalog, tags
from localcloud.machine import Limits
from localcloud.node import Node
from localcloud.servers import node_files, server_files
from localcloud.store import Record
from localcloud.tls import AUTHORITY_DAYS, make_authority

LOG = logging.getLogger(__name__)
_WRITING: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


def node_of(cloud: Cloud, identity: str, number: int) -> Node:
    return Node(cloud.config, cloud.engine, identity, number)


def hosts(cluster: Record) -> tuple[str, str]:
    """Give the public and the private host name."""
    name = f"{cluster['name']}-do-user-1-0.x.db.ondigitalocean.com"
    return name, f"private-{name}"


def names(cloud: Cloud) -> dict[str, str]:
    """Give the address of each host name of all clusters; for use in a transaction."""
    every = [one for one in cloud.records("databases") if not one["leaving"]]
    return {host: one[word] for one in every for host, word in zip(hosts(one), ("public", "private"), strict=True)}


def limits(cluster: Record) -> Limits:
    found = catalog.database_size(cluster["size"])
    return Limits(memory=found["memory"], processors=found["vcpus"])


def read(cloud: Cloud, identity: str) -> Record | None:
    """Give a copy of a cluster's record, if there is one."""
    with cloud.store.transaction():
        return deepcopy(cloud.store.kind("databases").get(identity))


def need(cloud: Cloud, identity: str) -> Record:
    """Give a copy of a cluster's record. Raises 404 if there is none."""
    with cloud.store.transaction():
        return deepcopy(cloud.one("databases", identity))


def change(cloud: Cloud, identity: str, **fields: Any) -> None:
    """Write fields of a cluster's record."""
    with cloud.store.transaction():
        cloud.one("databases", identity).update(fields)


def first(cluster: Record) -> Record:
    """Give the record of a cluster's primary."""
    return next(one for one in cluster["nodes"] if one["number"] == cluster["primary"])


def follow(cloud: Cloud, identity: str) -> None:
    """Write what all nodes read, by the record as it is now; those that run follow it, now or a little later."""
    with _WRITING[cloud.config.identity, identity]:
        with cloud.store.transaction():
            found = cloud.store.kind("databases").get(identity)
            cluster, sources = deepcopy(found), _sources(cloud, found) if found else None
        if cluster is None or cluster["leaving"]:
            return
        pair = _pair(cloud.config.directory / "databases" / identity, hosts(cluster))
        for record in cluster["nodes"]:
            node = node_of(cloud, identity, record["number"])
            server = {**server_files(cluster, record, limits(cluster).memory), **pair}
            files = node_files(cluster, record, str(cloud.config.gateway), sources)
            node.write({**files, **{f"server/{name}": text for name, text in server.items()}})
            if not node.follows() and node.running():
                _try_to_follow(node)


def _pair(directory: Path, names: tuple[str, str]) -> dict[str, str]:
    """Give ca.crt, server.crt and server.key as texts, made when missing. The authority's own key is kept nowhere."""
    authority, certificate, key = paths = [directory / name for name in ("ca.crt", "server.crt", "server.key")]
    if not certificate.exists():
        directory.mkdir(parents=True, exist_ok=True)
        signer = make_authority(f"CA of {names[0]}")
        authority.write_text(signer.pem)
        signer.sign(names[0], map(DNSName, names), AUTHORITY_DAYS).write(certificate, key)
    return {path.name: path.read_text() for path in paths}


def _try_to_follow(node: Node) -> None:
    try:
        node.follow()
    except EngineError as error:
        LOG.warning("%s does not follow its settings yet: %s", node.name, error)


def _sources(cloud: Cloud, cluster: Record) -> list[IPv4Network] | None:
    """Give the trusted sources as addresses; None when everybody is trusted."""
    if not cluster["rules"]:
        return None
    near: list[Record] = []
    ranges = []
    for rule in cluster["rules"]:
        if rule["type"] == "ip_addr":
            ranges.append(ip_network(rule["value"], strict=False))
        elif rule["type"] == "tag":
            near += tags.bearers(cloud, "droplets", rule["value"])
        elif rule["type"] == "droplet":
            near += [one for one in cloud.records("droplets") if str(one["id"]) == rule["value"]]
        else:
            ranges += [IPv4Network(address) for address in _addresses(cloud, rule["value"])]
    ranges += [IPv4Network(one[word]) for one in near if not one["leaving"] for word in ("public", "private")]
    return [one for one in dict.fromkeys(ranges) if isinstance(one, IPv4Network)]


def _addresses(cloud: Cloud, identity: str) -> list[str]:
    """Give the addresses of something of another kind, which its record says."""
    found = [one for kind in cloud.kinds if kind.records for one in cloud.records(kind.records)]
    return [address for one in found if one.get("id") == identity for address in one.get("addresses", [])]
