"""A line to a store that can be cut, or answer 503, after a number of uploaded bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nRetry-After: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Line:
    """`after` uploaded bytes, counted from the first PUT, the line does what `then` says; None: never."""

    target: int
    port: int = 0
    after: int | None = None
    then: str = "cut"
    busy_times: int = 1_000_000
    uploaded: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self, after: int | None = None, then: str = "cut", busy_times: int = 1_000_000) -> None:
        with self.lock:
            self.uploaded, self.after, self.then, self.busy_times = 0, after, then, busy_times

    def is_over(self) -> bool:
        with self.lock:
            return self.after is not None and self.uploaded > self.after and self.busy_times > 0

    def carry(self, client: socket.socket) -> None:
        """One connection of a client."""
        with client, contextlib.suppress(OSError):
            if self.is_over():
                self.answer(client)
                return
            with socket.create_connection(("127.0.0.1", self.target)) as store:
                back = threading.Thread(target=_pump, args=(store, client), daemon=True)
                back.start()
                while (block := client.recv(16384)) and not self.is_over():
                    with self.lock:
                        if self.uploaded or block.startswith(b"PUT "):
                            self.uploaded += len(block)
                    store.sendall(block)
                store.shutdown(socket.SHUT_RDWR)
                back.join()

    def answer(self, client: socket.socket) -> None:
        if self.then == "busy":
            client.recv(65536)
            client.sendall(BUSY)
            with self.lock:
                self.busy_times -= 1


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    it = Line(port)
    listener = socket.create_server(("127.0.0.1", 0))
    it.port = listener.getsockname()[1]

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=it.carry, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield it
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
