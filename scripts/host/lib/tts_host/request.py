"""The input of `install-app`, checked as a whole before anything is done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tts_host import sides
from tts_host.application import Application
from tts_host.log import ConfigError

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")


def read_request(text: str) -> Application:
    try:
        found: dict[str, Any] = json.loads(text)
        wrong: list[str] = []
        app = Application(
            env=dict(found["env"]),
            project=found["project"],
            directory=Path(found["directory"]),
            source=Path(found["source"]),
            compose_file=found["compose_file"],
            wishes=sides.read(found, wrong),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"stdin must be JSON with env, project, directory, source and compose_file ({type(error).__name__})"
        ) from None
    wrong += [f"env key {key!r} is not a variable name" for key in app.env if not KEY.fullmatch(key)]
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
