"""Media in a bucket: backed up through a mirror, restored into the bucket, and put back when a restore fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker  # seconds each, for real programs
NAME = "shop-media"


@pytest.fixture
def store(bare_host, s3_endpoint) -> Iterator[Any]:
    """The bucket, with three files, as the place of the host's media; versions are kept as Spaces keeps them."""
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="key-of-media",
        aws_secret_access_key="secret-of-media",
    )
    client.create_bucket(Bucket=NAME)
    for number in range(3):
        client.put_object(Bucket=NAME, Key=f"uploads/file {number}.bin", Body=f"content {number}".encode())
    credentials = bare_host.root / "secrets" / "media"
    credentials.write_text("AWS_ACCESS_KEY_ID=key-of-media\nAWS_SECRET_ACCESS_KEY=secret-of-media\n")
    credentials.chmod(0o600)
    bare_host.write(
        TTS_OFFSITE="",
        TTS_MEDIA_BUCKET=NAME,
        TTS_MEDIA_ENDPOINT=s3_endpoint,
        TTS_MEDIA_REGION="fra1",
        TTS_MEDIA_CREDENTIALS=str(credentials),
    )
    yield client
    for item in client.list_objects_v2(Bucket=NAME).get("Contents", []):
        client.delete_object(Bucket=NAME, Key=item["Key"])
    client.delete_bucket(Bucket=NAME)


def lose_on_the_way(host, uploaded: str) -> None:
    """An upload from a folder of that name loses a file, as no store would say."""
    host.fake(
        "rclone",
        f'if [[ $1 == sync && $* == *{uploaded}* ]]; then "$REAL" "$@"; '
        f'"$REAL" deletefile "bucket:{NAME}/uploads/file 1.bin"; exit 0; fi; exec "$REAL" "$@"',
    )


def contents(client) -> dict[str, bytes]:
    listed = client.list_objects_v2(Bucket=NAME).get("Contents", [])
    return {item["Key"]: client.get_object(Bucket=NAME, Key=item["Key"])["Body"].read() for item in listed}


def test_the_bucket_is_backed_up_and_what_is_deleted_there_leaves_the_next_snapshot(bare_host, store):
    assert bare_host.run("backup", "media").returncode == 0
    store.delete_object(Bucket=NAME, Key="uploads/file 0.bin")
    store.put_object(Bucket=NAME, Key="uploads/file 1.bin", Body=b"CONTENT 1")  # of the same size
    done = bare_host.run("backup", "media")
    assert done.returncode == 0, done.stderr
    assert "secret-of-media" not in done.stderr + bare_host.log("backup-media")
    newest = bare_host.snapshots(kind="media")[-1]
    listed = bare_host.restic("local", "dump", newest["id"], f"{newest['paths'][0]}/uploads/file 1.bin")
    assert listed.stdout == "CONTENT 1"
    assert newest["summary"]["total_files_processed"] == 2


def test_a_restore_makes_the_bucket_equal_to_the_snapshot_and_can_be_undone(bare_host, store):
    assert bare_host.run("backup", "media").returncode == 0
    before = contents(store)
    store.delete_object(Bucket=NAME, Key="uploads/file 0.bin")
    store.put_object(Bucket=NAME, Key="uploads/later.bin", Body=b"later")
    damaged = contents(store)
    done = bare_host.run("restore", "media", "--yes")
    assert done.returncode == 0, done.stderr
    assert contents(store) == before
    calls = [call.split()[0] for call in bare_host.docker_calls()]
    assert calls.index("stop") < calls.index("start")
    assert bare_host.run("restore", "undo", "--media", "--yes").returncode == 0
    assert contents(store) == damaged
    assert bare_host.run("restore", "drop-old", "--media", "--yes").returncode == 0
    assert not list((bare_host.root / "state").glob("media.before_*"))


def test_a_restore_that_fails_half_way_gives_the_bucket_back_what_it_held(bare_host, store):
    assert bare_host.run("backup", "media").returncode == 0
    store.put_object(Bucket=NAME, Key="uploads/later.bin", Body=b"later")
    before = contents(store)
    lose_on_the_way(bare_host, "media.restore")
    done = bare_host.run("restore", "media", "--yes")
    assert done.returncode == 1
    assert "uploads/file 1.bin is missing" in done.stderr
    assert contents(store) == before


def odd_names(store) -> None:
    store.put_object(Bucket=NAME, Key="odd/a{b}[1]*.bin", Body=b"odd")
    store.put_object(Bucket=NAME, Key="odd/ab1.bin", Body=b"a name that a pattern would take too")


def test_single_paths_come_back_into_the_bucket_and_no_other_object_is_touched(bare_host, store):
    odd_names(store)
    assert bare_host.run("backup", "media").returncode == 0
    before = contents(store)
    store.delete_object(Bucket=NAME, Key="uploads/file 0.bin")
    store.put_object(Bucket=NAME, Key="uploads/later.bin", Body=b"later")
    for key in ("odd/a{b}[1]*.bin", "odd/ab1.bin"):
        store.put_object(Bucket=NAME, Key=key, Body=b"changed since")
    store.put_object(Bucket=NAME, Key="uploads2/new.bin", Body=b"new")
    damaged = contents(store)
    done = bare_host.run("restore", "media", "uploads", "odd/a{b}[1]*.bin", "--yes")
    assert done.returncode == 0, done.stderr
    assert contents(store) == {
        **before, "odd/ab1.bin": b"changed since", "uploads2/new.bin": b"new",
    }, "a folder is as it was, and what came into it since is gone"  # fmt: skip
    assert not any(call.startswith("stop") for call in bare_host.docker_calls())
    restored = contents(store)
    for wanted in (damaged, restored):
        assert bare_host.run("restore", "undo", "--media", "--yes").returncode == 0
        assert contents(store) == wanted, "an undo can be undone"
    assert bare_host.run("restore", "drop-old", "--media", "--yes").returncode == 0
    assert not list((bare_host.root / "state").glob("media.*"))


def test_single_paths_that_fail_half_way_are_given_back(bare_host, store):
    odd_names(store)
    assert bare_host.run("backup", "media").returncode == 0
    store.put_object(Bucket=NAME, Key="uploads/file 1.bin", Body=b"changed since")
    before = contents(store)
    lose_on_the_way(bare_host, "/new/")
    done = bare_host.run("restore", "media", "uploads", "--yes")
    assert done.returncode == 1
    assert "uploads/file 1.bin is missing" in done.stderr
    assert contents(store) == before


@pytest.mark.parametrize("name", ["../app.env", "/etc/passwd", "nothing/here"])
def test_a_path_that_is_not_in_the_snapshot_changes_nothing(bare_host, store, name):
    assert bare_host.run("backup", "media").returncode == 0
    before = contents(store)
    assert bare_host.run("restore", "media", name, "--yes").returncode == 1
    assert contents(store) == before
    assert not list((bare_host.root / "state").glob("media.*"))


def test_an_object_whose_hash_the_store_cannot_tell_is_read_for_it(bare_host, store, tts_host, monkeypatch):
    monkeypatch.setenv("PATH", bare_host.environment()["PATH"])
    part = b"x" * (5 << 20)
    upload = store.create_multipart_upload(Bucket=NAME, Key="uploads/big.bin")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": store.upload_part(
                Bucket=NAME, Key="uploads/big.bin", UploadId=upload, PartNumber=number, Body=body
            )["ETag"],
        }
        for number, body in enumerate((part, b"end"), 1)
    ]
    store.complete_multipart_upload(
        Bucket=NAME, Key="uploads/big.bin", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    found = tts_host.bucket.of(tts_host.config.load(bare_host.env))
    folder = bare_host.root / "big"
    folder.mkdir()
    (folder / "big.bin").write_bytes(part + b"end")
    assert found.hashes()["uploads/big.bin"] == tts_host.bucket.hashes_below(folder)["big.bin"]


def test_a_bucket_that_refuses_the_key_is_named_before_anything_is_written(bare_host, store):
    bare_host.write(TTS_MEDIA_BUCKET="no-such-bucket")
    done = bare_host.run("backup", "media")
    last = bare_host.failed(done, "preflight", job="backup-media")
    assert "no-such-bucket" in last
    assert bare_host.snapshots(kind="media") == []


@pytest.mark.parametrize("missing", ["TTS_MEDIA_ENDPOINT", "TTS_MEDIA_CREDENTIALS"])
def test_a_bucket_without_its_address_or_key_is_a_configuration_error(bare_host, store, missing):
    bare_host.write(**{missing: ""})
    done = bare_host.run("backup", "media")
    assert done.returncode == 78
    assert f"{missing} is missing" in done.stderr
