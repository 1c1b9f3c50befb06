"""The stand-in for the command plugin."""

from __future__ import annotations

from functools import partial

from localcloud.plugins.base import StandIn
from localcloud.plugins.command import local, remote, session
from localcloud.plugins.serve import EngineLog

PACKAGES = ("pulumi_command", "pulumi_command.remote", "pulumi_command.local")

CODECS = [local.Command(), remote.Command(), remote.CopyToRemote()]


def provider(engine: str) -> StandIn:
    """The provider for one run of the engine."""
    return StandIn("command", CODECS, local.FUNCTIONS, partial(session.connect, EngineLog(engine)))
