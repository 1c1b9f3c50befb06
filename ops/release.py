"""What a step of the ladder has left behind: what it is, how big, and how it is removed.

A step up leaves volumes on the host; a step down leaves the managed database, the media bucket and the broker's host.
Either is the way back until it is released.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops import jobs
from ops.deploy import Deployment
from ops.errors import ExitCode, OpsError
from ops.hostreport import HostReport, decode
from ops.proof import missing
from ops.stack import parse_outputs
from ops.vault import STORE_ERRORS, KeyPair, media_store, store_failed
from ops.verify import verify_backups

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.engine import Engine
    from ops.session import Session
    from ops.stack import Outputs

COMMAND: Final = "tts-release-old"
_UPDATES: Final = 2  # the first takes the protection away, the second removes


class Item(msgspec.Struct, frozen=True):
    """One thing that would go. A figure is None where it cannot be told from here."""

    what: str
    name: str
    files: int | None = None
    bytes: int | None = None


class Old(msgspec.Struct, frozen=True):
    """The side that is not in use: `host` or `outside`, and what is still there."""

    side: str
    items: tuple[Item, ...] = ()


class _Volume(msgspec.Struct, frozen=True):
    name: str
    files: int
    bytes: int


class _HostOld(msgspec.Struct, frozen=True):
    """What `tts-release-old --json` prints."""

    placement: str
    old: tuple[_Volume, ...] = ()


def find(session: Session, engine: Engine) -> Old:
    """What is left behind.

    Raises:
        OpsError: host or bucket do not answer.
    """
    outputs = session.outputs
    if outputs.database and not outputs.database.in_use:
        return Old("outside", _outside(outputs, engine))
    if outputs.database:
        return Old("host", _volumes(session))
    return Old("outside")


def _volumes(session: Session) -> tuple[Item, ...]:
    owner = session.outputs.owner
    done = session.remote.run(owner, [COMMAND, "--json"], timeout=600)
    if done.code:
        raise jobs.failed(session, done, "Looking for what is left on the host")
    found = decode(done, _HostOld, command=COMMAND, host=owner.name)
    return tuple(Item("volume", each.name, each.files, each.bytes) for each in found.old)


def _outside(outputs: Outputs, engine: Engine) -> tuple[Item, ...]:
    items: list[Item] = []
    if outputs.database:
        what = f"PostgreSQL cluster, {outputs.database.nodes} x {outputs.database.size}"
        items.append(Item(what, outputs.database.name))
    if outputs.media:
        items.append(Item("media bucket", outputs.media.bucket, *_measured(outputs, engine)))
    items += [Item(f"broker host, {host.size}", host.name) for host in outputs.hosts if host.role == "broker"]
    return tuple(items)


def _measured(outputs: Outputs, engine: Engine) -> tuple[int | None, int | None]:
    """Files and bytes in the media bucket, counting what is current."""
    found = engine.secret_output("mediaKey")
    if outputs.media is None or found is None:
        return None, None
    store = media_store(outputs.media, msgspec.convert(found, KeyPair))
    try:
        pages = store.client().get_paginator("list_objects_v2").paginate(Bucket=store.bucket)
        sizes = [int(each["Size"]) for page in pages for each in page.get("Contents", [])]
    except STORE_ERRORS as error:
        raise store_failed(store, "Counting the files", error) from None
    return len(sizes), sum(sizes)


def demand_backup(session: Session, now: Callable[[str], None]) -> None:
    """Return once the side in use has backups that are fresh, verified and off-site.

    Raises:
        OpsError: it has none, also after they were made just now.
    """
    if not (reason := missing(_report(session))):
        return
    now(f"{reason}: backing up")
    jobs.back_up(session, "all", offsite=True, now=now)
    verify_backups(session, now)
    if reason := missing(_report(session)):
        raise OpsError(
            "Nothing was removed: the side in use has no backup to rely on.",
            where=f"{reason}, also after a backup was made just now",
            fix=session.spell("tts status"),
        )


def _report(session: Session) -> HostReport:
    owner = session.outputs.owner
    done = session.remote.run(owner, ["tts-host-status"], timeout=60)
    return decode(done, HostReport, command="tts-host-status", host=owner.name)


def remove(session: Session, engine: Engine, old: Old, now: Callable[[str], None]) -> None:
    """Remove it. Interrupted, it goes on where it was when it is run again.

    Raises:
        OpsError: the host or the engine refused.
    """
    if old.side == "host":
        done = session.remote.run(session.outputs.owner, [COMMAND, "--yes", "--json"], timeout=3600)
        if done.code:
            raise jobs.failed(session, done, "Removing what is left on the host")
        return
    cluster = session.outputs.database
    if cluster is None:
        return
    engine.set_plain({"release": cluster.id})
    deployment = Deployment(engine, now)
    for _ in range(_UPDATES):
        deployment.up()
        if parse_outputs(session.stack, engine.outputs()).database is None:
            break
    else:
        raise OpsError(
            "The cluster is still declared.", fix="See what the engine says: pulumi preview", code=ExitCode.FAILED
        )
    engine.unset("release")
