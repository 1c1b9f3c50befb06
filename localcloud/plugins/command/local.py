"""Commands on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

from localcloud.plugins.codec import CloudError, Codec, Properties, current_name, current_urn
from localcloud.plugins.command.session import Session, stdout_logged
from localcloud.plugins.values import Asset


class Command(Codec[Session]):
    token = "command:local:Command"
    sdk = "pulumi_command.local.command:Command"
    label = "command"
    replaces = frozenset({"triggers"})
    recomputed = frozenset({"stdout", "stderr", "assets", "archive"})

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        output: Properties = {"stdout": "", "stderr": ""}
        if inputs.get("create") is not None:
            output = execute(session, inputs["create"], inputs, output)
        return f"{current_name()}{secrets.token_hex(4)}", output

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        return {}

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> Any:
        command = new["update"] if new.get("update") is not None else new.get("create")
        return execute(session, command, new, old) if command is not None else None

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        if state.get("delete") is not None:
            execute(session, state["delete"], state, state)


def execute(session: Session, command: str, given: Properties, previous: Properties) -> Properties:
    """Run a command here and collect what it printed and the files it was to leave."""
    directory = Path(given.get("dir") or Path.cwd())
    arguments = [*(given.get("interpreter") or ["/bin/sh", "-c"]), command]
    shown, log = stdout_logged(given.get("logging")), partial(session.log.info, current_urn())
    both = bytearray()
    try:
        process = subprocess.Popen(
            arguments,
            cwd=directory,
            env=_environment(given, previous),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise CloudError(f"{error}: running {json.dumps(command, ensure_ascii=False)}") from error
    streams = [
        _Stream(process.stdout, both, log if shown.stdout else None),
        _Stream(process.stderr, both, log if shown.stderr else None),
    ]
    _feed(process.stdin, given.get("stdin") or "")
    stdout, stderr = (stream.text() for stream in streams)
    if status := process.wait():
        reason = f"exit status {status}" if status > 0 else f"signal: {-status}"
        quoted = json.dumps(command, ensure_ascii=False)
        raise CloudError(f"{reason}: running {quoted}:\n{both.decode(errors='replace')}")
    return {"stdout": stdout, "stderr": stderr, **_files(directory, given)}


def run(session: Session, args: Properties) -> Properties:
    """The function `local.run`: it runs in previews too."""
    return {**args, **execute(session, args["command"], args, {})}


FUNCTIONS = {"command:local:run": run}


def _environment(given: Properties, previous: Properties) -> dict[str, str]:
    found = {**os.environ, **(given.get("environment") or {})}
    if given.get("addPreviousOutputInEnv") is not False:
        outputs = {f"PULUMI_COMMAND_{name.upper()}": previous.get(name) for name in ("stdout", "stderr")}
        found |= {name: value for name, value in outputs.items() if value}
    return found


class _Stream(threading.Thread):
    """Read one stream of a process to its end, line by line."""

    def __init__(self, stream: IO[bytes] | None, both: bytearray, log: Callable[[str], None] | None) -> None:
        super().__init__(daemon=True)
        self._stream, self._both, self._log, self._own = stream, both, log, bytearray()
        self.start()

    def run(self) -> None:
        for line in self._stream or ():
            self._own.extend(line)
            self._both.extend(line)
            if self._log:
                self._log(line.decode(errors="replace").rstrip("\n"))

    def text(self) -> str:
        self.join()
        return self._own.decode(errors="replace").removesuffix("\n")


def _feed(stream: IO[bytes] | None, text: str) -> None:
    if stream is None:
        return
    try:
        with stream:
            stream.write(text.encode())
    except BrokenPipeError:
        return  # the command has ended without reading: its exit status tells whether that is well


def _files(directory: Path, given: Properties) -> Properties:
    found: Properties = {}
    if given.get("assetPaths") is not None:
        found["assets"] = _matching(directory, given["assetPaths"])
    if given.get("archivePaths") is not None:
        assets = _matching(directory, given["archivePaths"])
        digest = hashlib.sha256(json.dumps({name: asset.hash for name, asset in assets.items()}).encode())
        found["archive"] = Asset(archive=True, hash=digest.hexdigest(), content={"assets": assets})
    return found


def _matching(directory: Path, globs: list[str]) -> dict[str, Asset]:
    """Files below a directory that the globs name; later globs win, and `!` takes out."""
    rules = [(glob.startswith("!"), _pattern(glob.removeprefix("!"))) for glob in globs]
    found: dict[str, Asset] = {}
    for path in sorted(item for item in directory.rglob("*") if not item.is_dir()):
        name = path.relative_to(directory).as_posix()
        wanted = [not exclude for exclude, pattern in rules if pattern.fullmatch(name)]
        if wanted and wanted[-1]:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = Asset(archive=False, hash=digest, content={"path": str(path)})
    return found


def _pattern(glob: str) -> re.Pattern[str]:
    """`*` stays within a directory, `**` does not; `?`, `[..]` and `{a,b}` as in a shell."""
    known = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
    parts = re.findall(r"\*\*|\[[^\]]*\]|.", glob)
    depth, text = 0, ""
    for part in parts:
        depth += {"{": 1, "}": -1}.get(part, 0)
        if part.startswith("["):
            text += part.replace("[!", "[^")
        elif part == "," and not depth:
            text += ","
        else:
            text += known.get(part, re.escape(part))
    return re.compile(text)
