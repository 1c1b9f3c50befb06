"""The functions (invokes) of the DigitalOcean plugin."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from localcloud.plugins.codec import CloudError, Properties
from localcloud.plugins.digitalocean.compute import droplet_state
from localcloud.plugins.digitalocean.databases import cluster_state
from localcloud.plugins.digitalocean.rest import camel, snake

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localcloud.plugins.digitalocean.session import Session


def get_account(session: Session, _: Properties) -> Properties:
    account = session.api.get("/v2/account")["account"]
    names = ("dropletLimit", "email", "emailVerified", "floatingIpLimit", "status", "statusMessage", "uuid")
    return {"id": account["uuid"], **{name: account.get(snake(name)) for name in names}}


def get_region(session: Session, args: Properties) -> Properties:
    for region in session.api.pages("/v2/regions", "regions"):
        if region["slug"] == args["slug"]:
            return {"id": region["slug"], **region}
    raise CloudError(f"region '{args['slug']}' does not exist")


def get_regions(session: Session, args: Properties) -> Properties:
    return _listing(list(session.api.pages("/v2/regions", "regions")), "regions", args)


def get_sizes(session: Session, args: Properties) -> Properties:
    return _listing([_camels(item) for item in session.api.pages("/v2/sizes", "sizes")], "sizes", args)


def get_images(session: Session, args: Properties) -> Properties:
    return _listing([_image(item) for item in session.api.pages("/v2/images", "images")], "images", args)


def get_image(session: Session, args: Properties) -> Properties:
    if "slug" in args or "id" in args:
        item = session.api.get(f"/v2/images/{args.get('slug', args.get('id'))}")["image"]
        return {**args, **_image(item)}
    found = [item for item in session.api.pages("/v2/images", "images") if item["name"] == args.get("name")]
    return {**args, **_image(_only(found, f"image with name '{args.get('name')}'"))}


def get_droplet(session: Session, args: Properties) -> Properties:
    if "id" in args:
        return {**args, **_droplet(session.api.get(f"/v2/droplets/{args['id']}")["droplet"])}
    droplets = list(session.api.pages("/v2/droplets", "droplets"))
    if "name" in args:
        found = [item for item in droplets if item["name"] == args["name"]]
    else:
        found = [item for item in droplets if args.get("tag") in item.get("tags", [])]
    what = " and ".join(f"{name} '{value}'" for name, value in args.items())
    return {**args, **_droplet(_only(found, f"droplet with {what}"))}


def get_droplets(session: Session, args: Properties) -> Properties:
    return _listing([_droplet(item) for item in session.api.pages("/v2/droplets", "droplets")], "droplets", args)


def get_database_ca(session: Session, args: Properties) -> Properties:
    text = session.api.get(f"/v2/databases/{args['clusterId']}/ca")["ca"]["certificate"]
    return {"id": args["clusterId"], **args, "certificate": base64.b64decode(text).decode()}


def get_database_cluster(session: Session, args: Properties) -> Properties:
    every = session.api.pages("/v2/databases", "databases")
    item = _only([one for one in every if one["name"] == args["name"]], f"database cluster '{args['name']}'")
    found = cluster_state(item)
    return {**found, "id": item["id"], "urn": found.pop("clusterUrn"), "storageAutoscales": []}


def get_vpc(session: Session, args: Properties) -> Properties:
    if "id" in args:
        return _camels(session.api.get(f"/v2/vpcs/{args['id']}")["vpc"])
    vpcs = list(session.api.pages("/v2/vpcs", "vpcs"))
    if "name" in args:
        return _camels(_only([item for item in vpcs if item["name"] == args["name"]], f"VPC '{args['name']}'"))
    region = args.get("region")
    found = [item for item in vpcs if item["region"] == region and item.get("default")]
    return _camels(_only(found, f"default VPC in region '{region}'"))


def _listing(items: list[Properties], name: str, args: Properties) -> Properties:
    """Filter and sort a list as the caller asked for; the filters of one call must all be met."""
    for rule in args.get("filters") or []:
        items = [item for item in items if _meets(item.get(camel(rule["key"])), rule)]
    for rule in reversed(args.get("sorts") or []):
        key = camel(rule["key"])
        items.sort(key=lambda item, key=key: item[key], reverse=rule.get("direction") == "desc")
    return {"id": name, **args, name: items}


def _meets(value: Any, rule: Mapping[str, Any]) -> bool:
    values = value if isinstance(value, list) else [value]
    texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in values]
    wanted: list[str] = rule["values"]
    by: dict[str, Callable[[str, str], bool]] = {
        "exact": lambda text, want: text == want,
        "substring": lambda text, want: want in text,
        "re": lambda text, want: re.search(want, text) is not None,
    }
    matches = by[rule.get("matchBy") or "exact"]
    met = [any(matches(text, want) for text in texts) for want in wanted]
    return all(met) if rule.get("all") else any(met)


def _camels(item: Mapping[str, Any]) -> Properties:
    return {camel(key): value for key, value in item.items()}


def _image(item: Mapping[str, Any]) -> Properties:
    found = _camels(item)
    found |= {"private": not item.get("public", True), "created": item.get("created_at", "")}
    return {"description": "", "errorMessage": "", **found, "image": item.get("slug") or str(item["id"])}


def _droplet(item: Mapping[str, Any]) -> Properties:
    found = droplet_state(item)
    image = item.get("image") or {}
    extra = {"id": item["id"], "urn": found.pop("dropletUrn"), "image": image.get("slug") or str(image.get("id", ""))}
    return {"ipv6AddressPrivate": "", "gpuPartitionMode": "", **found, **extra}


def _only(found: list[Any], what: str) -> Any:
    if len(found) != 1:
        raise CloudError(f"{'no' if not found else 'more than one'} {what}")
    return found[0]


FUNCTIONS = {
    f"digitalocean:index/{camel(function.__name__)}:{camel(function.__name__)}": function
    for function in (
        get_account,
        get_database_ca,
        get_database_cluster,
        get_droplet,
        get_droplets,
        get_image,
        get_images,
        get_region,
        get_regions,
        get_sizes,
        get_vpc,
    )
}
