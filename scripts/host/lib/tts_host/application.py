"""The Compose application as it is installed here: its files, its environment, its containers."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts_host import docker, services
from tts_host.config import SAFE_VALUE
from tts_host.log import ConfigError, Failure
from tts_host.process import Done, run
from tts_host.restore_media import exchange
from tts_host.sides import Wishes
from tts_host.state import replace

START_TIMEOUT_S = 900


@dataclass(frozen=True)
class Application:
    """The checked input."""

    env: dict[str, str]
    project: str
    directory: Path
    source: Path
    compose_file: str
    wishes: Wishes = field(default_factory=Wishes)

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


def env_path() -> Path:
    """Where the environment file of the Compose project is."""
    return Path(os.environ.get("TTS_APP_ENV", "/etc/tts/app.env"))


def env_text(env: dict[str, str]) -> str:
    """Lines that Compose reads literally: a value with unusual characters stands in single quotes."""
    quoted = {
        key: value if SAFE_VALUE.fullmatch(value) else f"'{value}'"
        for key, value in ((key, str(value)) for key, value in env.items())
    }
    return "".join(f"{key}={value}\n" for key, value in sorted(quoted.items()))


def try_compose(app: Application, env_file: Path) -> dict[str, Any]:
    """Let Compose read the new files with the new settings before anything changes. Returns the project it sees."""
    with tempfile.TemporaryDirectory(prefix="tts-app.") as folder:
        draft = Path(folder) / env_file.name
        replace(draft, env_text(app.env), 0o600)
        done = run(app.compose(draft, app.source, "config", "--format", "json"), timeout=120)
    if done.code != 0:
        raise ConfigError(f"Compose refuses {app.compose_file}: {done.words}. Nothing was changed")
    return json.loads(done.out or "{}")


def check_services(app: Application, project: dict[str, Any]) -> None:
    """Services that are named in the input must be in the file."""
    host = app.wishes.host
    named = {*app.wishes.services, *host.services}
    absent = sorted(named - set(project.get("services", named)))
    if host.media_volume and host.media_volume not in project.get("volumes", {host.media_volume: None}):
        absent.append(f"volume {host.media_volume}")
    if absent:
        raise ConfigError(f"{app.compose_file} has no {', '.join(absent)}. Nothing was changed")


def image_of(project: dict[str, Any], service: str) -> str | None:
    return project.get("services", {}).get(service, {}).get("image")


def volumes_of(project: dict[str, Any], service: str) -> list[str]:
    """The named volumes that a service mounts, by their names in the file."""
    mounts = project.get("services", {}).get(service, {}).get("volumes", [])
    return [mount["source"] for mount in mounts if mount.get("type") == "volume" and mount.get("source")]


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
    """All services; of a host with a part of them, those, and nothing else is touched."""
    up(app, env_file, app.directory, *_whole(app))


def start_at_once(app: Application, env_file: Path) -> None:
    """The same without the order of need, unless an image is new: what has run before waits by itself for what it
    needs, and an order costs one interval of a health check after the other.
    """
    before = {item.service: item.image_id for item in docker.containers(app.project, everything=True)}
    if (done := _up(app, env_file, app.directory, "--no-start", *_whole(app))).code != 0:
        raise Failure(f"docker compose up --no-start ended with {done.code}: {done.words}")
    made = docker.containers(app.project, everything=True)
    if all(before.get(item.service) == item.image_id for item in made):
        services.start([item.name for item in made if item.state != "running"])
    start(app, env_file)


def up(app: Application, env_file: Path, directory: Path, *args: str) -> None:
    """Create and start what the files say, and wait until it is healthy."""
    done = _up(app, env_file, directory, "--detach", "--wait", "--wait-timeout", str(START_TIMEOUT_S), *args)
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


def _up(app: Application, env_file: Path, directory: Path, *args: str) -> Done:
    return run(app.compose(env_file, directory, "up", *args), timeout=START_TIMEOUT_S + 300)


def _whole(app: Application) -> tuple[str, ...]:
    return ("--no-deps", *app.wishes.services) if app.wishes.services else ("--remove-orphans",)


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
