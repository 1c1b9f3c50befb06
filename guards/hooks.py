"""Guards as the engine calls them: hooks on resources, with access taken from the stack's settings.

Hooks run in `pulumi up` alone: a preview asks no host for anything.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from guards.droplets import Droplets
from guards.entry import Passage, Probe
from guards.errors import RefusedError
from guards.resize import Resize, ResizeGuard, Shell, asked
from ops.api import PRODUCTION, VARIABLES, Api
from ops.errors import OpsError
from ops.names import addresses
from ops.remote import Completed, Remote, connect
from ops.stack import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping


@dataclass(frozen=True)
class Access:
    """How guards reach hosts and the API. Token and address are the provider's: configuration, else environment."""

    private_key: pulumi.Output[str]
    host_key: str
    api_token: pulumi.Output[str] | None
    api_url: str | None


def before_resize(name: str, access: Access, rung: str, *, holds_data: bool) -> pulumi.ResourceHook:
    """The hook for the updates of the droplet `name`; one that leaves the size alone is none of its business."""

    async def hook(args: pulumi.ResourceHookArgs) -> None:
        resize = asked(name, args.id, args.old_outputs or {}, args.new_inputs or {})
        if resize:
            key = await access.private_key.future()
            token = await access.api_token.future() if access.api_token else None
            guard = ResizeGuard(
                provider=provider(access.api_url, token, os.environ),
                connect=shell(str(key), access.host_key),
                label=f"{pulumi.get_project()}-{pulumi.get_stack()}",
                rung=rung,
                say=_teller(),
                holds_data=holds_data,
            )
            await asyncio.to_thread(guard.allow, resize)

    return pulumi.ResourceHook(f"resize-{name}", hook)


@dataclass(frozen=True)
class Entry:
    """Where the world comes in: the domain, the lifetime of its record if the stack keeps it, and how it is asked."""

    domain: str
    ttl: int
    path: str
    tls: bool

    def passage(self) -> Passage:
        return Passage(self.domain, self.ttl, _teller())

    async def healthy(self, address: str) -> None:
        await asyncio.to_thread(self.passage().await_healthy, Probe(address, self.domain, self.path, self.tls))

    async def left(self, address: str) -> None:
        await asyncio.to_thread(self.passage().await_old_answers, address, addresses)


def before_record(entry: Entry) -> pulumi.ResourceHook:
    """The hook for the domain's record: it leads only to an address that answers."""

    async def hook(args: pulumi.ResourceHookArgs) -> None:
        wanted = str((args.new_inputs or {})["value"])
        if (args.old_inputs or {}).get("value") != wanted:
            await entry.healthy(wanted)

    return pulumi.ResourceHook("entry-record", hook)


def before_ports_close(
    entry: Entry, balancer: pulumi.Output[str] | None, leaving: pulumi.Output[str]
) -> pulumi.ResourceHook:
    """The hook for the firewall of the web ports: they close to the world once it comes by the balancer."""

    async def hook(args: pulumi.ResourceHookArgs) -> None:
        if balancer and _world(args.old_inputs or {}) and not _world(args.new_inputs or {}):
            await entry.healthy(str(await balancer.future()))
            await entry.left(str(await leaving.future()))

    return pulumi.ResourceHook("web-ports", hook)


def before_balancer_goes(entry: Entry) -> pulumi.ResourceHook:
    """The hook for the balancer's removal, which the engine finds by its name on the rung that has none any more."""

    async def hook(args: pulumi.ResourceHookArgs) -> None:
        await entry.left(str((args.old_outputs or {}).get("ip", "")))

    return pulumi.ResourceHook("balancer-goes", hook)


def before_host_leaves(access: Access, drain_seconds: int | None) -> pulumi.ResourceHook:
    """The hook for the removal of a web host that holds nothing: it leaves the balancer first, if one still stands."""

    async def hook(args: pulumi.ResourceHookArgs) -> None:
        address = str((args.old_outputs or {}).get("ipv4Address", ""))
        if drain_seconds is not None and address:
            key = await access.private_key.future()
            await asyncio.to_thread(_drain, _teller(), shell(str(key), access.host_key), args, drain_seconds)

    return pulumi.ResourceHook("host-leaves", hook)


def _drain(
    tell: Callable[[str], None], connect: Callable[[Resize], Any], args: pulumi.ResourceHookArgs, seconds: int
) -> None:
    """As well as that goes: a host that is dead has left already."""
    old = args.old_outputs or {}
    host = Resize(int(args.id), args.name, str(old["ipv4Address"]), str(old["size"]), "")
    tell(f"{args.name}: leaving the balancer, {seconds} s")
    try:
        with connect(host) as opened:
            done = opened.run(["tts-drain", "on", str(seconds)], seconds + 60)
    except OpsError as error:
        tell(f"{args.name} does not answer, and is removed as it is ({error.what})")
    else:
        if done.code:
            tell(f"{args.name} could not leave the balancer, and is removed as it is")


def _world(firewall: Mapping[str, Any]) -> bool:
    """Whether a firewall's inputs let addresses in, and not only a balancer."""
    return any(rule.get("sourceAddresses") for rule in firewall.get("inboundRules", ()))


def _teller() -> Callable[[str], None]:
    """Tells the person who runs the engine; may be called from any thread."""
    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:
        loop.call_soon_threadsafe(pulumi.log.info, text)

    return tell


def provider(url: str | None, token: str | None, environment: Mapping[str, str]) -> Droplets:
    """The API as the provider plugin finds it. Raises RefusedError without a token."""
    found = [token, *(environment.get(name) for name in VARIABLES)]
    first = next((each for each in found if each), None)
    if not first:
        raise RefusedError("there is no API token: pulumi config set --secret digitalocean:token")
    return Droplets(Api(url or environment.get("DIGITALOCEAN_API_URL") or PRODUCTION, first))


@dataclass(frozen=True)
class _Shell:
    remote: Remote
    host: Host

    def run(self, argv: list[str], timeout: float) -> Completed:
        return self.remote.run(self.host, argv, timeout=timeout)


def shell(private_key: str, host_key: str) -> Callable[[Resize], Any]:
    """Opens the way in to a droplet, with the stack's key and the host's pinned one."""

    @contextmanager
    def opened(resize: Resize) -> Generator[Shell]:
        host = Host(resize.host, resize.address, "", resize.before, resize.droplet, backup_owner=True)
        with connect("root", private_key, host_key, [host]) as remote:
            yield _Shell(remote, host)

    return opened
