"""Take this host out of the balancer while it changes: its health is answered with 503 while it still serves.

The sign is a file in a folder that the application's entry mounts. In it stands the time at which it goes away by
itself, so that a host whose change was killed comes back.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tts_host import docker
from tts_host.application import env_text, same
from tts_host.log import log, step
from tts_host.placement import Home
from tts_host.state import replace

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tts_host.application import Application

FOLDER, SIGN = "drain", "drain"
AT_MOST_S = 1800


def folder(home: Home) -> Path:
    return home.state_dir / FOLDER


@contextmanager
def out(home: Home, app: Application, env_file: Path) -> Generator[None]:
    """Inside this block the balancer sends nothing here, if there is one and something is going to change."""
    if app.wishes.drain_s is None:
        yield
        return
    if not is_changed(app, env_file) or not docker.containers(app.project):
        put_back(home)  # a killed attempt may have left its sign
        yield
        return
    begin(home, app.wishes.drain_s)
    try:
        yield
    finally:
        put_back(home)  # one that is not healthy says so itself


def is_changed(app: Application, env_file: Path) -> bool:
    try:
        unchanged = env_file.read_text(encoding="utf-8") == env_text(app.env)
    except OSError:
        return True
    return not unchanged or not app.directory.is_dir() or not same(app.source, app.directory)


def make_folder(home: Home) -> None:
    """The containers' users read it."""
    folder(home).mkdir(parents=True, exist_ok=True)
    folder(home).chmod(0o755)


def begin(home: Home, seconds: int) -> None:
    """Put up the sign, and wait until every check of the balancer has seen it."""
    make_folder(home)
    replace(folder(home) / SIGN, f"{int(time.time()) + seconds + AT_MOST_S}\n", 0o644)
    log("info", drained="on", wait_s=seconds)
    time.sleep(seconds)


def put_back(home: Home, *, if_due: bool = False) -> None:
    sign = folder(home) / SIGN
    if not sign.exists() or (if_due and not is_due(sign)):
        return
    sign.unlink(missing_ok=True)
    log("info", drained="off")


def is_due(sign: Path) -> bool:
    try:
        return time.time() >= int(sign.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return True


def main(args: list[str]) -> None:
    from tts_host.config import load  # noqa: PLC0415 - the installer of the application has no settings of jobs

    home = Home(load().state_dir)
    if args[0] == "on":
        begin(home, int(args[1]))
    else:
        put_back(home, if_due="--if-due" in args)


if __name__ == "__main__":
    step(main)
