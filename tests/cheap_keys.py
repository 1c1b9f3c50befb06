"""Makes the keys of a test's restic repository cheap to open.

restic makes a password dear to guess: deriving the key takes up to half a second of computing in each command, and a
test of the host's scripts runs dozens. The passwords here protect nothing, so the same master key is stored under the
same password with the least work that scrypt can be asked for. Everything else is restic's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

if TYPE_CHECKING:
    from pathlib import Path

LEAST = {"N": 2, "r": 8, "p": 1}
NONCE, TAG = 16, 16


def cheapen(repository: Path, *passwords: str) -> None:
    """Replace each key of the repository in a folder; `passwords` are those of all its keys."""
    for path in (repository / "keys").iterdir():
        old = json.loads(path.read_text())
        sealed, salt = base64.b64decode(old["data"]), base64.b64decode(old["salt"])
        for password in passwords:
            try:
                master = _open(sealed, _derive(password, salt, **{name: old[name] for name in LEAST}))
            except ValueError:
                continue
            break
        else:
            raise ValueError(f"none of {len(passwords)} passwords opens {path}")
        new = old | LEAST | {"data": base64.b64encode(_seal(master, _derive(password, salt, **LEAST))).decode()}
        content = json.dumps(new).encode()
        path.chmod(0o600)
        path.unlink()
        (path.parent / hashlib.sha256(content).hexdigest()).write_bytes(content)


def _derive(password: str, salt: bytes, **work: int) -> bytes:
    n, r, p = work["N"], work["r"], work["p"]
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=64, maxmem=256 * n * r + 256 * r * p)


def _cipher(key: bytes, nonce: bytes, text: bytes) -> bytes:
    """AES-256 in counter mode, with the first half of the key."""
    counter = Cipher(algorithms.AES(key[:32]), modes.CTR(nonce)).encryptor()
    return counter.update(text) + counter.finalize()


def _tag(key: bytes, nonce: bytes, text: bytes) -> bytes:
    """Poly1305-AES, with the second half: 16 bytes for AES over the nonce, 16 for the sum."""
    block = Cipher(algorithms.AES(key[32:48]), modes.ECB()).encryptor()
    return Poly1305.generate_tag(key[48:] + block.update(nonce) + block.finalize(), text)


def _open(sealed: bytes, key: bytes) -> bytes:
    nonce, text, tag = sealed[:NONCE], sealed[NONCE:-TAG], sealed[-TAG:]
    if _tag(key, nonce, text) != tag:
        raise ValueError("another password")
    return _cipher(key, nonce, text)


def _seal(text: bytes, key: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE)
    secret = _cipher(key, nonce, text)
    return nonce + secret + _tag(key, nonce, secret)
