"""What stands for Let's Encrypt: an authority of its own for the names of balancers, and the check of others' pairs.

Its names are unlimited, so nothing trusts it but who is told to: clients are given `web-ca.crt`, droplets are not.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud import tls

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
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Local cloud: certificates of load balancers")])
        draft = (
            tls.builder(name, name, key, tls.AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(tls.usage(sign_certificates=True), critical=True)
        )
        tls.write(path, key_path, draft.sign(key, hashes.SHA256()), key)
    return path, key_path


def issue(directory: Path, names: list[str]) -> Pair:
    """Issue a certificate for host names."""
    path, key_path = ensure(directory)
    authority = x509.load_pem_x509_certificate(path.read_bytes())
    signer = serialization.load_pem_private_key(key_path.read_bytes(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key_path} holds no elliptic curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    draft = (
        tls.builder(subject, authority.subject, key, DAYS)
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return _pair(draft.sign(signer, hashes.SHA256()), [authority], _pem(key))


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
