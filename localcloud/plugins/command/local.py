"""Commands on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.plugins.codec import CloudError, Codec, Properties, Work, current_name, current_urn
from localcloud.plugins.command.session import Session, stdout_logged
from localcloud.plugins.values import Asset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Command(Codec[Session]):
    kind = "command:local:Command"
    sdk = "pulumi_command.local.command:Command"
    label = "command"
    replaces = frozenset({"triggers"})
    recomputed = frozenset({"stdout", "stderr", "assets", "archive"})

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        output: Properties = {"stdout": "", "stderr": ""}
        if it.inputs.get("create") is not None:
            output = execute(it.session, it.inputs["create"], it.inputs, output)
        return f"{current_name()}{secrets.token_hex(4)}", output

    def update(self, it: Work[Session]) -> Any:
        command = it.inputs["update"] if it.inputs.get("update") is not None else it.inputs.get("create")
        return execute(it.session, command, it.inputs, it.state) if command is not None else None

    def delete(self, it: Work[Session]) -> None:
        if it.state.get("delete") is not None:
            execute(it.session, it.state["delete"], it.state, it.state)


def execute(session: Session, command: str, given: Properties, previous: Properties) -> Properties:
    """Run a command here and collect what it printed and the files it was to leave."""
    directory = Path(given.get("dir") or Path.cwd())
    arguments = [*(given.get("interpreter") or ["/bin/sh", "-c"]), command]
    quoted = json.dumps(command, ensure_ascii=False)
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
        raise CloudError(f"{error}: running {quoted}") from error
    stdout, stderr, both = _talk(process, given, partial(session.log.info, current_urn()))
    if status := process.returncode:
        reason = f"exit status {status}" if status > 0 else f"signal: {-status}"
        raise CloudError(f"{reason}: running {quoted}:\n{both}")
    return {"stdout": stdout, "stderr": stderr, **_files(directory, given)}


def _talk(process: subprocess.Popen[bytes], given: Properties, log: Callable[[str], None]) -> tuple[str, str, str]:
    """Give a process its input and read its two streams to their ends: each, and both as they came."""
    shown, both = stdout_logged(given.get("logging")), bytearray()
    with process:
        streams = [
            _Stream(process.stdout or (), both, log if shown.stdout else None),
            _Stream(process.stderr or (), both, log if shown.stderr else None),
        ]
        try:
            if process.stdin:
                with process.stdin:
                    process.stdin.write((given.get("stdin") or "").encode())
        except BrokenPipeError:
            pass  # it has ended without reading: its exit status tells whether that is well
        stdout, stderr = (stream.text() for stream in streams)
    return stdout, stderr, both.decode(errors="replace")


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

    def __init__(self, lines: Iterable[bytes], both: bytearray, log: Callable[[str], None] | None) -> None:
        super().__init__(daemon=True)
        self._lines, self._both, self._log, self._own = lines, both, log, bytearray()
        self.start()

    def run(self) -> None:
        for line in self._lines:
            self._own.extend(line)
            self._both.extend(line)
            if self._log:
                self._log(line.decode(errors="replace").rstrip("\n"))

    def text(self) -> str:
        self.join()
        return self._own.decode(errors="replace").removesuffix("\n")


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
