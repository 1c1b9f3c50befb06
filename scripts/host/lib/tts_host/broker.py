"""The broker's definitions as a file: users, virtual hosts, permissions, declared queues. Not its messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tts_host import docker, state
from tts_host.log import Failure, warn
from tts_host.process import run

if TYPE_CHECKING:
    from pathlib import Path

    from tts_host.config import Config

EXPORT = ("rabbitmqctl", "--quiet", "export_definitions", "-")


def folder(config: Config) -> Path:
    """Where the file stands during a run. Constant: it is a path of the snapshots."""
    return config.state_dir / "staging" / "broker"


def export(config: Config) -> list[Path]:
    """The file, or nothing and a warning: a broker that is down must not cost the rest of the configuration."""
    if not config.broker_service:
        return []
    try:
        container = docker.one_container(config.project, config.broker_service)
        done = run(["docker", "exec", "-i", container.id, *EXPORT], timeout=120)
        if done.code != 0:
            raise Failure(f"{' '.join(EXPORT)} ended with {done.code}: {done.words}")
        text = done.out[done.out.index("{") :]
        json.loads(text)["vhosts"]
    except (Failure, ValueError, KeyError) as error:
        reason = str(error) if isinstance(error, Failure) else "what it printed are no definitions"
        warn(f"the broker's definitions are not in this backup: {reason}")
        return []
    target = folder(config) / "definitions.json"
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    state.replace(target, text, 0o600)
    return [target]
