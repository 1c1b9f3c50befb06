"""What `install-app` does: check, move the state where that is asked for, exchange the files, start the Compose
project, wait until every service is healthy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tts_host import drain, move, move_end, placement
from tts_host.application import check_services, env_path, env_text, image_of, restart_bound, start, swap, try_compose
from tts_host.log import log, step
from tts_host.move_servers import give_databases
from tts_host.placement import Home
from tts_host.request import read_request
from tts_host.state import replace

if TYPE_CHECKING:
    from tts_host.application import Application


def main(_args: list[str]) -> None:
    home = Home(Path(os.environ.get("TTS_STATE_DIR", "/var/lib/tts")))
    text = sys.stdin.read()
    app = read_request(text)
    project = try_compose(app, env_path())
    check_services(app, project)
    move_end.end_what_was_begun(home, app)
    if app.wishes.placement:
        if move.is_due(home, app, project):
            move.carry_out(home, app, project, text)
            return
        if app.wishes.placement == placement.OUTSIDE and app.wishes.outside:
            give_databases(app.wishes.outside)  # they may be new
        placement.write(home, app.wishes.placement, image=image_of(project, app.wishes.host.database))
    drain.make_folder(home)
    with drain.out(home, app, env_path()):
        change(app)


def change(app: Application) -> None:
    """The usual way: the state stays where it is."""
    env_file = env_path()
    env_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(env_file, env_text(app.env), 0o600)
    swapped = swap(app)
    start(app, env_file)
    if swapped:
        restart_bound(app)
    log("info", result="ok", project=app.project, files="changed" if swapped else "unchanged")


if __name__ == "__main__":
    step(main)
