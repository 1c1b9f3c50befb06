"""`tts snapshot`: images of a droplet's disk at the provider, made by hand before something risky."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from ops.commands import options
from ops.commands.restore import agree
from ops.digitalocean import DigitalOcean, Image
from ops.engine import Engine, project_directory
from ops.errors import ExitCode, OpsError
from ops.progress import waiting
from ops.screen import marks, new_table, next_line, out, print_json
from ops.stack import Host, parse_outputs

_WORD = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")

Name = Annotated[str, typer.Argument(help="What it is for: small letters, digits, dots and dashes.")]
OfHost = Annotated[str | None, typer.Option("--host", help="The host; without it the one that owns the data.")]
Listing = Annotated[bool, typer.Option("--list", help="List images made by hand, and the schedule's of today's hosts.")]
Delete = Annotated[int | None, typer.Option("--delete", help="Delete the image of this id, of either sort.")]
Keep = Annotated[
    int | None,
    typer.Option("--keep", min=1, help="Once the new one is complete, delete all but so many of the host's."),
]


def snapshot(  # noqa: PLR0913, PLR0917  # the arguments of a command are its options
    name: Name = "manual",
    host: OfHost = None,
    listing: Listing = False,
    delete: Delete = None,
    keep: Keep = None,
    yes: options.Yes = False,
    stack: options.Stack = None,
    json: options.Json = False,
) -> None:
    """Take an image of a host's disk and wait until it is complete. It is billed by size until you delete it."""
    engine = Engine(stack, project_directory())
    stack_name = engine.stack_name()
    outputs = parse_outputs(stack_name, engine.outputs())
    cloud = DigitalOcean.of(engine)
    prefix = f"tts-{stack_name}-"
    if listing:
        _list(cloud, prefix, outputs.hosts, json=json)
    elif delete is not None:
        _delete(cloud, prefix, outputs.hosts, delete, yes=yes)
    else:
        target = outputs.host(host) if host else outputs.owner
        made, removed = _take(cloud, prefix, target, name, keep)
        _show_made(made, removed, stack, json=json)


def _take(cloud: DigitalOcean, prefix: str, host: Host, name: str, keep: int | None) -> tuple[Image, tuple[Image, ...]]:
    """The new image first; older ones go only after the provider has all of it."""
    if not _WORD.fullmatch(name):
        raise OpsError(
            f"{name!r} is no name for an image.", fix="Small letters, digits, dots, dashes.", code=ExitCode.USAGE
        )
    mine = f"{prefix}{host.name}-"
    full = f"{mine}{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with waiting(f"Taking an image of {host.name}") as now:
        made = cloud.make_snapshot(host.droplet_id, full, now)
        old = tuple(image for image in cloud.snapshots(mine) if image.id != made.id)
        removed = () if keep is None else old[keep - 1 :]
        _remove(cloud, removed, now)
    return made, removed


def _remove(cloud: DigitalOcean, images: tuple[Image, ...], now: Callable[[str], None]) -> None:
    for image in images:
        now(f"deleting {image.name}")
        cloud.delete_image(image.id)


def _all(cloud: DigitalOcean, prefix: str, hosts: tuple[Host, ...]) -> list[Image]:
    with waiting("Asking the provider"):
        backups = [image for host in hosts for image in cloud.backups(host.droplet_id)]
        return [*cloud.snapshots(prefix), *backups]


def _list(cloud: DigitalOcean, prefix: str, hosts: tuple[Host, ...], *, json: bool) -> None:
    images = _all(cloud, prefix, hosts)
    if json:
        print_json({"images": images})
        return
    if not images:
        out().print("No image yet.")
    else:
        table = new_table("id", "sort", "name", "taken (UTC)", "GB", right=("GB",))
        for image in images:
            sort = "by hand" if image.type == "snapshot" else "schedule"
            taken = image.created_at.replace("T", " ")[:16]
            table.add_row(str(image.id), sort, image.name, taken, f"{image.size_gigabytes:.1f}")
        out().print(table)
    out().print(next_line("tts snapshot before-upgrade"))


def _delete(cloud: DigitalOcean, prefix: str, hosts: tuple[Host, ...], number: int, *, yes: bool) -> None:
    """Only an image of this stack: an id that was mistyped must not hit another one's."""
    found = next((image for image in _all(cloud, prefix, hosts) if image.id == number), None)
    if found is None:
        raise OpsError(f"This stack has no image {number}.", fix="tts snapshot --list", code=ExitCode.USAGE)
    agree(str(number), yes, f"The image {found.name} of {found.created_at} is deleted for good.")
    cloud.delete_image(number)
    out().print(f"{marks()[0]} {found.name} is deleted")


def _show_made(made: Image, removed: tuple[Image, ...], stack: str | None, *, json: bool) -> None:
    if json:
        print_json({"made": made, "deleted": removed})
        return
    good, _ = marks()
    out().print(Text(f"{good} image {made.id} {made.name}: complete, {made.size_gigabytes:.1f} GB", style="green"))
    for image in removed:
        out().print(f"{good} deleted {image.name}")
    out().print(next_line("tts snapshot --list" + (f" --stack {stack}" if stack else "")))
