"""The rules of what only the upper rungs have: zone, hosts, managed database, broker, release. Pure, like `rules`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import phases
import pricing
from rules import Problem

MOST_HOSTS: Final = 20
MAINTENANCE_CONNECTIONS: Final = 5
"""Connections to the database that no pool may have: backups and moves go past the pools."""


def zone(value: str, name: str) -> Iterator[Problem]:
    """Empty, or a zone that the domain is in."""
    if value and not name:
        yield Problem("dnsZone", value, "without a domain there is no record to make", "set domain, or unset dnsZone")
    elif value and name != value and not name.endswith(f".{value}"):
        yield Problem("dnsZone", value, f"{name} is not in this zone", "name the zone that ends the domain")


def entry_record(value: str, stack: str) -> Iterator[Problem]:
    """Empty, or the provider's number of a record."""
    if value and not value.isdecimal():
        fix = f"pulumi config rm entryRecord --stack {stack}"
        yield Problem("entryRecord", value, "the number that the provider gave a record", fix)


def web_hosts(value: int, row: phases.Row) -> Iterator[Problem]:
    """0 for the rung's own number, or at least that number. Where no balancer stands there is one host anyway."""
    least = row.hosts if row.balanced else 2
    if value != 0 and not least <= value <= MOST_HOSTS:
        rule = f"0, or {least} to {MOST_HOSTS}; it counts on the rung '{phases.Rung.BALANCED}'"
        yield Problem("webHosts", str(value), rule, f"set it to {least}")


@dataclass(frozen=True)
class Pools:
    """Connections of each pool, and how many pools there are."""

    size: int
    count: int


def database(size: str, standbys: int, pools: Pools, deployed: str) -> Iterator[Problem]:
    """The plan exists and can have its standbys, is not smaller than the deployed one, and has room for the pools."""
    plans = list(pricing.DATABASES)
    if size not in pricing.DATABASES:
        fix = f"one of {', '.join(plans)}, or add it with its price to pricing.py"
        yield Problem("database.size", size, "no database plan of this name is known", fix)
        return
    plan = pricing.DATABASES[size]
    if not 0 <= standbys <= 2:
        yield Problem("database.standbys", str(standbys), "a cluster has 0 to 2 standbys", "set it to 2")
    elif standbys and not plan.standbys:
        able = ", ".join(name for name in plans if pricing.DATABASES[name].standbys)
        yield Problem("database.size", size, "standbys need a plan of 2 GiB or more", f"one of {able}")
    if deployed in plans and plans.index(size) < plans.index(deployed):
        rule = f"the provider refuses to make a cluster smaller, and it is {deployed}"
        yield Problem("database.size", size, rule, f"set it to {deployed}")
    room = (plan.connections - MAINTENANCE_CONNECTIONS) // max(pools.count, 1)
    if not 1 <= pools.size <= room:
        rule = f"{pools.count} pools share {plan.connections} connections: 1 to {room} each"
        yield Problem("database.poolSize", str(pools.size), rule, f"set a number from 1 to {room}")


def broker_address(value: str, stack: str) -> Iterator[Problem]:
    """Empty, or the URL of a broker that somebody else runs. It is a secret and never shown."""
    if value and not re.fullmatch(r"[a-z]+://[^\s']+", value):
        fix = f"pulumi config set --secret brokerUrl amqps://user:password@host/vhost --stack {stack}"
        yield Problem("brokerUrl", "(hidden)", "a URL without spaces and quotes", fix)


def release(value: str, in_use: str, stack: str) -> Iterator[Problem]:
    """What is in use is not released."""
    if value and value == in_use:
        rule = "this database cluster is in use on the rung that you ask for"
        yield Problem("release", value, rule, f"pulumi config rm release --stack {stack}")
