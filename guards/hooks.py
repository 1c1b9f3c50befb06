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

from guards.droplets import PRODUCTION, Droplets
from guards.errors import RefusedError
from guards.resize import Resize, ResizeGuard, Shell, asked
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


def before_resize(name: str, access: Access, rung: str) -> pulumi.ResourceHook:
    """The hook for the updates of the droplet `name`; one that leaves the size alone is none of its business."""

    async def hook(args: pulumi.ResourceHookArgs) -> None:
        resize = asked(name, args.id, args.old_outputs or {}, args.new_inputs or {})
        if resize:
            key = await access.private_key.future()
            token = await access.api_token.future() if access.api_token else None
            loop = asyncio.get_running_loop()
            guard = ResizeGuard(
                provider=provider(access.api_url, token, os.environ),
                connect=shell(str(key), access.host_key),
                label=f"{pulumi.get_project()}-{pulumi.get_stack()}",
                rung=rung,
                say=lambda text: loop.call_soon_threadsafe(pulumi.log.info, text) and None,
            )
            await asyncio.to_thread(guard.allow, resize)

    return pulumi.ResourceHook(f"resize-{name}", hook)


def provider(url: str | None, token: str | None, environment: Mapping[str, str]) -> Droplets:
    """The API as the provider plugin finds it. Raises RefusedError without a token."""
    token = token or environment.get("DIGITALOCEAN_TOKEN") or environment.get("DIGITALOCEAN_ACCESS_TOKEN")
    if not token:
        raise RefusedError("there is no API token: pulumi config set --secret digitalocean:token")
    return Droplets(url or environment.get("DIGITALOCEAN_API_URL") or PRODUCTION, token)


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
