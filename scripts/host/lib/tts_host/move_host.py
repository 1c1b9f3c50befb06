"""This host's own part in a move: what it holds, what has to run for it, and the way back to where it was."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host import docker, move_journal, services
from tts_host.application import env_path, env_text, up, volumes_of
from tts_host.log import Failure, log
from tts_host.placement import HOST
from tts_host.process import run
from tts_host.state import replace

if TYPE_CHECKING:
    from tts_host.application import Application
    from tts_host.move_journal import Journal
    from tts_host.placement import Home

HEALTHY_WITHIN_S = 300


def has_state(app: Application, project: dict[str, Any]) -> bool:
    """Whether a database of the application is here: its container, or what its container has left in a volume."""
    service = app.wishes.host.database
    if any(item.service == service for item in docker.containers(app.project, everything=True)):
        return True
    names = volumes_of(project, service)
    return any(any(folder.iterdir()) for folder in docker.volume_folders(app.project, names))


def is_running(app: Application, service: str) -> bool:
    return any(item.service == service for item in docker.containers(app.project))


def make_ready(app: Application, project: dict[str, Any], journal: Journal) -> None:
    """The database runs here, beside the broker on the way in, and the media have a volume."""
    host = app.wishes.host
    if journal.goal != HOST:
        if not is_running(app, host.database):
            up(app, env_path(), app.directory, "--no-deps", host.database)
        return
    # From the new files and settings: what runs goes on with what it has.
    with tempfile.TemporaryDirectory(prefix="tts-app.") as folder:
        draft = Path(folder) / env_path().name
        replace(draft, env_text(app.env), 0o600)
        up(app, draft, app.source, "--no-deps", *host.services)
        if host.media_volume and not docker.volume_folders(app.project, [host.media_volume]):
            make_volume(app, project, draft)


def make_volume(app: Application, project: dict[str, Any], env_file: Path) -> None:
    """By Compose itself, with a container that does nothing: it gives the folder the owner that the image wants."""
    volume = app.wishes.host.media_volume
    users = [name for name in project.get("services", {}) if volume in volumes_of(project, name)]
    if not users:
        raise Failure(f"no service mounts the volume {volume}: there is no place for the media on this host")
    words = ("run", "--rm", "--no-deps", "--entrypoint", "true", users[0])
    done = run(app.compose(env_file, app.source, *words), timeout=300)
    if done.code != 0:
        raise Failure(f"the volume {volume} could not be made: {done.words}")


def start_again(home: Home, app: Application, journal: Journal, idle: list[str]) -> None:
    """A move that does not come about: all that was stopped runs again, and `idle` services stop again."""
    if journal.is_past("closing"):
        log("warning", warning=f"the move ends here: the application is started on the {journal.origin} side")
        down = [item.name for item in docker.containers(app.project, everything=True) if item.state != "running"]
        try:
            services.start(down)
        except Failure as failure:
            log("warning", warning=str(failure))
        if sick := await_health(app):
            log("error", error=f"the application did not come back: {', '.join(sick)}")
            return  # the note stays: this host goes on trying
        move_journal.note(home).unlink(missing_ok=True)
    waste = [item.name for item in docker.containers(app.project) if item.service in idle]
    if waste:
        docker.docker("stop", "--time", "60", *waste, timeout=300)
    journal.end()


def await_health(app: Application) -> list[str]:
    """Names of what is not healthy in the end."""
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while True:
        sick = [item.name for item in docker.containers(app.project, everything=True) if not item.healthy]
        if not sick or time.monotonic() > deadline:
            return sick
        time.sleep(1)
