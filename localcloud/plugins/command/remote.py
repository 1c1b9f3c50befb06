"""Commands and copies on another host."""

from __future__ import annotations

import json
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.plugins.codec import CloudError, Codec, Properties, Work, current_name, current_urn
from localcloud.plugins.command import ssh
from localcloud.plugins.command.copy import copy
from localcloud.plugins.command.session import Session, stdout_logged
from localcloud.plugins.schema import Problem
from localcloud.plugins.values import Asset

if TYPE_CHECKING:
    import asyncssh

_REFUSED = (
    "Unable to set '{}'. This only works if your SSH server is configured to accept these variables via AcceptEnv. "
    "Alternatively, if a Bash-like shell runs the command on the remote host, you could prefix the command itself "
    "with the variables in the form 'VAR=value command'"
)


class _Remote(Codec[Session]):
    secrets = frozenset({"connection"})
    replaces = frozenset({"triggers"})

    def complete(self, inputs: Properties) -> Properties:
        connection = inputs.get("connection")
        if not isinstance(connection, dict):
            return inputs
        proxy = connection.get("proxy")
        nested = {"proxy": {**ssh.DEFAULTS, **proxy}} if isinstance(proxy, dict) else {}
        return {**inputs, "connection": {**ssh.DEFAULTS, **connection, **nested}}


class Command(_Remote):
    kind = "command:remote:Command"
    sdk = "pulumi_command.remote.command:Command"
    label = "command"
    required = frozenset({"connection"})
    recomputed = frozenset({"stdout", "stderr"})

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        output = {"stdout": "", "stderr": ""}
        if it.inputs.get("create") is not None:
            output = self._execute(it.session, it.inputs["create"], it.inputs, output)
        return f"{current_name()}{secrets.token_hex(4)}", output

    def update(self, it: Work[Session]) -> Any:
        """Any change runs `update`, or without it `create` again."""
        command = it.inputs["update"] if it.inputs.get("update") is not None else it.inputs.get("create")
        return self._execute(it.session, command, it.inputs, it.state) if command is not None else None

    def delete(self, it: Work[Session]) -> None:
        """With what the state says: the old command, address and key."""
        if it.state.get("delete") is not None:
            self._execute(it.session, it.state["delete"], it.state, it.state)

    @staticmethod
    def _execute(session: Session, command: str, given: Properties, previous: Properties) -> Properties:
        urn = current_urn()
        log = partial(session.log.info, urn)

        async def use(host: asyncssh.SSHClientConnection) -> ssh.Output:
            environment = await _environment(host, session, given, previous)
            shown = stdout_logged(given.get("logging"))
            job = ssh.Job(
                command,
                given.get("stdin") or "",
                environment,
                log if shown.stdout else None,
                log if shown.stderr else None,
            )
            return await ssh.run(host, job)

        output = ssh.with_host(given["connection"], session.cancelled, log, use)
        if output.failure:
            quoted = json.dumps(command, ensure_ascii=False)
            raise CloudError(f"{output.failure.reason}: running {quoted}:\n{output.failure.output}")
        return {"stdout": output.stdout, "stderr": output.stderr}


async def _environment(
    host: asyncssh.SSHClientConnection, session: Session, given: Properties, previous: Properties
) -> dict[str, str]:
    """The variables to send; one that the server refuses is an error, but only a warning for the earlier output."""
    found: dict[str, str] = {}
    for name, value in (given.get("environment") or {}).items():
        if not await ssh.accepted(host, name, value):
            raise CloudError(f'could not set environment variable "{name}": {_REFUSED.format(name)}')
        found[name] = value
    if given.get("addPreviousOutputInEnv") is False:
        return found
    for output in ("stdout", "stderr"):
        name, value = f"PULUMI_COMMAND_{output.upper()}", previous.get(output)
        if value and await ssh.accepted(host, name, value):
            found[name] = value
        elif value:
            session.log.warning(current_urn(), _REFUSED.format(name))
    return found


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
        self._copy(it.session, it.inputs)
        return secrets.token_hex(4), {}

    def update(self, it: Work[Session]) -> None:
        """Only another content or place is copied: another host alone is not."""
        if it.changed & {"source", "remotePath"}:
            self._copy(it.session, it.inputs)

    def delete(self, it: Work[Session]) -> None:
        """The files stay on the host."""

    @staticmethod
    def _copy(session: Session, inputs: Properties) -> None:
        source: Asset = inputs["source"]
        log = partial(session.log.info, current_urn())

        async def use(host: asyncssh.SSHClientConnection) -> None:
            await copy(host, source, inputs["remotePath"])

        ssh.with_host(inputs["connection"], session.cancelled, log, use)
