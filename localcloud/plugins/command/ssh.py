"""One SSH connection to a host: dial, run a command, copy files.

The library is asyncssh: keys and standard input stay in memory, nothing appears among a process's arguments, and a
failure to connect cannot be taken for an exit status, as with the `ssh` program's 255.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh

from localcloud.plugins.codec import CloudError, Properties
from localcloud.plugins.command.session import CONNECTION_DEFAULTS
from localcloud.plugins.loopback import require_private

if TYPE_CHECKING:
    import threading

Result = TypeVar("Result")
Log = Callable[[str], None]


@dataclass(frozen=True)
class Failure:
    """How a command ended that did not end well."""

    reason: str
    output: str


@dataclass(frozen=True)
class Output:
    stdout: str
    stderr: str
    failure: Failure | None = None


@dataclass(frozen=True)
class Job:
    """A command with its standard input and environment, and what may be shown while it runs."""

    command: str = field(repr=False)
    stdin: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    log_stdout: Log | None = None
    log_stderr: Log | None = None


def with_host(
    connection: Properties,
    cancelled: threading.Event,
    log: Log,
    use: Callable[[asyncssh.SSHClientConnection], Awaitable[Result]],
) -> Result:
    """Dial the host, retrying as the connection says, and use it; raises CloudError for whatever goes wrong."""

    async def run() -> Result:
        async with AsyncExitStack() as stack:
            proxy = connection.get("proxy")
            tunnel = await _dial(stack, proxy, None, cancelled, log, "Dial proxy") if proxy else None
            host = await _dial(stack, connection, tunnel, cancelled, log, "Dial")
            return await use(host)

    try:
        return asyncio.run(run())
    except (OSError, asyncssh.Error) as error:
        raise CloudError(_describe(error)) from error


async def _dial(
    stack: AsyncExitStack, connection: Properties, tunnel: Any, cancelled: threading.Event, log: Log, what: str
) -> asyncssh.SSHClientConnection:
    given = {**CONNECTION_DEFAULTS, **connection}
    require_private(given["host"], "the host")
    options = _options(given)
    limit, pause, failed = int(given["dialErrorLimit"]), 0.1, 0
    while True:
        try:
            return await stack.enter_async_context(
                asyncssh.connect(given["host"], int(given["port"]), tunnel=tunnel or (), **options)
            )
        except (OSError, asyncssh.Error) as error:
            failed += 1
            if failed > limit > -1 or cancelled.is_set():
                raise CloudError(f"after {failed - 1} failed attempts: {_describe(error)}") from error
        log(f"{what} {failed}/{'inf' if limit == -1 else limit} failed: retrying")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def _options(given: Properties) -> dict[str, Any]:
    """What asyncssh wants to know; nothing is taken from the operator's own SSH configuration."""
    known_hosts = None
    if given.get("hostKey"):
        known_hosts = ([_read(asyncssh.import_public_key, given["hostKey"], "the host key")], [], [])
    keys = []
    if given.get("privateKey"):
        secret = given.get("privateKeyPassword")
        keys.append(
            _read(lambda text: asyncssh.import_private_key(text, secret), given["privateKey"], "the private key")
        )
    return {
        "config": [],
        "username": given["user"],
        "client_keys": keys,
        "agent_path": given.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK") or None,
        "password": given.get("password"),
        "known_hosts": known_hosts,
        "connect_timeout": given["perDialTimeout"] or None,
        "keepalive_interval": 30,
    }


def _read(read: Callable[[str], Any], text: str, what: str) -> Any:
    try:
        return read(text)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise CloudError(f"failed to parse {what} of the connection: {error}") from None


def _describe(error: Exception) -> str:
    return f"ssh: {str(error) or type(error).__name__}"


async def accepted(host: asyncssh.SSHClientConnection, name: str, value: str) -> bool:
    """Whether the server lets this variable through (`AcceptEnv`): it does not say so, it must be tried."""
    result = await host.run(f"printenv {name}", env={name: value}, stdin=asyncssh.DEVNULL)
    return str(result.stdout).removesuffix("\n") == value


async def run(host: asyncssh.SSHClientConnection, job: Job) -> Output:
    """Run a command to its end."""
    process = await host.create_process(job.command, env=dict(job.environment), encoding=None)
    stdout, stderr, both = bytearray(), bytearray(), bytearray()

    async def feed() -> None:
        try:
            if job.stdin:
                process.stdin.write(job.stdin.encode())
            process.stdin.write_eof()
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionError):
            return  # the command has ended without reading: its exit status tells whether that is well

    async def collect(stream: Any, own: bytearray, log: Log | None) -> None:
        lines = _Lines(log)
        while chunk := await stream.read(65536):
            own.extend(chunk)
            both.extend(chunk)
            await asyncio.to_thread(lines.add, chunk)
        await asyncio.to_thread(lines.end)

    feeding = asyncio.create_task(feed())
    await asyncio.gather(
        collect(process.stdout, stdout, job.log_stdout), collect(process.stderr, stderr, job.log_stderr)
    )
    await process.wait_closed()
    feeding.cancel()
    return Output(_text(stdout), _text(stderr), _failure(process, both))


def _failure(process: Any, output: bytearray) -> Failure | None:
    if process.exit_status == 0:
        return None
    text = output.decode(errors="replace")
    if process.exit_signal:
        return Failure(f"Process exited with signal {process.exit_signal[0]}", text)
    if process.exit_status is None:
        return Failure("wait: remote command exited without exit status or exit signal", text)
    return Failure(f"Process exited with status {process.exit_status}", text)


def _text(data: bytearray) -> str:
    return data.decode(errors="replace").removesuffix("\n")


class _Lines:
    """Cut a stream into lines for the log."""

    def __init__(self, log: Log | None) -> None:
        self._log, self._rest = log, b""

    def add(self, chunk: bytes) -> None:
        if self._log is None:
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._log(line.decode(errors="replace"))

    def end(self) -> None:
        if self._log is not None and self._rest:
            self._log(self._rest.decode(errors="replace"))
