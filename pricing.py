"""Monthly list prices in USD, with source and date, and the estimate made from them.

They come from copies of DigitalOcean's price lists, made by others on the date given. After a deployment
`Droplet.price_monthly` is the real figure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Price:
    """USD a month, where the figure comes from, and when it was read (ISO date or month)."""

    usd: float
    source: str
    date: str


_SIZES_COPY: Final = "third-party copy of the API's sizes list"

DROPLETS: Final[dict[str, Price]] = {
    "s-1vcpu-2gb": Price(12.00, _SIZES_COPY, "2026-09-29"),
    "s-2vcpu-2gb": Price(18.00, "third-party price list; its three other sizes are unchanged since", "2022-07"),
    "s-2vcpu-4gb": Price(24.00, _SIZES_COPY, "2026-09-30"),
    "s-4vcpu-8gb": Price(48.00, _SIZES_COPY, "2026-09-30"),
}
"""Droplet sizes that the program deploys. Another one exists for it once it is added here with its price."""

SMALLEST: Final = "s-1vcpu-2gb"
"""The smallest of them: what a broker has for itself unless the stack says otherwise."""


@dataclass(frozen=True)
class Plan:
    """A database plan: price of one node, and the connections that the server takes from all clients together."""

    price: Price
    connections: int
    standbys: bool


DATABASES: Final[dict[str, Plan]] = {
    "db-s-1vcpu-1gb": Plan(Price(15.15, _SIZES_COPY, "2026-09-29"), 22, standbys=False),
    "db-s-1vcpu-2gb": Plan(Price(30.45, _SIZES_COPY, "2026-09-30"), 47, standbys=True),
    "db-s-2vcpu-4gb": Plan(Price(60.90, _SIZES_COPY, "2026-09-30"), 97, standbys=True),
}
"""Plans of managed PostgreSQL, smallest first: 25 connections per GiB less 3 that the provider keeps for itself."""

BALANCER: Final = Price(12.00, "third-party copy: one node of a regional load balancer", "2026-09-07")

WEEKLY_BACKUP_SHARE: Final = 0.20
"""Price of weekly droplet backups as a share of the droplet's price (third-party copy, 2026-09-30)."""

SPACES: Final = Price(5.00, "third-party copy: base with 250 GiB stored and 1 TiB out", "2026-09-07")


@dataclass(frozen=True)
class Item:
    """One line of the estimate, in USD a month."""

    item: str
    usd: float


@dataclass(frozen=True)
class Estimate:
    """Cost of a stack in USD a month; `price_date` is the date of the oldest price used."""

    items: tuple[Item, ...]
    total: float
    price_date: str


GUIDE_BALANCED: Final = 54.00
"""What the guide estimates for two hosts behind a balancer, undated: 2 x 12, database 15, balancer 10, storage 5."""


@dataclass(frozen=True)
class Bill:
    """What is paid for. Droplets are (name, size slug): those with weekly images, and those without."""

    imaged: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...] = ()
    database: str = ""
    nodes: int = 0
    balancer: bool = False
    spaces: bool = False


def estimate(bill: Bill) -> Estimate:
    """Estimate for `bill`. Spaces has one base for all buckets.

    Not in it: AWS S3, which bills by the gigabyte stored, and the reserved IP, which is free while a host has it.
    Raises KeyError for a size without a price.
    """
    lines = list(_lines(bill))
    total = round(sum(item.usd for item, _ in lines), 2)
    return Estimate(tuple(item for item, _ in lines), total, min((date for _, date in lines), default="unknown"))


def _lines(bill: Bill) -> Iterator[tuple[Item, str]]:
    """Each line with the date of its price."""
    for name, size in bill.imaged:
        price = DROPLETS[size]
        yield Item(f"droplet {name} ({size})", price.usd), price.date
        yield Item(f"weekly backups of {name}", round(price.usd * WEEKLY_BACKUP_SHARE, 2)), price.date
    for name, size in bill.plain:
        yield Item(f"droplet {name} ({size})", DROPLETS[size].usd), DROPLETS[size].date
    if bill.nodes:
        price = DATABASES[bill.database].price
        yield Item(f"PostgreSQL, {bill.nodes} x {bill.database}", round(price.usd * bill.nodes, 2)), price.date
    if bill.balancer:
        yield Item("load balancer", BALANCER.usd), BALANCER.date
    if bill.spaces:
        yield Item("Spaces, one base for all buckets", SPACES.usd), SPACES.date
