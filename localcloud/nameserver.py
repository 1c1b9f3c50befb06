"""The name server of the account's domains, on UDP and TCP."""

import socket
import socketserver
import struct
import threading
from contextlib import suppress

from localcloud.zones import Zones

SECONDS = 10
CHOICES = 20


class NameServer:
    """Answers at one address from the zones until it is closed. Raises OSError when the address cannot be had."""

    def __init__(self, zones: Zones, host: str, port: int) -> None:
        self._servers = _pair(zones, host, port)
        self.port: int = self._servers[0].server_address[1]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), name="names", daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _pair(zones: Zones, host: str, port: int) -> tuple["_Datagrams", "_Streams"]:
    """Both servers at one number. Where the system chooses it (0), what is free for one may be taken for the other."""
    choices = 1 if port else CHOICES
    while True:
        udp = _Datagrams((host, port), _Datagram, zones)
        try:
            return udp, _Streams((host, udp.server_address[1]), _Stream, zones)
        except OSError:
            udp.server_close()
            choices -= 1
            if not choices:
                raise


class _Datagrams(socketserver.ThreadingUDPServer):
    allow_reuse_address = False
    daemon_threads = True
    max_packet_size = 65535

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler], zones: Zones) -> None:
        self.zones = zones
        super().__init__(address, handler)


class _Datagram(socketserver.BaseRequestHandler):
    server: _Datagrams

    def handle(self) -> None:
        wire, sock = self.request
        if answer := self.server.zones.answer(wire, datagram=True):
            sock.sendto(answer, self.client_address)


class _Streams(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler], zones: Zones) -> None:
        self.zones = zones
        super().__init__(address, handler)


class _Stream(socketserver.StreamRequestHandler):
    """Any number of questions, each with its length before it."""

    server: _Streams
    timeout = SECONDS

    def handle(self) -> None:
        with suppress(TimeoutError, ConnectionError, socket.timeout):
            while len(head := self.rfile.read(2)) == 2:
                [length] = struct.unpack("!H", head)
                answer = self.server.zones.answer(self.rfile.read(length), datagram=False)
                if answer is None:
                    return
                self.wfile.write(struct.pack("!H", len(answer)) + answer)
