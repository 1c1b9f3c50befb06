"""Containers and volumes, found by their Compose labels. Nothing is ever created by looking."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host.log import Failure
from tts_host.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
VOLUME = "com.docker.compose.volume"
DRAINED = "tts.drained"
SQLITE_NAME = re.compile(r"\.(sqlite3?|db3?)$")
MEDIA_PATH = re.compile(r"/(media|uploads)/")
SYSTEM_PATH = re.compile(r"^/(usr|tmp|proc|sys|run|dev|etc|boot|var/(cache|tmp|run|log|lib/(apt|dpkg)))/")


@dataclass(frozen=True)
class Container:
    """One container of the application."""

    id: str
    name: str
    service: str
    state: str
    health: str
    exit_code: int
    restarts: int
    image: str
    image_id: str
    one_off: bool
    read_only: bool
    upper: str  # folder of its own layer on this host; empty when the storage driver has none
    published: bool = False  # it has ports of this host
    drained: str = ""  # a command that tells whether work waits for the broker
    pid: int = 0  # of its first process, on this host
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # holds secrets

    @property
    def healthy(self) -> bool:
        """Its health check passes; without one, it runs; a finished one-time job ended well."""
        if self.state == "exited":
            return self.exit_code == 0 and self.restarts == 0
        return self.state == "running" and self.health in ("healthy", "")


def docker(*args: str, timeout: float = 60) -> str:
    done = run(["docker", *args], timeout=timeout)
    if done.code != 0:
        raise Failure(f"docker {args[0]} ended with {done.code}: {done.words}")
    return done.out


def containers(project: str, *, everything: bool = False) -> list[Container]:
    """The project's containers, running ones unless `everything`."""
    listing = docker(
        "ps", "--quiet", "--no-trunc", "--filter", f"label={PROJECT}={project}", *(["--all"] if everything else [])
    )
    ids = listing.split()
    if not ids:
        return []
    found = [_container(item) for item in json.loads(docker("inspect", "--type", "container", *ids))]
    return sorted((item for item in found if not item.one_off), key=lambda item: item.name)


def one_container(project: str, service: str) -> Container:
    """The one running container of a service, else a Failure that says what was searched and what was found."""
    running = containers(project)
    found = [item for item in running if item.service == service]
    if len(found) == 1:
        return found[0]
    names = ", ".join(item.name for item in found) or "none"
    others = ", ".join(f"{item.name} ({item.service})" for item in running) or "none"
    raise Failure(
        f"searched one running container with labels {PROJECT}={project} and {SERVICE}={service}, found "
        f"{len(found)}: {names}. "
        f"Running containers of the project: {others}"
    )


def volume_folder(project: str, volume: str) -> Path:
    """The folder of the project's volume, found by label and looked at, never created."""
    listing = docker(
        "volume",
        "ls",
        "--format",
        "{{.Name}}",
        "--filter",
        f"label={PROJECT}={project}",
        "--filter",
        f"label={VOLUME}={volume}",
    )
    names = listing.split()
    if len(names) != 1:
        there = docker("volume", "ls", "--format", "{{.Name}}").split()
        raise Failure(
            f"searched one volume with labels {PROJECT}={project} and {VOLUME}={volume}, found {len(names)}: "
            f"{', '.join(names) or 'none'}. "
            f"Volumes on this host: {', '.join(there) or 'none'}"
        )
    folder = Path(json.loads(docker("volume", "inspect", names[0]))[0]["Mountpoint"])
    if not folder.is_dir():
        raise Failure(f"volume {names[0]} says its folder is {folder}, but that folder is not there")
    return folder


def volume_folders(project: str, volumes: list[str]) -> list[Path]:
    """The folders of those of the project's volumes that are there."""
    return [
        folder for name in volumes for folder in (Path(item["Mountpoint"]) for item in volumes_named(project, name))
    ]


def volumes_named(project: str, volume: str) -> list[dict[str, Any]]:
    """The project's volume of that name in the Compose file, as Docker describes it: one, or none."""
    labels = ("--filter", f"label={PROJECT}={project}", "--filter", f"label={VOLUME}={volume}")
    names = docker("volume", "ls", "--format", "{{.Name}}", *labels).split()
    return [json.loads(docker("volume", "inspect", name))[0] for name in names]


def unprotected(project: str, kind: str, database_service: str) -> list[str]:
    """State in a container's own layer, which goes with the container and is in no dump: SQLite files or media."""
    found: list[str] = []
    for container in containers(project):
        if container.service == database_service or container.read_only:
            continue
        for path in layer(container):
            if SYSTEM_PATH.match(path):
                continue
            if kind == "databases" and SQLITE_NAME.search(path) and _is_sqlite(container.id, path):
                found.append(f"{container.name}:{path}")
            if kind == "media" and MEDIA_PATH.search(path) and _is_file(container.id, path):
                found.append(f"{container.name}:{path}")
    return found


def layer(container: Container) -> list[str]:
    """What a container has written outside its volumes, as paths inside it. `docker diff` says the same in seconds."""
    if not container.upper:
        lines = docker("diff", container.id).splitlines()
        return [line[2:] for line in lines if line[:2] in {"A ", "C "}]
    found: list[str] = []
    for folder, _, names in os.walk(container.upper):
        inside = "/" + os.path.relpath(folder, container.upper)
        found += [f"{inside}/{name}".replace("/./", "/") for name in names]
    return found


def _is_sqlite(container: str, path: str) -> bool:
    """By its first bytes; a file that cannot be read is taken for one."""
    done = run(["docker", "exec", container, "head", "-c", "15", path], timeout=30)
    return done.code != 0 or not done.out or done.out.startswith("SQLite format 3")


def _is_file(container: str, path: str) -> bool:
    return run(["docker", "exec", container, "test", "-f", path], timeout=30).code == 0


def _container(item: dict[str, Any]) -> Container:
    labels = item["Config"].get("Labels") or {}
    state = item["State"]
    return Container(
        id=item["Id"],
        name=item["Name"].lstrip("/"),
        service=labels.get(SERVICE, ""),
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        exit_code=int(state.get("ExitCode", 0)),
        restarts=int(item.get("RestartCount", 0)),
        image=item["Config"].get("Image", ""),
        image_id=item.get("Image", ""),
        one_off=labels.get("com.docker.compose.oneoff") == "True",
        read_only=bool((item.get("HostConfig") or {}).get("ReadonlyRootfs")),
        upper=((item.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or "",
        published=bool((item.get("HostConfig") or {}).get("PortBindings")),
        drained=labels.get(DRAINED, ""),
        pid=int(state.get("Pid") or 0),
        env=dict(line.partition("=")[::2] for line in item["Config"].get("Env") or []),
    )
