"""`tts rewind`: what an attacker overwrote and deleted with the host's key comes back from the versions."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ops.errors import OpsError
from ops.rewind import parse_moment
from tests.localcloud.api_support import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Fakes, Tts

    from tests.ops.vaults import Seed, Vaults

pytestmark = pytest.mark.docker  # real restic, whose key derivation alone takes a second each time

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _after(vaults: Vaults) -> str:
    """A moment after everything so far; stores keep times to the second, so this waits for the next one."""
    moment = datetime.now(UTC).replace(microsecond=0)
    wait_for(lambda: datetime.now(UTC) > moment + timedelta(seconds=1))
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _attack(vaults: Vaults, name: str) -> None:
    """Garbage of the same size over half of the packs and two snapshots; then all deletes that the key may do."""
    host, bucket = vaults.client("host", name), vaults.bucket(name)
    victims = vaults.names(name, "data/")[::2] + vaults.names(name, "snapshots/")[:2]
    for each in victims:
        size = host.head_object(Bucket=bucket, Key=f"restic/{each}")["ContentLength"]
        host.put_object(Bucket=bucket, Key=f"restic/{each}", Body=secrets.token_bytes(size))
    if name == "spaces":
        for each in (*vaults.names(name, "keys/"), *vaults.names(name, "index/"), "config"):
            host.delete_object(Bucket=bucket, Key=f"restic/{each}")
    host.put_object(Bucket=bucket, Key="restic/index/" + secrets.token_hex(32), Body=b"forged")


@pytest.mark.parametrize("name", ["aws", "spaces"])
def test_after_an_attack_with_the_hosts_key_all_comes_back(vaults: Vaults, tts: Tts, name: str) -> None:
    moment = _after(vaults)
    _attack(vaults, name)
    assert vaults.restic("check", "--read-data", "--no-lock", name=name).returncode != 0

    looked = tts("rewind", "--to", moment, "--from", name, "--json")
    assert looked.code == 0, looked.stderr
    assert len(looked.json["overwritten"]) >= 3
    assert len(looked.json["added"]) == 1
    assert bool(looked.json["deleted"]) == (name == "spaces")

    done = tts("rewind", "--to", moment, "--from", name, "--apply", "--hide-added", "--yes", "--json")

    assert done.code == 0, done.stderr + done.stdout
    assert done.json["snapshots"] == 8
    checked = vaults.restic("check", "--read-data", "--no-lock", name=name)
    assert checked.returncode == 0, checked.stderr
    listed = vaults.admin(name).list_object_versions(Bucket=vaults.bucket(name), Prefix="restic/")
    garbage = [item for item in listed["Versions"] if item["Key"].startswith("restic/index/") and item["Size"] == 6]
    assert garbage, "what the attacker wrote is evidence, and stays as a version"


def test_the_repository_of_a_moment_is_fetched_and_opened_by_plain_restic(
    vaults: Vaults, tts: Tts, tmp_path: Path, seed: Seed
) -> None:
    moment = _after(vaults)
    _attack(vaults, "aws")
    folder = tmp_path / "then"

    done = tts("rewind", "--to", moment, "--to-dir", str(folder), "--json")

    assert done.code == 0, done.stderr + done.stdout
    assert done.json["snapshots"] == 8
    assert done.json["sound"] is True
    checked = seed.restic("check", "--read-data", RESTIC_REPOSITORY=str(folder))
    assert checked.returncode == 0, checked.stderr
    assert {oct(path.stat().st_mode & 0o077) for path in folder.rglob("*")} == {"0o0"}


def test_a_moment_after_the_damage_is_called_damaged(vaults: Vaults, tts: Tts, tmp_path: Path) -> None:
    pack = vaults.names("aws", "data/")[0]
    vaults.client("host").put_object(Bucket=vaults.aws, Key=f"restic/{pack}", Body=b"garbage")
    moment = _after(vaults)

    done = tts("rewind", "--to", moment, "--to-dir", str(tmp_path / "then"))

    assert done.code == 1
    assert "not what their name says" in done.stdout
    assert "go further back" in " ".join(done.stdout.split())


def test_new_backups_stay_unless_they_are_to_be_hidden(vaults: Vaults, tts: Tts) -> None:
    moment = _after(vaults)
    added = "snapshots/" + secrets.token_hex(32)
    body = vaults.admin().get_object(Bucket=vaults.aws, Key=f"restic/{vaults.names('aws', 'snapshots/')[0]}")["Body"]
    vaults.client("host").put_object(Bucket=vaults.aws, Key=f"restic/{added}", Body=body.read())

    tts("rewind", "--to", moment, "--apply", "--yes")
    assert added in vaults.names("aws")

    tts("rewind", "--to", moment, "--apply", "--yes", "--hide-added")
    assert added not in vaults.names("aws")


def test_a_rewind_can_be_rewound(vaults: Vaults, tts: Tts) -> None:
    pack = vaults.names("aws", "data/")[0]
    before = _after(vaults)
    vaults.client("host").put_object(Bucket=vaults.aws, Key=f"restic/{pack}", Body=b"second")
    between = _after(vaults)

    tts("rewind", "--to", before, "--apply", "--yes")
    tts("rewind", "--to", between, "--apply", "--yes")

    assert vaults.admin().get_object(Bucket=vaults.aws, Key=f"restic/{pack}")["Body"].read() == b"second"


def test_looking_changes_nothing_and_names_the_next_step(vaults: Vaults, tts: Tts) -> None:
    moment = _after(vaults)
    before = vaults.admin().list_object_versions(Bucket=vaults.aws)["Versions"]

    done = tts("rewind", "--to", moment)

    assert done.code == 0, done.stderr
    assert "8 snapshots" in done.stdout
    assert "--to-dir" in done.stdout
    assert vaults.admin().list_object_versions(Bucket=vaults.aws)["Versions"] == before


def test_putting_back_asks_for_the_name_of_the_bucket(
    vaults: Vaults, tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = _after(vaults)
    pack = vaults.names("aws", "data/")[0]
    place = {"Bucket": vaults.aws, "Key": f"restic/{pack}"}
    vaults.client("host").put_object(**place, Body=b"garbage")
    assert tts("rewind", "--to", moment, "--apply").code == 2, "nobody is there to agree"
    monkeypatch.setattr("ops.commands.rewind.is_interactive", lambda: True)

    assert tts("rewind", "--to", moment, "--apply", typed="yes\n").code == 1
    assert vaults.admin().get_object(**place)["Body"].read() == b"garbage"
    assert tts("rewind", "--to", moment, "--apply", typed=f"{vaults.aws}\n").code == 0
    assert vaults.admin().get_object(**place)["Body"].read() != b"garbage"


def test_a_moment_before_the_repository_is_refused(vaults: Vaults, tts: Tts) -> None:
    done = tts("rewind", "--to", "2d")

    assert done.code == 1
    assert "held no repository" in done.stderr
    assert "oldest version" in " ".join(done.stderr.split())


def test_a_folder_that_holds_something_is_refused_before_anything_is_read(
    vaults: Vaults, tts: Tts, tmp_path: Path, deployed: Fakes
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()

    assert tts("rewind", "--to", "1h", "--to-dir", str(tmp_path / "full")).code == 2
    assert tts("rewind", "--to", "1h", "--to-dir", str(tmp_path / "no" / "where")).code == 2
    assert tts("rewind", "--to", "1h", "--to-dir", str(tmp_path / "new"), "--apply").code == 2
    assert deployed.calls() == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T02:00:00", NOW.replace(hour=2)),
        ("2026-11-23 02:00", NOW.replace(hour=2)),
        ("2026-11-23T04:00:00+02:00", NOW.replace(hour=2)),
        ("2026-11-23T02:00:00Z", NOW.replace(hour=2)),
        ("3h", NOW.replace(hour=9)),
        ("2d", NOW - timedelta(days=2)),
    ],
)
def test_times_as_people_write_them(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-11-24", "", "99999999999d"])
def test_what_is_no_time_that_has_been_is_refused(text: str) -> None:
    with pytest.raises(OpsError):
        parse_moment(text, NOW)
