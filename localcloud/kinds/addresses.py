"""Addresses of the public network and of VPCs: given out once each, whatever the kind that asks.

Who has one keeps it in its record: as `public` or `private`, or among `addresses`.
"""

from ipaddress import IPv4Address, IPv4Network

from localcloud.cloud import Cloud
from localcloud.store import Record
from localcloud.web import invalid


def free(taken: set[str], among: list[IPv4Address], what: str) -> str:
    """Give the first address that is not taken. Raises 422 when all are."""
    for address in among:
        if str(address) not in taken:
            return str(address)
    raise invalid(f"All {len(among)} {what} are in use.")


def public(cloud: Cloud) -> str:
    return free(_taken(cloud), cloud.config.droplet_addresses, "addresses")


def private(cloud: Cloud, vpc: Record) -> str:
    return free(_taken(cloud), list(IPv4Network(vpc["ip_range"]))[2:-1], f"addresses of the VPC {vpc['name']}")


def _taken(cloud: Cloud) -> set[str]:
    """Give every address in use; no two networks overlap, so one set serves all."""
    holders = [one for kind in cloud.kinds if kind.records for one in cloud.records(kind.records)]
    own = {one.get(word) for one in holders for word in ("public", "private")}
    return {*(address for address in own if address), *(it for one in holders for it in one.get("addresses", ()))}
