"""Certificates and keys as an account would bring them."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from localcloud import tls


@dataclass(frozen=True)
class Brought:
    """A leaf, its key, and the certificate of who issued it, as PEM."""

    leaf: str
    key: str
    issuer: str


def bring(*names: str) -> Brought:
    """Make a pair for host names, under an issuer of its own."""
    above, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer of a test")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    authority = (
        tls.builder(root, root, above, 30)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(tls.usage(sign_certificates=True), critical=True)
        .sign(above, hashes.SHA256())
    )
    leaf = (
        tls.builder(subject, root, key, 30)
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
        .sign(above, hashes.SHA256())
    )
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, form, plain).decode()
    leaf_text, authority_text = (one.public_bytes(serialization.Encoding.PEM).decode() for one in (leaf, authority))
    return Brought(leaf_text, secret, authority_text)
