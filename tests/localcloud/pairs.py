"""Certificates and keys as an account would bring them."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.x509 import DNSName

from localcloud.tls import make_authority


@dataclass(frozen=True)
class Brought:
    """A leaf, its key, and the certificate of who issued it, as PEM."""

    leaf: str
    key: str
    issuer: str


def bring(*names: str) -> Brought:
    """Make a pair for host names, under an issuer of its own."""
    authority = make_authority("Issuer of a test")
    leaf = authority.sign(names[0], map(DNSName, names), 30)
    return Brought(leaf.pem, leaf.key_pem, authority.pem)
