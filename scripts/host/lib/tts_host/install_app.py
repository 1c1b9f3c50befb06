"""What `install-app` does: check, exchange the files, start the Compose project, wait until every service is
healthy.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_host import docker
from tts_host.config import SAFE_VALUE
from tts_host.log import ConfigError, Failure, log, step
from tts_host.process import run
from tts_host.restore_media import exchange
from tts_host.state import replace

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")
START_TIMEOUT_S = 900


@dataclass(frozen=True)
class Application:
    """The checked input."""

    env: dict[str, str]
    project: str
    directory: Path
    source: Path
    compose_file: str

    def compose(self, env_file: Path, directory: Path, *args: str) -> list[str]:
        return [
            "docker",
            "compose",
            "-p",
            self.project,
            "--env-file",
            str(env_file),
            "-f",
            str(directory / self.compose_file),
            *args,
        ]


def main(_args: list[str]) -> None:
    app = read_request(sys.stdin.read())
    env_file = Path(os.environ.get("TTS_APP_ENV", "/etc/tts/app.env"))
    try_compose(app, env_file)
    env_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(env_file, env_text(app.env), 0o600)
    swapped = swap(app)
    start(app, env_file)
    if swapped:
        restart_bound(app)
    log("info", result="ok", project=app.project, files="changed" if swapped else "unchanged")


def read_request(text: str) -> Application:
    try:
        found: dict[str, Any] = json.loads(text)
        app = Application(
            env=dict(found["env"]),
            project=found["project"],
            directory=Path(found["directory"]),
            source=Path(found["source"]),
            compose_file=found["compose_file"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"stdin must be JSON with env, project, directory, source and compose_file ({type(error).__name__})"
        ) from None
    wrong = [f"env key {key!r} is not a variable name" for key in app.env if not KEY.fullmatch(key)]
    wrong += [
        f"{key} has a quote, a line break or a NUL"
        for key, value in app.env.items()
        if re.search(r"['\n\r\0]", str(value))
    ]
    wrong += [] if PROJECT.fullmatch(app.project) else [f"project {app.project!r} is not a Compose project name"]
    wrong += [] if app.directory.is_absolute() else [f"directory {app.directory} is not absolute"]
    wrong += [] if (app.source / app.compose_file).is_file() else [f"{app.source} has no {app.compose_file}"]
    if wrong:
        raise ConfigError("; ".join(wrong) + ". Nothing was changed")
    return app


def env_text(env: dict[str, str]) -> str:
    """Lines that Compose reads literally: a value with unusual characters stands in single quotes."""
    quoted = {
        key: value if SAFE_VALUE.fullmatch(value) else f"'{value}'"
        for key, value in ((key, str(value)) for key, value in env.items())
    }
    return "".join(f"{key}={value}\n" for key, value in sorted(quoted.items()))


def try_compose(app: Application, env_file: Path) -> None:
    """Let Compose read the new files with the new settings before anything changes."""
    with tempfile.TemporaryDirectory(prefix="tts-app.") as folder:
        draft = Path(folder) / env_file.name
        replace(draft, env_text(app.env), 0o600)
        done = run(app.compose(draft, app.source, "config", "--quiet"), timeout=120)
    if done.code != 0:
        raise ConfigError(f"Compose refuses {app.compose_file}: {done.words}. Nothing was changed")


def swap(app: Application) -> bool:
    """Exchange the directory for a copy of the source; False when they are equal already."""
    if app.directory.is_dir() and same(app.source, app.directory):
        return False
    app.directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=app.directory.parent, prefix=f".{app.directory.name}.new."))
    try:
        shutil.copytree(app.source, fresh, dirs_exist_ok=True)
        set_modes(fresh)
        if app.directory.exists():
            exchange(app.directory, fresh)
        else:
            fresh.rename(app.directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def same(one: Path, other: Path) -> bool:
    """Equal trees, byte for byte."""
    compared = filecmp.dircmp(one, other, ignore=[])
    if compared.left_only or compared.right_only or compared.funny_files:
        return False
    _, different, errors = filecmp.cmpfiles(one, other, compared.common_files, shallow=False)
    return not different and not errors and all(same(one / name, other / name) for name in compared.common_dirs)


def set_modes(folder: Path) -> None:
    """Containers run as other users: readable for all, executable where it is a script. What came over the network
    has no modes.
    """
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        if path.is_dir():
            path.chmod(0o755)
        else:
            with open(path, "rb") as stream:
                path.chmod(0o755 if stream.read(2) == b"#!" else 0o644)


def start(app: Application, env_file: Path) -> None:
    command = app.compose(
        env_file, app.directory, "up", "--detach", "--wait", "--wait-timeout", str(START_TIMEOUT_S), "--remove-orphans"
    )
    done = run(command, timeout=START_TIMEOUT_S + 300)
    if done.code != 0:
        sick = [
            f"{item.name} is {item.health or item.state}"
            for item in docker.containers(app.project, everything=True)
            if not item.healthy
        ]
        raise Failure(
            f"docker compose up ended with {done.code}: {'; '.join(sick) or done.words}. See docker logs NAME on "
            "this host"
        )


def restart_bound(app: Application) -> None:
    """A container that mounts files of the directory still sees those of before: restart it."""
    names = [item.name for item in docker.containers(app.project)]
    if not names:
        return
    bound = [
        item["Name"].lstrip("/")
        for item in json.loads(docker.docker("inspect", "--type", "container", *names))
        if any(
            mount.get("Type") == "bind" and Path(mount["Source"]).is_relative_to(app.directory)
            for mount in item.get("Mounts", [])
        )
    ]
    if bound:
        docker.docker("restart", *bound, timeout=300)


if __name__ == "__main__":
    step(main)
