"""Commands and copies on another host."""

from __future__ import annotations

import secrets
from typing import Any

from localcloud.plugins.codec import Codec, Properties, Work, current_name
from localcloud.plugins.command.session import CONNECTION_DEFAULTS, Session
from localcloud.plugins.schema import Problem
from localcloud.plugins.values import Asset


class _Remote(Codec[Session]):
    secrets = frozenset({"connection"})
    replaces = frozenset({"triggers"})

    def complete(self, inputs: Properties) -> Properties:
        connection = inputs.get("connection")
        if not isinstance(connection, dict):
            return inputs
        proxy = connection.get("proxy")
        nested = {"proxy": {**CONNECTION_DEFAULTS, **proxy}} if isinstance(proxy, dict) else {}
        return {**inputs, "connection": {**CONNECTION_DEFAULTS, **connection, **nested}}


class Command(_Remote):
    kind = "command:remote:Command"
    sdk = "pulumi_command.remote.command:Command"
    label = "command"
    required = frozenset({"connection"})
    recomputed = frozenset({"stdout", "stderr"})

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        output = {"stdout": "", "stderr": ""}
        if it.inputs.get("create") is not None:
            output = it.session.remote.execute(it.session, it.inputs["create"], it.inputs, output)
        return f"{current_name()}{secrets.token_hex(4)}", output

    def update(self, it: Work[Session]) -> Any:
        """Any change runs `update`, or without it `create` again."""
        command = it.inputs["update"] if it.inputs.get("update") is not None else it.inputs.get("create")
        return it.session.remote.execute(it.session, command, it.inputs, it.state) if command is not None else None

    def delete(self, it: Work[Session]) -> None:
        """With what the state says: the old command, address and key."""
        if it.state.get("delete") is not None:
            it.session.remote.execute(it.session, it.state["delete"], it.state, it.state)


class CopyToRemote(_Remote):
    kind = "command:remote:CopyToRemote"
    sdk = "pulumi_command.remote.copy_to_remote:CopyToRemote"
    label = "copy"
    required = frozenset({"connection", "remotePath", "source"})

    def check(self, inputs: Properties) -> list[Problem]:
        """The plugin's own rules, also the one that fails on a source that is not known yet."""
        source = inputs.get("source")
        if not isinstance(source, Asset):
            return [Problem("asset", "either asset or archive must be set")]
        if source.archive and not source.path:
            return [Problem("archive", "archive must be a path to a file or directory")]
        if not source.path and source.text is None:
            return [Problem("asset", "asset must be a path-based file asset or a text asset")]
        return []

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        it.session.remote.upload(it.session, it.inputs)
        return secrets.token_hex(4), {}

    def update(self, it: Work[Session]) -> None:
        """Only another content or place is copied: another host alone is not."""
        if it.changed & {"source", "remotePath"}:
            it.session.remote.upload(it.session, it.inputs)

    def delete(self, it: Work[Session]) -> None:
        """The files stay on the host."""
