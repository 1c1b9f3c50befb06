"""`tts audit` against both vaults: each protection that is taken away, each silence and each oddity is found."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from ops.audit_settings import settings
from ops.history import History, Version
from ops.trend import trend, unusual
from ops.vault import Vault
from tests.ops.vaults import BLOCKED, back_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Fakes, Tts

    from tests.ops.vaults import Objects, Seed, Vaults

pytestmark = pytest.mark.docker  # real restic, whose key derivation alone takes a second each time

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def bare(vaults: Vaults, deployed: Fakes) -> Vaults:
    """Without the passphrase: only the buckets can be looked at. It takes no restic and no time."""
    says = "error: configuration key 'backupPassphrase' not found for stack 'prod'\n"
    deployed.answer("pulumi", "config get backupPassphrase", stderr=says, code=255)
    return vaults


@pytest.fixture
def keyed(vaults: Vaults, deployed: Fakes, monkeypatch: pytest.MonkeyPatch) -> Vaults:
    """With the keys, without restic on PATH."""
    monkeypatch.setattr("ops.audit.shutil.which", lambda _: None)
    return vaults


def test_sound_copies_give_exit_code_0_with_keys_that_only_read(vaults: Vaults, tts: Tts, deployed: Fakes) -> None:
    done = tts("audit", "--json")

    assert done.code == 0, done.stdout + done.stderr
    aws, spaces = done.json["buckets"]
    assert aws["snapshots"] == spaces["snapshots"] == 8
    assert {kind["kind"]: kind["snapshots"] for kind in aws["kinds"]} == {"databases": 6, "media": 1, "config": 1}
    assert aws["bytes"] > 900_000
    assert aws["trend"]["newest_day_bytes"] == aws["bytes"]
    assert aws["locks"]["fewest_days"] > 34
    assert spaces["locks"] is None
    assert deployed.calls("ssh") == [], "an audit looks from outside"
    assert not any("maintenance" in " ".join(call["argv"]) for call in deployed.calls())


def test_the_screen_says_what_was_seen(keyed: Vaults, tts: Tts) -> None:
    screen = tts("audit").stdout

    assert "sound" in screen
    assert "locked for 3" in screen
    assert "no restic on PATH" in screen


def _versionless(vaults: Vaults) -> None:
    s3 = vaults.admin("spaces")
    s3.put_bucket_versioning(Bucket=vaults.spaces, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=vaults.spaces, Key="restic/index/" + "a" * 64, Body=b"x")


def _empty(vaults: Vaults) -> None:
    for name in vaults.names("spaces", "snapshots/"):
        vaults.admin("spaces").delete_object(Bucket=vaults.spaces, Key=f"restic/{name}")


def _overwrite(vaults: Vaults) -> None:
    place = {"Bucket": vaults.aws, "Key": f"restic/{vaults.names('aws', 'data/')[0]}"}
    vaults.client("host").put_object(**place, Body=b"garbage")


def _flood(vaults: Vaults) -> None:
    for _ in range(30):
        name = f"restic/snapshots/{secrets.token_hex(32)}"
        vaults.client("host").put_object(Bucket=vaults.aws, Key=name, Body=b"forged")


def _half_blocked(vaults: Vaults) -> None:
    vaults.admin().put_public_access_block(
        Bucket=vaults.aws, PublicAccessBlockConfiguration={**BLOCKED, "BlockPublicPolicy": False}
    )


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_versionless, "1 objects have no version"),
        (_empty, "holds no snapshot"),
        (_overwrite, "1 objects hold other content"),
        (_flood, "38 snapshots arrived"),
        (_half_blocked, "not blocked: BlockPublicPolicy"),
        (
            lambda vaults: vaults.admin().delete_public_access_block(Bucket=vaults.aws),
            "public access block is not configured",
        ),
        (
            lambda vaults: vaults.admin().delete_bucket_encryption(Bucket=vaults.aws),
            "encryption is not configured",
        ),
        (
            lambda vaults: vaults.admin().put_object_lock_configuration(
                Bucket=vaults.aws, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
            ),
            "no default retention",
        ),
    ],
)
def test_each_harm_is_found(keyed: Vaults, tts: Tts, harm: Callable[[Vaults], None], says: str) -> None:
    harm(keyed)

    done = tts("audit", "--json")

    assert done.code == 3
    assert done.json["findings"] == 1, done.stdout
    assert says in done.stdout


@pytest.mark.parametrize("vaults", [3], indirect=True)
def test_a_lock_that_soon_ends_is_found(keyed: Vaults, tts: Tts) -> None:
    done = tts("audit", "--json")

    assert done.code == 3
    assert done.json["findings"] == 1
    assert "ends in 3 days: tts prune prolongs it" in done.stdout


def test_an_object_in_use_without_a_lock_is_found(keyed: Vaults, tts: Tts) -> None:
    version = keyed.admin().head_object(Bucket=keyed.aws, Key="restic/config")["VersionId"]
    keyed.admin().put_object_retention(
        Bucket=keyed.aws, Key="restic/config", VersionId=version, Retention={}, BypassGovernanceRetention=True
    )

    done = tts("audit", "--json")

    assert done.code == 3
    assert "1 of " in done.stdout
    assert "are not locked" in done.stdout


def test_each_kind_that_is_late_or_missing_is_found_by_itself(
    vaults: Vaults, tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("ops.audit").audit.MAX_AGES, "databases", timedelta(hours=24))

    done = tts("audit", "--json")

    assert done.code == 3
    assert done.json["findings"] == 2, "at each copy"
    assert "its newest databases snapshot is 25 h old" in done.stdout


def test_forged_snapshots_neither_hide_the_silence_nor_go_unseen(vaults: Vaults, tts: Tts, seed: Seed) -> None:
    at_aws = vaults.access("host")
    back_up(seed, "databases", datetime.now(UTC) + timedelta(days=9), **at_aws)
    back_up(seed, "databases", datetime.now(UTC), host="evil", **at_aws)

    findings = tts("audit", "--json").json["buckets"][0]["findings"]

    assert any("claim to be from after their upload" in text for text in findings)
    assert any("1 snapshots are not of this stack" in text for text in findings)


def test_a_passphrase_that_opens_nothing_is_a_finding(vaults: Vaults, deployed: Fakes, tts: Tts) -> None:
    deployed.answer("pulumi", "config get backupPassphrase", "wrong\n")

    done = tts("audit", "--json")

    assert done.code == 3
    assert "passphrase does not open it" in done.stdout


def test_an_old_newest_snapshot_is_found_without_restic(
    keyed: Vaults, tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.audit.MAX_AGE", timedelta(seconds=-1))

    done = tts("audit", "--json")

    assert done.code == 3
    assert "its newest snapshot is 0 h old" in done.stdout


def test_a_missing_bucket_is_a_finding_and_no_crash(
    keyed: Vaults, tts: Tts, deployed: Fakes, outputs: dict[str, Any]
) -> None:
    outputs["backup"]["offsite"][0]["bucket"] = "b-gone"
    deployed.answer("pulumi", "stack output --json", outputs)

    done = tts("audit", "--json")

    assert done.code == 3
    assert "cannot be listed" in done.stdout
    assert len(done.json["buckets"]) == 2, "one that is down does not hide the other"


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_named(bare: Vaults, tts: Tts, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    if name.startswith("SPACES"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", bare.keys["audit"]["aws"][0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bare.keys["audit"]["aws"][1])

    done = tts("audit")

    assert done.code == 78
    assert name in done.stderr


def test_without_the_stacks_secrets_the_keys_of_the_environment_do(
    bare: Vaults, tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("aws", "spaces"):
        access, secret = bare.keys["audit"][name]
        monkeypatch.setenv(f"{name.upper()}_ACCESS_KEY_ID", access)
        monkeypatch.setenv(f"{name.upper()}_SECRET_ACCESS_KEY", secret)

    done = tts("audit", "--json")

    assert done.code == 0, done.stdout + done.stderr
    assert "passphrase is not at hand" in done.stdout


def test_a_key_with_all_rights_reads_the_access_list_of_spaces(
    keyed: Vaults, tts: Tts, deployed: Fakes, object_store: Objects
) -> None:
    access, secret = object_store.spaces_key("all", keyed.spaces, "fullaccess")
    keys = keyed.output("audit") | {"spaces": {"accessKeyId": access, "secretAccessKey": secret}}
    deployed.answer("pulumi", "stack output audit --json", keys)
    assert tts("audit").code == 0
    keyed.admin("spaces").put_bucket_acl(Bucket=keyed.spaces, ACL="public-read")

    done = tts("audit", "--json")

    assert done.code == 3
    assert "access list lets the public in" in done.stdout


def test_a_bucket_that_answers_without_a_key_is_found() -> None:
    class Open:
        """A store that refuses the limited key and lets strangers in."""

        def __getattr__(self, call: str) -> Any:
            code = "AccessDenied" if call.startswith("get_bucket") else None

            def answer(**_: str) -> dict[str, Any]:
                if code:
                    raise ClientError({"Error": {"Code": code}}, call)
                return {}

            return answer

    class Anyone(Vault):
        def client(self, *, anonymous: bool = False) -> Any:
            assert anonymous
            return Open()

    vault = Anyone("spaces", "bucket", "fra1", "s3:https://fra1.example/bucket/restic", None)

    assert list(settings(Open(), vault, {})) == ["it lets the public in: it answers without a key"]


def test_a_destination_of_somebody_else_is_looked_at_by_restic(
    vaults: Vaults, tts: Tts, deployed: Fakes, outputs: dict[str, Any], tmp_path: Path, seed: Seed
) -> None:
    outputs["backup"]["offsite"] = [{"name": "disk", "bucket": None, "region": None, "repository": str(seed.folder)}]
    deployed.answer("pulumi", "stack output --json", outputs)
    deployed.answer("pulumi", "config --json --show-secrets", {})

    done = tts("audit", "--json")

    assert done.code == 0, done.stdout + done.stderr
    assert done.json["buckets"][0]["snapshots"] == 8


def _history(sizes: Mapping[int, tuple[int, int]]) -> History:
    """By age in days: how many snapshots arrived, and how many bytes of data."""
    found: History = {}
    for days, (snapshots, size) in sizes.items():
        moment = NOW - timedelta(days=days)
        for name, each in [(f"snapshots/{days}-{number}", 1) for number in range(snapshots)] + [(f"data/{days}", size)]:
            found[name] = [Version(name, name, "v", moment, each, name, latest=True, marker=False)]
    return found


def test_the_growth_is_that_of_the_newest_day_against_the_median() -> None:
    grown = trend(_history({day: (3, 1000 * day) for day in range(1, 6)}))

    assert (grown.days, grown.newest_day_bytes, grown.median_day_bytes) == (5, 1003, 3503)


def test_a_day_of_far_more_bytes_than_usual_is_told() -> None:
    usual = dict.fromkeys(range(1, 10), (3, 10**8))

    assert list(unusual(_history(usual), NOW)) == []
    assert "3.0 GB arrived on its newest day" in next(unusual(_history({**usual, 0: (3, 3 * 10**9)}), NOW))


def test_snapshots_that_disappear_by_the_dozen_are_told() -> None:
    history = _history(dict.fromkeys(range(10), (3, 1000)))
    for name in [name for name in history if name.startswith("snapshots/") and name[10] in "789"][:8]:
        marker = Version(name, name, "m", NOW, 0, "", latest=True, marker=True)
        history[name].insert(0, marker)

    (told,) = unusual(history, NOW)
    assert "8 of 9 snapshots of a week ago are gone" in told


def test_a_stack_without_off_site_copies_is_a_finding(deployed: Fakes, tts: Tts, outputs: dict[str, Any]) -> None:
    outputs["backup"]["offsite"] = []
    deployed.answer("pulumi", "stack output", outputs)

    assert tts("audit").code == 3


def test_the_cost_is_listed_item_by_item(deployed: Fakes, tts: Tts) -> None:
    assert tts("cost", "--json").json["total"] == 26.6
    screen = tts("cost").stdout
    assert "18.00" in screen
    assert "26.60" in screen
    assert "2026-09-30" in screen
