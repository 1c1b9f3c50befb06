"""Copying bundles to a host and running their scripts there, in the one way that is safe to repeat.

The provider's traps that shape it: a changed trigger replaces, so both the droplet and the content are triggers (a new
host gets its files); `create` is repeated on every other change, so scripts are idempotent; there is no `delete`, and
none is tried on a host that is gone; the error text holds the whole command, so secrets travel on stdin only and
nothing is logged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_digitalocean as digitalocean
from pulumi_command import remote

from components.bundle import Bundle

DIAL_ERRORS = 60
"""Failed dials before giving up, about 4.5 minutes: a fresh droplet's SSH takes its time."""


@dataclass(frozen=True)
class Access:
    """How to reach a host: its droplet, and the connection with the operator's key and the host's pinned one."""

    droplet: digitalocean.Droplet
    connection: remote.ConnectionArgs


def access(droplet: digitalocean.Droplet, private_key: pulumi.Input[str], host_key: pulumi.Input[str]) -> Access:
    """Access to `droplet` as root, by its own address: the entry may move to another host."""
    connection = remote.ConnectionArgs(
        host=droplet.ipv4_address,
        user="root",
        private_key=private_key,
        host_key=host_key,
        dial_error_limit=DIAL_ERRORS,
        per_dial_timeout=15,
    )
    return Access(droplet, connection)


def copy(name: str, host: Access, bundle: Bundle, parent: pulumi.Resource) -> remote.CopyToRemote:
    """The bundle's tar on the host."""
    return remote.CopyToRemote(
        name,
        connection=host.connection,
        source=pulumi.FileAsset(str(bundle.tar)),
        remote_path=bundle.remote_tar,
        triggers=[host.droplet.id, bundle.digest],
        opts=_options(parent, host, after=[]),
    )


@dataclass(frozen=True)
class Task:
    """A script of the first of `bundles`, run with all of them unpacked and `stdin` as JSON; killed after `minutes`."""

    script: str
    bundles: Sequence[Bundle]
    stdin: Mapping[str, Any] | None = None
    minutes: int = 20

    @property
    def command(self) -> str:
        """The shell text: free of secrets, equal for equal content."""
        steps = [each.unpack for each in self.bundles] + [f"exec bash {self.bundles[0].remote_folder}/{self.script}"]
        return f'timeout --kill-after=30 {self.minutes}m bash -c "{" && ".join(steps)}"'


def run(
    name: str, host: Access, task: Task, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource]
) -> remote.Command:
    """Run `task` on the host once everything in `after` is there."""
    return remote.Command(
        name,
        connection=host.connection,
        create=task.command,
        stdin=pulumi.Output.secret(pulumi.Output.json_dumps(task.stdin)) if task.stdin else None,
        triggers=[host.droplet.id, *(each.digest for each in task.bundles)],
        logging=remote.Logging.NONE,
        add_previous_output_in_env=False,
        opts=_options(parent, host, after, task.minutes, ["stdout", "stderr"]),
    )


def _options(
    parent: pulumi.Resource,
    host: Access,
    after: Sequence[pulumi.Resource],
    minutes: int = 20,
    secret_outputs: list[str] | None = None,
) -> pulumi.ResourceOptions:
    limit = f"{minutes + 6}m"
    return pulumi.ResourceOptions(
        parent=parent,
        depends_on=list(after),
        delete_before_replace=True,
        deleted_with=host.droplet,
        additional_secret_outputs=secret_outputs,
        custom_timeouts=pulumi.CustomTimeouts(create=limit, update=limit),
    )
