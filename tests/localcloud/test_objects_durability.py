"""What was answered is there after SIGKILL; what was not leaves nothing behind; one process has the state at a time."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.objects.grants import spaces_policy
from tests.localcloud.objects_support import REPO, Store, code_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    running = Store(tmp_path / "state").start()
    yield running
    running.kill()


def contents(s3: Any, bucket: str) -> list[tuple[str, ...]]:
    """Every version with the hash of its body, its metadata, tags and lock; and every delete marker."""
    listed = s3.list_object_versions(Bucket=bucket)
    found: list[tuple[str, ...]] = [
        ("marker", item["Key"], item["VersionId"], str(item["IsLatest"])) for item in listed.get("DeleteMarkers", [])
    ]
    for item in listed.get("Versions", []):
        named = {"Bucket": bucket, "Key": item["Key"], "VersionId": item["VersionId"]}
        answer = s3.get_object(**named)
        described = [
            answer["ETag"],
            answer["LastModified"],
            answer["Metadata"],
            answer.get("ObjectLockRetainUntilDate"),
        ]
        tags = s3.get_object_tagging(**named)["TagSet"]
        digest = hashlib.sha256(answer["Body"].read()).hexdigest()
        found.append((item["Key"], item["VersionId"], str(item["IsLatest"]), digest, str(described), str(tags)))
    return found


def bodies(store: Store) -> set[str]:
    return {path.name for path in (store.directory / "bodies").glob("??/*")}


def test_every_version_setting_user_and_upload_is_there_after_sigkill(store: Store) -> None:
    s3 = store.client()
    s3.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}}
    s3.put_object_lock_configuration(Bucket="vault", ObjectLockConfiguration=lock)
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 1}}]
    s3.put_bucket_lifecycle_configuration(Bucket="vault", LifecycleConfiguration={"Rules": rules})
    s3.put_bucket_tagging(Bucket="vault", Tagging={"TagSet": [{"Key": "stack", "Value": "local"}]})
    for number in range(5):
        s3.put_object(
            Bucket="vault", Key="k", Body=os.urandom(number * 1000), Metadata={"n": str(number)}, Tagging="a=b"
        )
    s3.put_object(Bucket="vault", Key="gone", Body=b"hidden")
    s3.delete_object(Bucket="vault", Key="gone")
    upload = s3.create_multipart_upload(Bucket="vault", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="vault", Key="parts", UploadId=upload, PartNumber=1, Body=b"first part")
    keys = store.user("host", {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    spaces = store.client(keys="spaces")
    spaces.create_bucket(Bucket="media", CreateBucketConfiguration={"LocationConstraint": "ams3"})
    spaces.put_object(Bucket="media", Key="m", Body=b"media")
    before, secrets_before = contents(s3, "vault"), store.keys
    assert len(before) == 7

    store.restart()

    s3 = store.client()
    assert {name: store.keys[name] for name in secrets_before if name != "port"} == {
        name: value for name, value in secrets_before.items() if name != "port"
    }
    assert contents(s3, "vault") == before
    assert s3.get_object_lock_configuration(Bucket="vault")["ObjectLockConfiguration"] == lock
    assert s3.get_bucket_lifecycle_configuration(Bucket="vault")["Rules"] == rules
    assert s3.get_bucket_tagging(Bucket="vault")["TagSet"] == [{"Key": "stack", "Value": "local"}]
    assert store.client(keys="spaces").get_bucket_location(Bucket="media")["LocationConstraint"] == "ams3"
    assert store.client(keys="spaces").get_object(Bucket="media", Key="m")["Body"].read() == b"media"
    assert code_of(store.client(keys=keys).get_object, Bucket="vault", Key="k") == "ok"
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="vault", Key="parts", UploadId=upload, MultipartUpload=done)
    store.restart()
    assert store.client().get_object(Bucket="vault", Key="parts")["Body"].read() == b"first part"


def test_a_store_killed_under_load_has_all_that_it_answered_and_no_stray_body(store: Store) -> None:
    s3 = store.client()
    s3.create_bucket(Bucket="load")
    answered: dict[str, str] = {}
    enough = threading.Event()

    def write(worker: int) -> None:
        client = store.client()
        for number in range(10_000):
            data = os.urandom(20_000)
            key = f"{worker}/{number}"
            try:
                client.put_object(Bucket="load", Key=key, Body=data)
            except (BotoCoreError, ClientError):
                return
            answered[key] = hashlib.sha256(data).hexdigest()
            if len(answered) > 60:
                enough.set()

    workers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    assert enough.wait(60)
    store.kill()
    for worker in workers:
        worker.join()
    (store.directory / "bodies" / "ab" / "ab-left-by-a-killed-upload").write_bytes(b"x")
    store.start()
    s3 = store.client()
    for key, digest in answered.items():
        assert hashlib.sha256(s3.get_object(Bucket="load", Key=key)["Body"].read()).hexdigest() == digest
    assert len(bodies(store)) == len(s3.list_objects_v2(Bucket="load")["Contents"])


def test_what_is_deleted_or_overwritten_gives_its_space_back(store: Store) -> None:
    s3 = store.client()
    s3.create_bucket(Bucket="space")
    for _ in range(3):
        s3.put_object(Bucket="space", Key="k", Body=b"x" * 1000)
    assert len(bodies(store)) == 1
    upload = s3.create_multipart_upload(Bucket="space", Key="p")["UploadId"]
    s3.upload_part(Bucket="space", Key="p", UploadId=upload, PartNumber=1, Body=b"1")
    s3.upload_part(Bucket="space", Key="p", UploadId=upload, PartNumber=1, Body=b"2")
    assert len(bodies(store)) == 2
    s3.abort_multipart_upload(Bucket="space", Key="p", UploadId=upload)
    assert code_of(s3.put_object, Bucket="space", Key="k", Body=b"y", IfNoneMatch="*") == "PreconditionFailed"
    s3.delete_object(Bucket="space", Key="k")
    s3.delete_bucket(Bucket="space")
    assert bodies(store) == set()
    store.restart()
    assert store.client().list_buckets()["Buckets"] == []


def test_the_cost_of_a_write_in_the_database_does_not_grow_with_the_bucket(store: Store) -> None:
    s3 = store.client()
    s3.create_bucket(Bucket="many")

    def row_bytes(count: int) -> int:
        for number in range(count):
            s3.put_object(Bucket="many", Key=f"k{number:04}", Body=b"x")
        with sqlite3.connect(store.directory / "state.sqlite") as database:
            sizes = [size for (size,) in database.execute("SELECT length(state) FROM items")]
            (bucket,) = database.execute("SELECT length(state) FROM buckets").fetchone()
        database.close()
        return max(sizes) + bucket

    assert row_bytes(300) < row_bytes(1) * 1.1
    assert row_bytes(1) < 8000


def test_a_write_that_cannot_be_saved_is_not_answered_and_not_remembered(store: Store) -> None:
    s3, iam = store.client(), store.client("iam")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=b"old")
    blocker = sqlite3.connect(store.directory / "state.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert code_of(s3.put_object, Bucket="kept", Key="k", Body=b"new") == "InternalError"
    assert code_of(s3.create_bucket, Bucket="lost") == "InternalError"
    assert code_of(iam.create_user, UserName="lost") == "InternalError"
    blocker.execute("ROLLBACK")
    blocker.close()
    assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == b"old"
    assert len(bodies(store)) == 1
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["kept"]
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["admin"]
    assert code_of(s3.put_object, Bucket="kept", Key="k", Body=b"new") == "ok"


def test_the_state_is_closed_to_others_and_holds_no_key_outside_its_database(store: Store) -> None:
    assert oct(store.directory.stat().st_mode & 0o777) == "0o700"
    assert oct((store.directory / "state.sqlite").stat().st_mode & 0o777) == "0o600"
    log = (store.directory.parent / "state.log").read_text()
    assert store.admin("aws")[1] not in log
    assert store.admin("spaces")[1] not in log


def run_again(directory: Path, port: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localcloud.objects", "--dir", str(directory), "--port", str(port)]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_process_and_a_taken_port_get_a_clear_error(store: Store, tmp_path: Path) -> None:
    second = run_again(store.directory)
    assert (second.returncode, "in use by another process" in second.stderr) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        third = run_again(tmp_path / "other", taken.getsockname()[1])
    assert (third.returncode, "in use" in third.stderr, "Traceback" in third.stderr) == (1, True, False)


def test_the_state_of_another_moto_is_refused_and_left_alone(store: Store) -> None:
    store.kill()
    database = sqlite3.connect(store.directory / "state.sqlite")
    with database:
        database.execute("UPDATE meta SET value = '4.0.0' WHERE name = 'moto'")
    database.close()
    refused = run_again(store.directory)
    assert (refused.returncode, "moto 4.0.0" in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)
    database = sqlite3.connect(store.directory / "state.sqlite")
    with database:
        database.execute("DELETE FROM meta")
    database.close()
    store.start()


SPACES_KEYS = """
import json, sys
from pathlib import Path
from localcloud.objects import ObjectStore, serve
store = ObjectStore(Path(sys.argv[1]))
server = serve(store, "127.0.0.1", 0)
print(server.port, *store.spaces_admin, flush=True)
for line in sys.stdin:
    call, *arguments = json.loads(line)
    print(json.dumps(getattr(store, call)(*arguments)), flush=True)
server.close()
store.close()
"""


def test_spaces_keys_have_the_rights_of_their_grants_can_change_and_survive(tmp_path: Path) -> None:
    directory = tmp_path / "state"

    class Embedded:
        def __init__(self) -> None:
            command = [sys.executable, "-c", SPACES_KEYS, str(directory)]
            self.process = subprocess.Popen(command, cwd=REPO, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self.process.stdin
            assert self.process.stdout
            self.asked, self.answers = self.process.stdin, self.process.stdout
            port, access, secret = self.answers.readline().split()
            self.store = Store(directory, keys={"port": port, "spaces_access_key": access, "spaces_secret_key": secret})

        def call(self, *request: Any) -> Any:
            self.asked.write(json.dumps(request) + "\n")
            self.asked.flush()
            return json.loads(self.answers.readline())

        def client(self, key: dict[str, str]) -> Any:
            return self.store.client(keys=(key["access_key"], key["secret_key"]))

        def stop(self, *, kill: bool) -> int:
            if kill:
                self.process.kill()
            self.asked.close()
            code = self.process.wait(30)
            self.answers.close()
            return code

    def rights(client: Any, bucket: str) -> list[str]:
        return [
            code_of(client.list_objects_v2, Bucket=bucket),
            code_of(client.get_object, Bucket=bucket, Key="k"),
            code_of(client.put_object, Bucket=bucket, Key="n", Body=b"x"),
            code_of(client.delete_object, Bucket=bucket, Key="n"),
            code_of(client.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
            code_of(client.list_buckets),
        ]

    running = Embedded()
    admin = running.store.client(keys="spaces")
    for bucket in ("one", "two"):
        admin.create_bucket(Bucket=bucket)
        admin.put_object(Bucket=bucket, Key="k", Body=b"x")
    no = "AccessDenied"
    reader = running.call("create_spaces_key", "reader", [{"bucket": "one", "permission": "read"}])
    assert rights(running.client(reader), "one") == ["ok", "ok", no, no, no, no]
    assert rights(running.client(reader), "two") == [no] * 6
    writer = running.call("create_spaces_key", "reader", [{"bucket": "one", "permission": "readwrite"}])
    assert rights(running.client(writer), "one") == ["ok", "ok", "ok", "ok", no, no]
    full = running.call("create_spaces_key", "full", [{"bucket": "", "permission": "fullaccess"}])
    assert rights(running.client(full), "two") == ["ok"] * 6
    running.call("update_spaces_key", reader["access_key"], "reader", [{"bucket": "two", "permission": "read"}])
    assert rights(running.client(reader), "one") == [no] * 6
    running.call("delete_spaces_key", writer["access_key"])
    assert code_of(running.client(writer).list_objects_v2, Bucket="one") == "InvalidAccessKeyId"
    assert running.call("buckets", "spaces") == ["one", "two"]
    running.stop(kill=True)

    running = Embedded()
    assert rights(running.client(reader), "two") == ["ok", "ok", no, no, no, no]
    assert code_of(running.client(writer).list_objects_v2, Bucket="one") == "InvalidAccessKeyId"
    assert running.stop(kill=False) == 0


def test_a_grant_of_an_unknown_permission_is_refused() -> None:
    with pytest.raises(ValueError, match="'write' is not one of read, readwrite, fullaccess"):
        spaces_policy("k", [{"bucket": "b", "permission": "write"}])
