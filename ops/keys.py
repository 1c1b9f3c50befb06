"""Making keys: SSH pairs by OpenSSH's own tool, secrets from the system's random source."""

from __future__ import annotations

import secrets
import string
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.errors import ExitCode, OpsError

# Without I, L, O, U, 0 and 1: this key is copied from paper, by a person under stress.
_PAPER_ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"


@dataclass(frozen=True)
class KeyPair:
    """An OpenSSH key pair; `private` ends with a newline, as sshd demands, `public` is one line."""

    private: str
    public: str

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"


def new_key_pair(comment: str) -> KeyPair:
    """A new ed25519 pair. The private half touches the disk only inside a directory that is gone on return."""
    with TemporaryDirectory(prefix="tts-") as directory:
        path = Path(directory) / "key"
        _ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
        return KeyPair(path.read_text(), path.with_suffix(".pub").read_text().strip())


def public_half(private: str) -> str:
    """The public key that belongs to a private one.

    Raises:
        OpsError: the text is no private key, or one with a passphrase of its own.
    """
    with TemporaryDirectory(prefix="tts-") as directory:
        path = Path(directory) / "key"
        path.touch(mode=0o600)
        path.write_text(private if private.endswith("\n") else f"{private}\n")
        return _ssh_keygen("-y", "-P", "", "-f", str(path)).strip()


def new_secret() -> str:
    """256 random bits in hex: safe in an environment file, a URL and a connection string alike."""
    return secrets.token_hex(32)


def new_recovery_key() -> str:
    """About 196 random bits in eight groups of five that a person can copy from paper."""
    groups = ("".join(secrets.choice(_PAPER_ALPHABET) for _ in range(5)) for _ in range(8))
    return "-".join(groups)


def new_suffix() -> str:
    """Six letters that make a bucket's name unique in the world; no secret."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(6))


def _ssh_keygen(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["ssh-keygen", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise OpsError(
            "There is no `ssh-keygen` on PATH.",
            fix="Install OpenSSH's client: apt-get install openssh-client",
            code=ExitCode.CONFIG,
        ) from None
    if done.returncode:
        raise OpsError(
            "ssh-keygen cannot read that private key.",
            fix="The configured key must be an OpenSSH private key without a passphrase.",
            code=ExitCode.CONFIG,
        )
    return done.stdout
