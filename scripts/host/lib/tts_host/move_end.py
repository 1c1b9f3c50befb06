"""From the switch of a move to its end: every step may be repeated, by the deployment or by the host alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tts_host import move_journal, placement
from tts_host.application import (
    env_path,
    env_text,
    image_of,
    restart_bound,
    start_at_once,
    swap,
    try_compose,
    volumes_of,
)
from tts_host.config import load
from tts_host.log import Failure, log, step
from tts_host.move_databases import Copies
from tts_host.move_host import start_again
from tts_host.move_servers import servers
from tts_host.placement import OUTSIDE, Home
from tts_host.request import read_request
from tts_host.state import replace

if TYPE_CHECKING:
    from tts_host.application import Application
    from tts_host.move_journal import Journal

REQUEST = "move-request"  # what the deployment sent, kept from the switch to the end: the end may come without it


def request_path() -> Path:
    """Beside the environment file, for root alone: it holds the same secrets."""
    return env_path().with_name(REQUEST)


def forward(home: Home, app: Application, journal: Journal) -> None:
    """From the switch to the end. Every step may be repeated."""
    project = try_compose(app, env_path())
    replace(env_path(), env_text(app.env), 0o600)
    swapped = swap(app)
    journal.enter("configured")
    host = app.wishes.host
    old = [*volumes_of(project, host.database), *(volumes_of(project, host.broker) if host.broker else [])]
    old += [host.media_volume] if host.media_volume else []
    placement.write(
        home,
        journal.goal,
        image=image_of(project, host.database),
        old=old if journal.goal == OUTSIDE else None,
    )
    journal.enter("recorded")
    start_at_once(app, env_path())
    if swapped:
        restart_bound(app)
    journal.enter("started")
    move_journal.note(home).unlink(missing_ok=True)
    request_path().unlink(missing_ok=True)
    journal.end()


def end_what_was_begun(home: Home, current: Application | None = None) -> None:
    """A move that has passed its switch is ended; one that has not, and is not wanted any more, is forgotten."""
    journal = move_journal.find(home)
    if journal is None:
        return
    if not journal.is_past("switching"):
        if current and current.wishes.placement != journal.goal:
            start_again(home, current, journal, [])
        return
    log(
        "warning",
        warning=f"a move to the {journal.goal} side was killed after its switch ({journal.step}): it is ended",
    )
    app = saved_request(current)
    with move_journal.jobs_wait(home):
        if not journal.is_past("marked"):
            mark(app, journal)
            journal.enter("marked")
        forward(home, app, journal)


def saved_request(current: Application | None) -> Application:
    """The request that the move was begun with. Its files may have gone with a newer deployment's."""
    try:
        document = json.loads(request_path().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{request_path()} cannot be read ({type(error).__name__}): deploy again (pulumi up)") from None
    if not (Path(document["source"]) / document["compose_file"]).is_file():
        document["source"] = str(current.source) if current else document["directory"]
    return read_request(json.dumps(document))


def mark(app: Application, journal: Journal) -> None:
    outside = app.wishes.outside
    if outside is None:
        raise Failure("the request of the move names no other side")
    with servers(app.project, app.wishes.host, outside) as (near, far):
        pair = (near, far) if journal.goal == OUTSIDE else (far, near)
        Copies(*pair, outside.owners).hand_over()


def main(_args: list[str]) -> None:
    """`python3 -m tts_host.move_end`, by tts-quiesce: end a move that was killed after its switch."""
    end_what_was_begun(Home(load().state_dir))


if __name__ == "__main__":
    step(main)
