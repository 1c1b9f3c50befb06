"""Where names lead: as this machine's resolver says, or as a name server says that the environment names.

The local cloud's domains are known to its own name server only; `make shell` names it in TTS_NAME_SERVER.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
from ipaddress import IPv4Address, ip_address
from typing import Final

VARIABLE: Final = "TTS_NAME_SERVER"  # HOST:PORT
_SECONDS: Final = 5
_TRIES: Final = 3
_A: Final = 1
_QUESTION: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")


def addresses(name: str) -> set[str]:
    """The IPv4 addresses of a host name; nothing if it leads nowhere. An address leads to itself."""
    try:
        return {str(ip_address(name))}
    except ValueError:
        pass
    try:
        if server := os.environ.get(VARIABLE):
            host, _, port = server.partition(":")
            if found := _ask((host, int(port or 53)), name):
                return found
        return {str(each[4][0]) for each in socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)}
    except (OSError, ValueError, struct.error, IndexError):
        return set()


def connect(address: tuple[str, int], timeout: float) -> socket.socket:
    """A connection to a host by its name, wherever that is known."""
    host, port = address
    found = sorted(addresses(host)) if os.environ.get(VARIABLE) else []
    return socket.create_connection((found[0] if found else host, port), timeout)


def _ask(server: tuple[str, int], name: str) -> set[str]:
    """One question over UDP, repeated when it is lost."""
    number = secrets.randbelow(1 << 16)
    labels = b"".join(bytes([len(part)]) + part for part in name.rstrip(".").encode("idna").split(b"."))
    question = _QUESTION.pack(number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, _A, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SECONDS)
        sock.connect(server)
        for left in range(_TRIES - 1, -1, -1):
            sock.send(question)
            try:
                answer = sock.recv(4096)
            except TimeoutError:
                if not left:
                    raise
                continue
            return _read(answer, len(question))
    return set()


def _read(answer: bytes, at: int) -> set[str]:
    """The addresses in an answer whose records begin at `at`; aliases before them are passed over."""
    count, found = _QUESTION.unpack_from(answer)[3], set[str]()
    for _ in range(count):
        at = _past_name(answer, at)
        kind, _, _, length = _RECORD.unpack_from(answer, at)
        at += _RECORD.size
        if kind == _A:
            found.add(str(IPv4Address(answer[at : at + length])))
        at += length
    return found


def _past_name(answer: bytes, at: int) -> int:
    while (length := answer[at]) and length < 0xC0:
        at += 1 + length
    return at + (2 if length else 1)
