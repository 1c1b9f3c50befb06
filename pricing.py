"""Monthly list prices in USD, with source and date, and the estimate made from them.

They come from copies of DigitalOcean's price lists, made by others on the date given. After a deployment
`Droplet.price_monthly` is the real figure.
"""

from collections.abc import Iterable
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


def estimate(droplets: Iterable[tuple[str, str]], *, spaces: bool) -> Estimate:
    """Estimate for `droplets`, given as (host name, size slug), each with weekly backups, and the Spaces base if used.

    Not in it: AWS S3, which bills by the gigabyte stored, and the reserved IP, which is free while a host has it.
    Raises KeyError for a size without a price.
    """
    items: list[Item] = []
    dates: list[str] = []
    for name, size in droplets:
        price = DROPLETS[size]
        items.append(Item(f"droplet {name} ({size})", price.usd))
        items.append(Item(f"weekly backups of {name}", round(price.usd * WEEKLY_BACKUP_SHARE, 2)))
        dates.append(price.date)
    if spaces:
        items.append(Item("Spaces (second off-site copy)", SPACES.usd))
        dates.append(SPACES.date)
    total = round(sum(item.usd for item in items), 2)
    return Estimate(tuple(items), total, min(dates, default="unknown"))
