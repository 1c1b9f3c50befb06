"""What stands for Let's Encrypt: an authority of its own for the names of balancers, and the check of others' pairs.

Its names are unlimited, so nothing trusts it but who is told to: clients are given `web-ca.crt`, droplets are not.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization

from localcloud.tls import Signed, make_authority

DAYS = 90


@dataclass(frozen=True)
class Pair:
    """A certificate with its key: `pem` is both, and the chain, as HAProxy reads them."""

    pem: str
    names: tuple[str, ...]
    not_after: str
    sha1: str


class PairError(Exception):
    """A certificate that cannot be used; the message says why."""


def ensure(directory: Path) -> tuple[Path, Path]:
    """Give the authority's certificate and key, made when missing."""
    path, key_path = directory / "web-ca.crt", directory / "web-ca.key"
    if not path.exists():
        make_authority("Local cloud: certificates of load balancers").write(path, key_path)
    return path, key_path


def issue(directory: Path, names: list[str]) -> Pair:
    """Issue a certificate for host names."""
    authority = Signed.read(*ensure(directory))
    leaf = authority.sign(names[0], map(x509.DNSName, names), DAYS)
    return _pair(leaf.certificate, [authority.certificate], leaf.key_pem)


def check(leaf: str, chain: str, key: str) -> Pair:
    """Check a pair that somebody brings. Raises PairError: unreadable, key of another, or a chain with a gap."""
    try:
        certificate, others = _load(leaf)[0], _load(chain) if chain.strip() else []
        private = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm) as error:
        raise PairError(f"certificate, chain and key must be PEM texts: {error}") from None
    if private.public_key() != certificate.public_key():
        raise PairError("the private key is not that of the certificate")
    for below, above in zip([certificate, *others], others, strict=False):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature):
            raise PairError(f"the chain has a gap: {_subject(above)} did not issue {_subject(below)}") from None
    return _pair(certificate, others, _pem(private))


def _load(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def _pem(key: object) -> str:
    if not hasattr(key, "private_bytes"):
        raise PairError("the private key cannot be written as PEM")
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()  # pyright: ignore


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"


def _pair(certificate: x509.Certificate, chain: list[x509.Certificate], key: str) -> Pair:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(found.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    texts = [one.public_bytes(serialization.Encoding.PEM).decode() for one in (certificate, *chain)]
    return Pair(
        pem="".join([*texts, key]),
        names=names,
        not_after=certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        sha1=certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303 what the API calls sha1_fingerprint
    )
