"""What commands and copies do on another host, over SSH."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from localcloud.plugins.codec import CloudError, Properties, current_urn
from localcloud.plugins.command import ssh
from localcloud.plugins.command.copy import copy
from localcloud.plugins.command.session import Session, stdout_logged

if TYPE_CHECKING:
    import asyncssh

    from localcloud.plugins.values import Asset

_REFUSED = (
    "Unable to set '{}'. This only works if your SSH server is configured to accept these variables via AcceptEnv. "
    "Alternatively, if a Bash-like shell runs the command on the remote host, you could prefix the command itself "
    "with the variables in the form 'VAR=value command'"
)


def execute(session: Session, command: str, given: Properties, previous: Properties) -> Properties:
    """Run a command on the host of its connection; raises CloudError if it does not end well."""
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


def upload(session: Session, inputs: Properties) -> None:
    """Copy the source to the host of its connection."""
    source: Asset = inputs["source"]
    log = partial(session.log.info, current_urn())

    async def use(host: asyncssh.SSHClientConnection) -> None:
        await copy(host, source, inputs["remotePath"])

    ssh.with_host(inputs["connection"], session.cancelled, log, use)
