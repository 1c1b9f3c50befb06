"""What the codecs of the command provider work with."""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import ModuleType

    from localcloud.plugins.codec import Properties


CONNECTION_DEFAULTS = {"user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
"""What a connection says when the program does not, as the real plugin writes it into the state."""


class Log(Protocol):
    """Where lines for the person at the screen go."""

    def info(self, urn: str, text: str) -> None: ...

    def warning(self, urn: str, text: str) -> None: ...


@dataclass(frozen=True)
class Session:
    log: Log
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def remote(self) -> ModuleType:
        """What works over SSH; its library is slow to import, so only when needed."""
        return importlib.import_module("localcloud.plugins.command.perform")


@dataclass(frozen=True)
class Shown:
    stdout: bool
    stderr: bool


def stdout_logged(logging: str | None) -> Shown:
    """Which streams are shown while a command runs; both, when the program does not say."""
    return Shown(logging in {None, "stdout", "stdoutAndStderr"}, logging in {None, "stderr", "stdoutAndStderr"})


def connect(log: Log, _settings: Properties) -> Session:
    """This provider has no configuration: each connection names its host."""
    return Session(log)
