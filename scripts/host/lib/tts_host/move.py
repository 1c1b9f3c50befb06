"""Move the application's state between this host and the outside, either way, without losing what was acknowledged.

Copy while the application runs; stop it, with no work left in the queues; copy again what has changed since; compare
everything; switch; start. Whatever fails before the switch ends with the application running where it ran. Nothing of
the old side is removed.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host import content, docker, hold, move_broker, move_journal, placement
from tts_host.log import ConfigError, Failure, log
from tts_host.move_databases import Copies
from tts_host.move_end import forward, request_path
from tts_host.move_host import has_state, is_running, make_ready, start_again
from tts_host.move_media import Media
from tts_host.move_servers import servers
from tts_host.placement import HOST, OUTSIDE, Home
from tts_host.preflight import MARGIN, check_device, existing
from tts_host.release import publish_again
from tts_host.state import replace

if TYPE_CHECKING:
    from tts_host.application import Application
    from tts_host.move_journal import Journal
    from tts_host.sides import OutsideSide

OWNERS = "select datname as name, pg_get_userbyid(datdba) as owner from pg_database where not datistemplate"
START_S = 10  # of every stop, on top of what is measured: the last services go down


def is_due(home: Home, app: Application, project: dict[str, Any]) -> bool:
    """Whether the state is where it is not wanted. A new host that holds none has nothing to move."""
    wanted = app.wishes.placement
    if placement.is_recorded(home):
        return placement.recorded(home) != wanted
    return wanted == OUTSIDE and has_state(app, project)


def carry_out(home: Home, app: Application, project: dict[str, Any], request: str) -> None:
    """The whole move. Returns when every service is healthy on the new side."""
    outside = app.wishes.outside
    if outside is None:
        raise ConfigError("sides.outside is missing: the state of this host is there, and nobody says where that is")
    if hold.since(home):
        raise Failure("this host is held while its data is brought back (tts-hold): that comes first")
    goal = str(app.wishes.placement)
    with move_journal.jobs_wait(home), ExitStack() as stack:
        publish_again(Path(__file__).resolve().parents[2])
        journal = move_journal.find(home) or move_journal.begin(home, OUTSIDE if goal == HOST else HOST, goal)
        were_running = [name for name in app.wishes.host.services if is_running(app, name)]
        try:
            copies = prepare(stack, app, project, outside, journal)
            began = transfer(home, app, outside, copies, journal, request)
        except BaseException:
            idle = [name for name in app.wishes.host.services if goal == HOST and name not in were_running]
            start_again(home, app, journal, idle)
            raise
        copies.databases.hand_over()
        journal.enter("marked")
        stack.close()
        forward(home, app, journal)
    log("info", result="ok", moved_to=goal, stopped_s=f"{time.monotonic() - began:.1f}")


@dataclass(frozen=True)
class Parts:
    """What is moved: the databases, and the media where both sides have a place for them."""

    databases: Copies
    media: Media | None


def prepare(
    stack: ExitStack, app: Application, project: dict[str, Any], outside: OutsideSide, journal: Journal
) -> Parts:
    """Both sides answer, nothing that counts would be overwritten, and there is room."""
    make_ready(app, project, journal)
    near, far = stack.enter_context(servers(app.project, app.wishes.host, outside))
    outwards = journal.goal == OUTSIDE
    if outwards:
        databases = Copies(near, far, outside.owners)
    else:
        owners = {row["name"]: row["owner"] for row in near.rows(near.maintenance, OWNERS)}
        absent = [name for name in outside.owners if name not in owners]
        if absent:
            raise Failure(f"this host's database server has no database {', '.join(absent)}: make it, with its owner")
        databases = Copies(far, near, {name: owners[name] for name in outside.owners})
    media = None
    if app.wishes.host.media_volume and outside.media:
        folder = docker.volume_folder(app.project, app.wishes.host.media_volume)
        media = Media(folder, outside.media, outwards)
        media.check()
    size = databases.check()
    if not outwards and outside.media:
        size += outside.media.size()
    # A dump of each of two databases at a time, and, on the way in, what they become.
    check_device(existing(Path("/var/lib/docker")), size + (0 if outwards else size) + MARGIN, 0)
    databases.prepare()
    return Parts(databases, media)


def transfer(home: Home, app: Application, outside: OutsideSide, parts: Parts, journal: Journal, request: str) -> float:
    """From the first copy to the point of no return. Returns when the stop began, on the clock that never goes back."""
    if not journal.is_past("closing"):
        journal.enter("copying")
    seconds = copy_ahead(parts)
    log("info", estimated_stop_s=f"{seconds:.0f}", allowed_s=outside.max_stop_s)
    if seconds > outside.max_stop_s:
        raise Failure(
            f"the application would stand still for about {seconds:.0f} s, allowed are {outside.max_stop_s} s. Nothing "
            "was changed: try again when less is written, or allow more (`maxStopSeconds`)"
        )
    began = time.monotonic()
    move_journal.promise_start(home)
    journal.enter("closing")
    broker = app.wishes.host.broker if journal.origin == HOST else ""
    move_broker.stop(app.project, app.wishes.host.services, broker, journal.enter)
    journal.enter("stopped")
    with ThreadPoolExecutor(max_workers=1) as pool:
        rests = pool.submit(move_broker.rest, app.project, broker)
        copy_the_rest(parts)
        rests.result()
    journal.enter("copied")
    replace(request_path(), request, 0o600)
    journal.enter("switching")
    return began


def copy_ahead(parts: Parts) -> float:
    """Copy while the application runs, and estimate how long the rest will take without it."""
    databases = parts.databases
    databases.look_at_target()
    fresh = [name for name in databases.names if not content.rows(databases.found[name])]
    databases.copy(fresh)
    seen = databases.look()
    stale = [name for name in databases.changed(seen) if name not in fresh]
    if stale:  # left by a move that did not end, or by one the other way
        databases.copy(stale)
        seen = databases.look()
    if parts.media:
        parts.media.copy()
        parts.media.sync()
    written = databases.catch_up(seen)  # takes as long as it will without the application
    log("info", written_meanwhile=",".join(written) or "nothing")
    of_databases = databases.read_s + databases.estimate(written)
    return START_S + max(of_databases, 2 * parts.media.pass_s if parts.media else 0)


def copy_the_rest(parts: Parts) -> None:
    """Nothing is written any more: what is copied and compared now is what the new side starts with."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        files = pool.submit(finish_media, parts.media) if parts.media else None
        databases = parts.databases
        seen = databases.look_again()
        again = databases.catch_up(seen)
        databases.copy(databases.changed(seen))  # where single tables were not enough
        databases.compare(seen)
        count = files.result() if files else 0
    rows = sum(content.rows(part) for part in seen.values())
    log("info", compared_databases=len(seen), rows=rows, copied_again=",".join(again) or "none", files=count)


def finish_media(media: Media) -> int:
    media.sync()
    return media.compare()
