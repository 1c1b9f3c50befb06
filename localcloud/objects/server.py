"""HTTP/1.1 over TCP and TLS for the store: cheroot's thread pool, with keep-alive and Expect: 100-continue."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

if TYPE_CHECKING:
    import socket
    import ssl
    from pathlib import Path

    from localcloud.objects.store import ObjectStore

_LOG = logging.getLogger(__name__)
# A body that is being sent or received holds a thread; idle connections hold none.
_THREADS = 32


class _Tls(BuiltinSSLAdapter):
    """Leaves the handshake to the thread that serves the connection: in cheroot a silent client stops the rest."""

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        wrapped = self.context.wrap_socket(sock, do_handshake_on_connect=False, server_side=True)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}


class _Request(HTTPRequest):
    """Takes a whole URL in the request line too, as HTTP demands of servers: who has no name server for the buckets'
    own names (virtual-host style) names the store as its proxy."""

    def __init__(self, server: Server, conn: HTTPConnection) -> None:
        super().__init__(server, conn, proxy_mode=True)


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request


class ObjectServer:
    """A listening socket and its threads. `port` is the real one when 0 was asked for."""

    def __init__(self, store: ObjectStore, address: tuple[str, int], tls: tuple[Path, Path] | None) -> None:
        self._server = Server(address, store.wsgi, numthreads=_THREADS, timeout=20, request_queue_size=128)
        # Clients that come without the local CA, or leave during the handshake, are their own affair.
        self._server.error_log = lambda msg="", level=20, traceback=False: _LOG.debug("%s (%s)", msg, level)  # noqa: ARG005
        self._server.ConnectionClass = _Connection
        if tls:
            self._server.ssl_adapter = _Tls(str(tls[0]), str(tls[1]))
        self._server.prepare()
        self.port: int = self._server.bind_addr[1]
        self._thread = threading.Thread(target=self._server.serve, name=f"objects:{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting, let running requests end (5 s at most), join the thread."""
        self._server.stop()
        self._thread.join()


def serve(store: ObjectStore, host: str, port: int, tls: tuple[Path, Path] | None = None) -> ObjectServer:
    """Serve `store` from threads of their own; `tls` is (certificate chain, key) in PEM.

    Raises OSError when the port is taken.
    """
    return ObjectServer(store, (host, port), tls)
