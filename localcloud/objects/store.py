"""The store as the local cloud uses it: open it, get the admin keys, make Spaces keys, serve `wsgi`."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import string
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from moto import settings
from moto.iam.models import IAMBackend, iam_backends
from moto.s3.models import s3_backends

from localcloud.objects.backend import DurableBackend
from localcloud.objects.bodies import BodyFiles
from localcloud.objects.database import Database
from localcloud.objects.front import Front
from localcloud.objects.grants import spaces_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ACCOUNTS = {"aws": "100000000001", "spaces": "100000000002"}
_ADMIN = "admin"
_ADMIN_POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)
_CAPITALS = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class Credentials:
    """An access key pair. The secret is left out of repr, and so of tracebacks and logs."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Credentials({self.access_key})"

    def __iter__(self) -> Any:
        return iter((self.access_key, self.secret_key))


class ObjectStore:
    """All buckets, objects, users and keys under one directory (0700). One store per process, one process per store.

    Raises BlockingIOError when another process has it open, StoreVersionError when another moto wrote it.
    """

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._held = (state_dir / "lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._held.close()
            raise BlockingIOError(f"{state_dir} is in use by another process: stop it first") from error
        _settle_moto()
        self._lock = RLock()
        self._bodies = BodyFiles(state_dir / "bodies")
        self._database = Database(state_dir / "state.sqlite", self._bodies)
        self._open_accounts()
        self._database.sweep()
        self.aws_admin = self._admin("aws", "AKIA")
        self.spaces_admin = self._admin("spaces", "DO00")
        self.wsgi = Front(ACCOUNTS, self._bodies, self._database, self._lock)

    def close(self) -> None:
        """Close the files. Not needed before a process ends, however it ends."""
        with self._lock:
            self._database.close()
            self._held.close()

    def _open_accounts(self) -> None:
        for provider, account in ACCOUNTS.items():
            s3_backends[account]["aws"] = DurableBackend(account, self._bodies, reuse_own_bucket=provider == "aws")
            iam_backends[account]["aws"] = IAMBackend("aws", account)
            self._database.load(account)

    def _admin(self, provider: str, prefix: str) -> Credentials:
        users = iam_backends[ACCOUNTS[provider]]["aws"].users
        if _ADMIN not in users:
            return self._new_user(provider, _ADMIN, prefix, _ADMIN_POLICY)
        (key, *_) = users[_ADMIN].access_keys
        return Credentials(key.access_key_id, key.secret_access_key)

    def _new_user(self, provider: str, name: str | None, prefix: str, policy: str) -> Credentials:
        access_key = prefix + "".join(secrets.choice(_CAPITALS) for _ in range(16))
        user = name or access_key
        iam = iam_backends[ACCOUNTS[provider]]["aws"]
        with self._lock:
            iam.create_user("us-east-1", user)
            iam.put_user_policy(user, "policy", policy)
            key = iam.create_access_key(user)
            # moto's own keys are not made by a generator for secrets.
            del iam.access_keys[key.access_key_id]
            key.access_key_id, key.secret_access_key = access_key, secrets.token_urlsafe(30)
            iam.access_keys[access_key] = key
            self._save(provider)
        return Credentials(access_key, key.secret_access_key)

    def _save(self, provider: str) -> None:
        self._database.save_identities(ACCOUNTS[provider])
        self._database.commit()

    def create_spaces_key(self, name: str, grants: Iterable[Mapping[str, str]]) -> dict[str, str]:
        """A key limited to `grants`: {"bucket": name or "" for all, "permission": read, readwrite or fullaccess}.

        Returns access_key and secret_key. Raises ValueError for an unknown permission. Keys may share a `name`.
        """
        key, secret = self._new_user("spaces", None, "DO00", spaces_policy(name, grants))
        return {"access_key": key, "secret_key": secret}

    def update_spaces_key(self, access_key: str, name: str, grants: Iterable[Mapping[str, str]]) -> None:
        """Replace a key's grants. Raises KeyError for an unknown key, ValueError for an unknown permission."""
        policy = spaces_policy(name, grants)
        with self._lock:
            self._spaces_user(access_key)
            iam_backends[ACCOUNTS["spaces"]]["aws"].put_user_policy(access_key, "policy", policy)
            self._save("spaces")

    def delete_spaces_key(self, access_key: str) -> None:
        """Revoke a key. Raises KeyError for an unknown one."""
        iam = iam_backends[ACCOUNTS["spaces"]]["aws"]
        with self._lock:
            self._spaces_user(access_key)
            iam.delete_access_key(access_key, access_key)
            iam.delete_user_policy(access_key, "policy")
            iam.delete_user(access_key)
            self._save("spaces")

    @staticmethod
    def _spaces_user(access_key: str) -> Any:
        return iam_backends[ACCOUNTS["spaces"]]["aws"].users[access_key]

    def buckets(self, account: str) -> list[str]:
        """Names of the buckets of "aws" or "spaces"."""
        with self._lock:
            return sorted(s3_backends[ACCOUNTS[account]]["aws"].buckets)


def _settle_moto() -> None:
    """Settings of moto that come from the environment and would change whose buckets these are."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")  # `front` has checked; moto would see a rewritten signature
    for name in ("MOTO_ACCOUNT_ID", "MOTO_S3_CUSTOM_ENDPOINTS"):
        os.environ.pop(name, None)
