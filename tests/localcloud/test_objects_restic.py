"""restic against the store over TLS, with the credential that a host has: it adds, reads and cannot remove."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.localcloud.objects_support import REPO, Store, append_only, make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def restic() -> str:
    found = shutil.which("restic") or shutil.which("restic", path=str(REPO / ".local" / "bin"))
    if not found:
        pytest.skip("no restic on PATH or in .local/bin: `make up` builds it")
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    running = Store(tmp_path / "state", make_certificate(tmp_path)).start()
    yield running
    running.kill()


def test_a_host_backs_up_copies_checks_and_restores_and_cannot_forget(
    restic: str, store: Store, tmp_path: Path
) -> None:
    s3 = store.client()
    s3.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}
    s3.put_object_lock_configuration(
        Bucket="vault", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    access, secret = store.user("host", *append_only("vault", "tts"))
    assert store.tls
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "RESTIC_PASSWORD": secrets.token_hex(16),
        "RESTIC_REPOSITORY": f"s3:{store.url}/vault/tts",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [restic, "--cacert", str(store.tls[0] if store.tls else ""), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    source = tmp_path / "source"
    source.mkdir()
    files = {f"f{number}": os.urandom(200_000 * (number + 1)) for number in range(12)}
    for name, data in files.items():
        (source / name).write_bytes(data)
    for arguments in (("init",), ("backup", str(source)), ("check", "--read-data"), ("backup", str(source))):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
    packs = {item["VersionId"] for item in s3.list_object_versions(Bucket="vault", Prefix="tts/data/")["Versions"]}
    run("forget", "--keep-last", "1", "--prune")
    listed = s3.list_object_versions(Bucket="vault")
    assert packs <= {item["VersionId"] for item in listed["Versions"]}
    assert {item["Key"].split("/")[1] for item in listed["DeleteMarkers"]} == {"locks"}
    store.restart()
    environment["RESTIC_REPOSITORY"] = f"s3:{store.url}/vault/tts"
    done = run("restore", "latest", "--target", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    restored = tmp_path / "out" / source.relative_to("/")
    assert {path.name: path.read_bytes() for path in restored.iterdir()} == files
