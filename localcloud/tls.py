"""The local certificate authority, and the certificate of the object store under its production names."""

import datetime as dt
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Signed:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def read(cls, path: Path, key_path: Path) -> "Signed":
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_path} holds no elliptic curve key")
        return cls(x509.load_pem_x509_certificate(path.read_bytes()), key)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, plain).decode()

    def write(self, path: Path, key_path: Path) -> None:
        """Write the key first: a certificate that is there always has its key."""
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.key_pem)
        new = path.with_name(f".{path.name}.new")
        new.write_text(self.pem)
        new.replace(path)

    def sign(self, subject: str, names: Iterable[x509.GeneralName], days: int) -> "Signed":
        """Issue the certificate of a server, as the authority that this is."""
        key = ec.generate_private_key(ec.SECP256R1())
        draft = (
            _builder(_name(subject), self.certificate.subject, key, days)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        return Signed(draft.sign(self.key, hashes.SHA256()), key)


def make_authority(name: str, limits: Sequence[str] = ()) -> Signed:
    """Make an authority; with `limits`, for names under these domains only."""
    key = ec.generate_private_key(ec.SECP256R1())
    draft = (
        _builder(_name(name), _name(name), key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_USAGE, critical=True)
    )
    if limits:
        draft = draft.add_extension(x509.NameConstraints([*map(x509.DNSName, limits)], None), critical=True)
    return Signed(draft.sign(key, hashes.SHA256()), key)


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
        # Whoever gets hold of its key can speak for the object stores and for nothing else.
        make_authority(f"Local cloud {os.urandom(4).hex()}", (*DOMAINS, "localhost")).write(authority, authority_key)
        certificate.unlink(missing_ok=True)
    if not certificate.exists() or not _serves(certificate, gateway):
        addresses = [x509.IPAddress(gateway), x509.IPAddress(IPv4Address("127.0.0.1"))]
        names = [*map(x509.DNSName, ["localhost", *store_names()]), *addresses]
        signer = Signed.read(authority, authority_key)
        signer.sign("Object store of the local cloud", names, CERTIFICATE_DAYS).write(certificate, key)
    return authority, certificate, key


def _serves(path: Path, gateway: IPv4Address) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ends = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return ends.days > RENEW_DAYS and gateway in names.get_values_for_type(x509.IPAddress)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
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


_USAGE = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip
