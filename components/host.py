"""What every droplet of the stack is: pinned host key, ready for containers. Roles add what is theirs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pulumi
import pulumi_digitalocean as digitalocean
import yaml

from components import remote
from components.base import Component
from components.bundle import Bundle

IMAGE: Final = "ubuntu-24-04-x64"
BACKUP_WEEKDAY: Final = "SUN"
BACKUP_HOUR: Final = 8
"""UTC. The API takes multiples of 4; 8 lies after the nightly jobs, so the image holds their result."""


class Holds(StrEnum):
    """What would be lost with a host: the data, messages on their way, or nothing that is not elsewhere too."""

    DATA = "data"
    QUEUES = "queues"
    NOTHING = "nothing"


@dataclass(frozen=True)
class HostArgs:
    """The host key pair is made before the host: it is handed over at first boot, and every connection checks it.

    `before_update` is asked before anything about the droplet changes in place; if it raises, nothing changes.
    `before_delete` is asked before it goes, where it may. A host that holds something cannot be deleted or replaced;
    one that holds data has the provider's weekly images.
    """

    region: str
    size: str
    vpc_id: pulumi.Input[str]
    tags: tuple[pulumi.Input[str], ...]
    ssh_fingerprint: pulumi.Input[str]
    ssh_private_key: pulumi.Output[str]
    host_private_key: pulumi.Output[str]
    host_public_key: str
    scripts: Bundle
    before_update: pulumi.ResourceHook
    before_delete: pulumi.ResourceHook | None
    holds: Holds


class Host(Component):
    """A droplet that is ready for containers. It keeps its URN on every rung: only `size` changes in a climb."""

    def __init__(self, token: str, name: str, args: HostArgs) -> None:
        super().__init__(token, name)
        self.name = name
        self.size = args.size
        self.droplet = self._droplet(name, args)
        self.access = remote.access(self.droplet, args.ssh_private_key, args.host_public_key.strip())
        scripts = remote.copy(f"{name}-scripts", self.access, args.scripts, self)
        prepare = remote.Task("prepare", [args.scripts])
        self.ready: pulumi.Resource = remote.run(f"{name}-prepare", self.access, prepare, parent=self, after=[scripts])

    def _droplet(self, name: str, args: HostArgs) -> digitalocean.Droplet:
        guarded = self.child if args.holds is Holds.NOTHING else self.stateful
        imaged = args.holds is Holds.DATA
        weekly = digitalocean.DropletBackupPolicyArgs(plan="weekly", weekday=BACKUP_WEEKDAY, hour=BACKUP_HOUR)
        return digitalocean.Droplet(
            name,
            image=IMAGE,
            region=args.region,
            size=args.size,
            resize_disk=False,  # a disk that grew once has no way back to a smaller size
            vpc_uuid=args.vpc_id,
            ssh_keys=[args.ssh_fingerprint],
            tags=list(args.tags),
            monitoring=True,
            backups=imaged,
            backup_policy=weekly if imaged else None,
            user_data=_user_data(args.host_private_key, args.host_public_key),
            # Each of these replaces the droplet and its data; none is ever read back from the provider.
            opts=guarded(
                ignore_changes=["image", "ssh_keys", "user_data"],
                hooks=pulumi.ResourceHookBinding(
                    before_update=[args.before_update],
                    before_delete=[args.before_delete] if args.before_delete else None,
                ),
            ),
        )


def _user_data(private_key: pulumi.Output[str], public_key: str) -> pulumi.Output[str]:
    return pulumi.Output.secret(private_key).apply(lambda key: cloud_config(key, public_key))


def cloud_config(private_key: str, public_key: str) -> str:
    """cloud-init's user-data: the host's own key pair and no other, root by key, no passwords."""
    document = {
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": private_key, "ed25519_public": public_key},
        "ssh_pwauth": False,
        "disable_root": False,
        "locale": "C.UTF-8",
    }
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=True, width=10_000)
