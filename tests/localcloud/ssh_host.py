"""A real SSH server of the test's own, whose root is a folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncssh

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path


@dataclass
class Host:
    """An SSH server that runs commands in a folder, and takes only variables that start with LC_."""

    root: Path
    host_key: asyncssh.SSHKey
    client_key: asyncssh.SSHKey
    port: int = 0
    commands: list[str] = field(default_factory=list)
    tunnels: list[tuple[str, int]] = field(default_factory=list)
    servers: list[asyncssh.SSHAcceptor] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def connection(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "root",
            "privateKey": self.client_key.export_private_key().decode(),
            "hostKey": self.host_key.export_public_key().decode().strip(),
            "dialErrorLimit": 1,
        }

    async def handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        accepted = {key: value for key, value in process.env.items() if key.startswith("LC_")}
        child = await asyncio.create_subprocess_shell(
            process.command or "",
            cwd=self.root,
            env={"PATH": os.environ["PATH"], **accepted},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        feeding = asyncio.create_task(feed(process.stdin, child.stdin))
        await asyncio.gather(drain(child.stdout, process.stdout), drain(child.stderr, process.stderr))
        process.exit(await child.wait())
        feeding.cancel()

    async def listen(self) -> None:
        host = self

        class Server(asyncssh.SSHServer):
            def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
                host.tunnels.append((dest_host, dest_port))
                return True

        server = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=Server,
            server_host_keys=[self.host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(self.client_key.export_public_key().decode()),
            process_factory=self.handle,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(self.root).encode()),
            encoding=None,
        )
        self.port = server.get_port()
        self.servers.append(server)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def close(self) -> None:
        for server in self.servers:
            server.close()
            await server.wait_closed()


async def feed(source: Any, sink: Any) -> None:
    """Give a child its input for as long as it reads."""
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


async def drain(source: Any, sink: Any) -> None:
    while data := await source.read(65536):
        sink.write(data)


@contextlib.contextmanager
def running_host(root: Path) -> Iterator[Host]:
    root.mkdir()
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    made = Host(root, host_key, client_key)
    thread = threading.Thread(target=made.loop.run_forever, daemon=True)
    thread.start()
    made.run(made.listen())
    yield made
    made.run(made.close())
    made.loop.call_soon_threadsafe(made.loop.stop)
    thread.join()
    made.loop.close()
