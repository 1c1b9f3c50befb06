"""A store in a child process, so that a test can kill it, and clients for its two accounts."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

REPO = Path(__file__).resolve().parents[2]


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1: (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.DNSName("*.localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@dataclass
class Store:
    """`python -m localcloud.objects` on a free port."""

    directory: Path
    tls: tuple[Path, Path] | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> Store:
        command = [sys.executable, "-m", "localcloud.objects", "--dir", str(self.directory), "--port", "0"]
        if self.tls:
            command += ["--cert", str(self.tls[0]), "--key", str(self.tls[1])]
        log = (self.directory.parent / f"{self.directory.name}.log").open("a")
        with log:
            self.process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, Path(log.name).read_text()
        self.keys = json.loads(line)
        return self

    def kill(self) -> None:
        """SIGKILL: what a power cut looks like to the process."""
        assert self.process
        assert self.process.stdout
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def restart(self) -> None:
        self.kill()
        self.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.keys['port']}"

    def admin(self, account: str) -> tuple[str, str]:
        return self.keys[f"{account}_access_key"], self.keys[f"{account}_secret_key"]

    def client(self, service: str = "s3", keys: str | tuple[str, str] = "aws", **config: Any) -> Any:
        """A boto3 client; `keys` is an account's name (its admin) or a key pair."""
        access, secret = self.admin(keys) if isinstance(keys, str) else keys
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            region_name=config.pop("region", "us-east-1"),
            verify=str(self.tls[0]) if self.tls else None,
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, **config),
        )

    def user(self, name: str, *statements: dict[str, Any]) -> tuple[str, str]:
        """A new AWS user with an inline policy; its keys."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]


def code_of(call: Any, **arguments: Any) -> str:
    """The error code of a call, or "ok"."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


def append_only(bucket: str, prefix: str) -> list[dict[str, Any]]:
    """The policy of a host that may add backups and remove nothing but its locks."""
    arn = f"arn:aws:s3:::{bucket}"
    return [
        {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": arn},
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{arn}/{prefix}/*"},
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{arn}/{prefix}/locks/*"},
    ]
