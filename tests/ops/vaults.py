"""Both vaults in the local cloud's object store, the program's own policies, a real restic repository."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from components import vault_policies
from localcloud.objects import ObjectStore, serve
from tests.cheap_keys import cheapen

REPOSITORY = Path(__file__).resolve().parents[2]
BLOCKED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
AES = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
LOCK_DAYS = 35
Keys = tuple[str, str]


class Objects:
    """The store in a process of its own, which also makes keys of Spaces for a line on its standard input."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.ops.vaults", str(folder)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True)
        self._ready = self._answer()
        self.url: str = self._ready["url"]

    def close(self) -> None:
        with self._process as process:
            process.kill()

    def _answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def client(self, service: str = "s3", keys: str | Keys = "aws") -> Any:
        """A boto3 client; `keys` is an account's name (its admin) or a key pair."""
        if isinstance(keys, str):
            keys = tuple(self._ready[keys])
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def user(self, name: str, document: dict[str, Any]) -> Keys:
        """A new AWS user with this policy; its keys."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def spaces_key(self, name: str, bucket: str, permission: str) -> Keys:
        assert self._process.stdin
        self._process.stdin.write(json.dumps([name, bucket, permission]) + "\n")
        self._process.stdin.flush()
        key = self._answer()
        return key["access_key"], key["secret_key"]


def find_restic() -> Path:
    found = shutil.which("restic") or shutil.which("restic", path=str(REPOSITORY / ".local" / "bin"))
    if not found:
        pytest.skip("no restic on PATH or in .local/bin: `make up` builds it")
    return Path(found)


@dataclass
class Seed:
    """A repository in a folder, made once: six nightly database snapshots, one of media, one of config."""

    folder: Path
    password: str
    recovery: str
    source: Path

    def restic(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """restic with the seed's password on whatever repository the environment names; else on the seed itself."""
        variables = os.environ | {"RESTIC_PASSWORD": self.password, "RESTIC_REPOSITORY": str(self.folder)} | environment
        command = [str(find_restic()), *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300, check=False)


def make_seed(home: Path) -> Seed:
    seed = Seed(home / "repository", secrets.token_hex(16), "RECOVERY-" + secrets.token_hex(8), home / "source")
    seed.source.mkdir()
    _must(seed.restic("init", "--repository-version", "2"))
    recovery = home / "recovery"
    recovery.write_text(seed.recovery + "\n")
    _must(seed.restic("key", "add", "--new-password-file", str(recovery)))
    cheapen(seed.folder, seed.password, seed.recovery)
    for day in range(6, 0, -1):
        (seed.source / "dump").write_bytes(os.urandom(150_000))
        (seed.source / "same").write_bytes(b"same" * 20_000)
        back_up(seed, "databases", datetime.now(UTC) - timedelta(days=day, hours=1))
    for kind in ("media", "config"):
        back_up(seed, kind, datetime.now(UTC) - timedelta(hours=1))
    return seed


def back_up(seed: Seed, kind: str, moment: datetime, **environment: str) -> None:
    host, stack = environment.pop("host", "web-1"), environment.pop("stack", "prod")
    time = moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    tags = ("--tag", f"kind={kind},run={moment:%Y%m%dT%H%M%SZ},stack={stack}")
    _must(seed.restic("backup", str(seed.source), "--host", host, "--time", time, *tags, **environment))


def _must(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr


@dataclass
class Vaults:
    """The two buckets of one test, and who may do what there."""

    store: Objects
    seed: Seed
    aws: str
    spaces: str
    keys: dict[str, dict[str, Keys]]

    def bucket(self, name: str) -> str:
        return self.aws if name == "aws" else self.spaces

    def admin(self, name: str = "aws") -> Any:
        return self.store.client(keys=name)

    def client(self, role: str, name: str = "aws") -> Any:
        return self.store.client(keys=self.keys[role][name])

    def output(self, role: str) -> dict[str, dict[str, str]]:
        return {
            name: {"accessKeyId": access, "secretAccessKey": secret}
            for name, (access, secret) in self.keys[role].items()
        }

    def offsite(self) -> list[dict[str, str]]:
        return [
            {
                "name": name,
                "bucket": self.bucket(name),
                "region": "us-east-1",
                "repository": f"s3:https://{name}.test/{self.bucket(name)}/restic",
            }
            for name in ("aws", "spaces")
        ]

    def fill(self, *names: str) -> None:
        """The seed's files as the host uploads them."""
        for name in names or ("aws", "spaces"):
            host = self.client("host", name)
            for path in sorted(item for item in self.seed.folder.rglob("*") if item.is_file()):
                if path.parent.name == "locks":
                    continue
                place = path.relative_to(self.seed.folder)
                # In a bucket restic has no folders of two letters under data, but reads them as well.
                host.put_object(Bucket=self.bucket(name), Key=f"restic/{place}", Body=path.read_bytes())

    def access(self, role: str, name: str = "aws") -> dict[str, str]:
        """The environment in which restic opens the bucket with this role's key."""
        access, secret = self.keys[role][name]
        return {
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "RESTIC_REPOSITORY": f"s3:{self.store.url}/{self.bucket(name)}/restic",
        }

    def restic(self, *arguments: str, role: str = "maintenance", name: str = "aws") -> Any:
        return self.seed.restic(*arguments, **self.access(role, name))

    def names(self, name: str = "aws", under: str = "") -> list[str]:
        """Current objects below `restic/`."""
        pages = self.admin(name).get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.bucket(name), Prefix=f"restic/{under}")
        return [item["Key"].removeprefix("restic/") for page in found for item in page.get("Contents", ())]


def make_vaults(store: Objects, seed: Seed, number: int, *, lock_days: int = LOCK_DAYS) -> Vaults:
    aws, spaces = f"vault-aws-{number}", f"vault-spaces-{number}"
    s3 = store.client()
    s3.create_bucket(Bucket=aws, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": lock_days}}
    s3.put_object_lock_configuration(Bucket=aws, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
    s3.put_public_access_block(Bucket=aws, PublicAccessBlockConfiguration=BLOCKED)
    s3.put_bucket_encryption(Bucket=aws, ServerSideEncryptionConfiguration=AES)
    of_spaces = store.client(keys="spaces")
    of_spaces.create_bucket(Bucket=spaces)
    of_spaces.put_bucket_versioning(Bucket=spaces, VersioningConfiguration={"Status": "Enabled"})
    arn = f"arn:aws:s3:::{aws}"
    policies = {
        "host": vault_policies.append_only,
        "maintenance": vault_policies.maintenance,
        "audit": vault_policies.audit,
    }
    keys: dict[str, dict[str, Keys]] = {
        role: {"aws": store.user(f"{role}-{number}", policy(arn))} for role, policy in policies.items()
    }
    for role, permission in (("host", "readwrite"), ("maintenance", "readwrite"), ("audit", "read")):
        keys[role]["spaces"] = store.spaces_key(role, spaces, permission)
    return Vaults(store, seed, aws, spaces, keys)


def _serve(folder: Path) -> None:
    store = ObjectStore(folder)
    server = serve(store, "127.0.0.1", 0)
    ready = {
        "url": f"http://127.0.0.1:{server.port}",
        "aws": tuple(store.aws_admin),
        "spaces": tuple(store.spaces_admin),
    }
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        name, bucket, permission = json.loads(line)
        print(json.dumps(store.create_spaces_key(name, [{"bucket": bucket, "permission": permission}])), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
