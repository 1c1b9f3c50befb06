"""The certificate of a managed database, by an authority of its own that clients are given."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud import tls


def ensure_pair(directory: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Give ca.crt, server.crt and server.key as texts, made when missing. The authority's own key is kept nowhere."""
    paths = {name: directory / name for name in ("ca.crt", "server.crt", "server.key")}
    if not all(path.exists() for path in paths.values()):
        directory.mkdir(parents=True, exist_ok=True)
        _make(paths["ca.crt"], paths["server.crt"], paths["server.key"], names)
    return {name: path.read_text() for name, path in paths.items()}


def _make(authority: Path, certificate: Path, key_path: Path, names: tuple[str, ...]) -> None:
    signer, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, subject = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (f"CA of {names[0]}"[:64], names[0][:64])
    )
    root = (
        tls.builder(issuer, issuer, signer, tls.AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False)
        .add_extension(tls.usage(sign_certificates=True), critical=True)
    ).sign(signer, hashes.SHA256())
    leaf = (
        tls.builder(subject, issuer, key, tls.AUTHORITY_DAYS)
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    ).sign(signer, hashes.SHA256())
    authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    tls.write(certificate, key_path, leaf, key)
