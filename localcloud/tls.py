"""The local certificate authority, and the certificate of the object store under its production names."""

import datetime as dt
import os
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 825
RENEW_DAYS = 30
AWS_REGIONS = [
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
    *("eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2", "eu-west-3"),
    *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
]
SPACES_REGIONS = ["ams3", "atl1", "blr1", "fra1", "lon1", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1"]
# On droplets every name under these is the object store.
DOMAINS = ("amazonaws.com", "digitaloceanspaces.com")


def store_names() -> list[str]:
    """Give the names under which the store is reached; for each, also that of any bucket under it."""
    names = ["s3.amazonaws.com", *(f"{region}.digitaloceanspaces.com" for region in SPACES_REGIONS)]
    for region in AWS_REGIONS:
        names += [f"s3.{region}.amazonaws.com", f"s3.dualstack.{region}.amazonaws.com"]
    return [*names, *(f"*.{name}" for name in names)]


def ensure(directory: Path, gateway: IPv4Address) -> tuple[Path, Path, Path]:
    """Give (authority, certificate, key), made when missing, near their end, or made for another gateway."""
    authority, authority_key = directory / "ca.crt", directory / "ca.key"
    certificate, key = directory / "store.crt", directory / "store.key"
    if not authority.exists() or not authority_key.exists():
        _make_authority(authority, authority_key)
        certificate.unlink(missing_ok=True)
    if not certificate.exists() or not _serves(certificate, gateway):
        _make_certificate(authority, authority_key, certificate, key, gateway)
    return authority, certificate, key


def _serves(path: Path, gateway: IPv4Address) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ends = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return ends.days > RENEW_DAYS and gateway in names.get_values_for_type(x509.IPAddress)


def _make_authority(path: Path, key_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Local cloud {os.urandom(4).hex()}")])
    # Whoever gets hold of its key can speak for the object stores and for nothing else.
    limits = x509.NameConstraints([*map(x509.DNSName, [*DOMAINS, "localhost"])], None)
    draft = (
        builder(name, name, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(limits, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage(sign_certificates=True), critical=True)
    )
    write(path, key_path, draft.sign(key, hashes.SHA256()), key)


def _make_certificate(ca_path: Path, ca_key_path: Path, path: Path, key_path: Path, gateway: IPv4Address) -> None:
    authority = x509.load_pem_x509_certificate(ca_path.read_bytes())
    authority_key = serialization.load_pem_private_key(ca_key_path.read_bytes(), None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{ca_key_path} holds no elliptic curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    addresses = [x509.IPAddress(gateway), x509.IPAddress(IPv4Address("127.0.0.1"))]
    names = x509.SubjectAlternativeName([*map(x509.DNSName, ["localhost", *store_names()]), *addresses])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Object store of the local cloud")])
    draft = (
        builder(subject, authority.subject, key, CERTIFICATE_DAYS)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    write(path, key_path, draft.sign(authority_key, hashes.SHA256()), key)


def builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    """Begin a certificate: names, key and time."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=sign_certificates, crl_sign=sign_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def write(path: Path, key_path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """Write the key first: a certificate that is there always has its key."""
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    new.replace(path)
