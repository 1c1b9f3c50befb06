"""Regions and sizes: data, with the date of its prices."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from localcloud.cloud import Cloud, Kind
from localcloud.web import Call, Routes, invalid

routes = Routes()
KIND = Kind(routes)
DATA = Path(__file__).parents[1] / "data" / "catalog.json"
FEATURES = ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"]


@cache
def catalog() -> dict[str, Any]:
    return json.loads(DATA.read_text())


def region(slug: str) -> dict[str, Any]:
    """Give a region as it stands in other resources. Raises 422 if there is none of that name."""
    name = catalog()["regions"].get(slug)
    if name is None:
        raise invalid(f"Region {slug} is not available. Regions: {', '.join(catalog()['regions'])}.")
    return {"slug": slug, "name": name, "available": True, "features": FEATURES, "sizes": []}


def size(slug: str) -> dict[str, Any]:
    """Give a size. Raises 422 if there is none of that name."""
    for one in catalog()["sizes"]:
        if one["slug"] == slug:
            return {**one, "available": True, "description": "Basic", "regions": list(catalog()["regions"])}
    raise invalid("You specified an invalid size for Droplet creation.")


def database_size(slug: str) -> dict[str, Any]:
    """Give a size of database nodes. Raises 422 if there is none of that name."""
    for one in catalog()["database_sizes"]:
        if one["slug"] == slug:
            return one
    raise invalid(
        f"size {slug} is not available. Sizes: {', '.join(it['slug'] for it in catalog()['database_sizes'])}."
    )


@routes.get("/v2/regions")
def regions(cloud: Cloud, call: Call) -> dict[str, Any]:
    slugs = [one["slug"] for one in catalog()["sizes"]]
    return call.page("regions", [{**region(slug), "sizes": slugs} for slug in catalog()["regions"]])


@routes.get("/v2/sizes")
def sizes(cloud: Cloud, call: Call) -> dict[str, Any]:
    return call.page("sizes", [size(one["slug"]) for one in catalog()["sizes"]])
