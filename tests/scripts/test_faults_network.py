"""Faults of the line to an off-site store: real restic, a real S3 store, and a line between them that breaks."""

from __future__ import annotations

import secrets
import time

import pytest

from tests.localcloud.objects_support import Store
from tests.scripts.lines import line_to

pytestmark = pytest.mark.docker  # seconds each, for real programs


@pytest.fixture
def far(bare_host, templates):
    """A host whose one off-site repository is a bucket behind a line that can break."""
    store = Store(bare_host.root / "store").start()
    try:
        upload(store.client(), templates / "far")
        access, secret = store.admin("aws")
        with line_to(store.keys["port"]) as line:
            credentials = bare_host.root / "secrets" / "offsite-aws"
            credentials.write_text(f"AWS_ACCESS_KEY_ID={access}\nAWS_SECRET_ACCESS_KEY={secret}\n")
            credentials.chmod(0o600)
            bare_host.write(
                TTS_OFFSITE="aws",
                TTS_OFFSITE_AWS_REPOSITORY=f"s3:http://127.0.0.1:{line.port}/vault/tts",
                TTS_OFFSITE_AWS_CREDENTIALS=str(credentials),
                TTS_MEDIA_ERRORS="0",
            )
            bare_host.far = lambda *args: restic(bare_host, store, *args)
            bare_host.line = line
            yield bare_host
    finally:
        store.kill()


def upload(client, repository):
    """An empty repository, as `restic init` would make it in the bucket."""
    client.create_bucket(Bucket="vault")
    for path in (item for item in repository.rglob("*") if item.is_file()):
        client.put_object(Bucket="vault", Key=f"tts/{path.relative_to(repository)}", Body=path.read_bytes())


def restic(host, store, *args):
    """restic as a person runs it, past the line."""
    access, secret = store.admin("aws")
    keys = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
    return host.restic("aws", *args, address=f"s3:http://127.0.0.1:{store.keys['port']}/vault/tts", env=keys)


def media(host):
    return host.root / "volumes" / "shop_media_files" / "_data"


def add_media(host):
    (media(host) / secrets.token_hex(4)).write_bytes(secrets.token_bytes(1_500_000))


def copies(host):
    done = host.far("snapshots", "--json", "--no-lock")
    assert done.returncode == 0, done.stderr
    return done.stdout.count('"original"')


def test_fault_19_a_line_cut_at_any_point_of_a_copy_leaves_no_half_snapshot_and_the_backlog_goes_later(far):
    add_media(far)
    assert far.run("backup", "media").returncode == 0
    size = far.line.uploaded
    assert size > 1_500_000
    far.write(TTS_OFFSITE_TIMEOUT="6")
    for number, share in enumerate((0.01, 0.3, 0.6, 0.9, 0.99), start=1):
        add_media(far)
        far.line.reset(after=int(size * share))
        done = far.run("backup", "media")
        last = far.failed(done, "offsite", job="backup-media")
        assert "aws" in last
        far.line.reset()
        assert len(far.snapshots()) == number + 1, "the local snapshot is lost"
        checked = far.far("check", "--no-lock")
        assert checked.returncode == 0, f"a half snapshot: {checked.stderr}"
    far.write(TTS_OFFSITE_TIMEOUT="600")
    assert far.run("offsite").returncode == 0
    assert copies(far) == len(far.snapshots())
    assert far.far("unlock").returncode == 0  # a copy whose line is cut cannot take its lock away
    checked = far.far("check", "--read-data")
    assert checked.returncode == 0, checked.stderr


def test_fault_20_a_store_that_is_busy_for_a_moment_is_waited_for(far):
    add_media(far)
    far.line.reset(after=1000, then="busy", busy_times=3)
    done = far.run("backup", "media")
    assert done.returncode == 0, done.stderr
    assert far.line.busy_times == 0
    assert copies(far) == 1


def test_fault_20_a_store_that_stays_busy_is_given_up_at_the_time_limit(far):
    add_media(far)
    far.write(TTS_OFFSITE_TIMEOUT="8")
    far.line.reset(after=1000, then="busy")
    begun = time.monotonic()
    last = far.failed(far.run("backup", "media"), "offsite", job="backup-media")
    assert time.monotonic() - begun < 120
    assert "did not end within 8 s" in last
    assert len(far.snapshots()) == 1
    far.line.reset()
    far.write(TTS_OFFSITE_TIMEOUT="600")
    assert far.run("offsite").returncode == 0
    assert copies(far) == 1
