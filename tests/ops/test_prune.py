"""`tts prune`: retention off-site by a key that no host has, believed only when the lists say so, and longer locks."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from components import vault_policies
from ops.policy import LATE, Owner, jump, kept_ids, make_plan
from ops.restic import Snapshot
from ops.stack import Retention
from tests.localcloud.api_support import wait_for
from tests.ops.vaults import LOCK_DAYS, back_up, find_restic

if TYPE_CHECKING:
    from conftest import Fakes, Tts

    from tests.ops.vaults import Seed, Vaults

pytestmark = pytest.mark.docker  # real restic, whose key derivation alone takes a second each time

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINE = Owner("web-1", "prod")


def _snapshot(days: float, *, uploaded: float | None = None, name: str = "", **changes: Any) -> Snapshot:
    """One from `days` ago, uploaded at once or `uploaded` days ago."""
    arrived = NOW - timedelta(days=days if uploaded is None else uploaded)
    tags = tuple(changes.pop("tags", ("kind=databases", "stack=prod")))
    return Snapshot(name or f"{days:g}", NOW - timedelta(days=days), changes.get("host", "web-1"), tags, arrived)


def test_what_restic_would_keep_is_kept(seed: Seed, tmp_path: Any) -> None:
    found = json.loads(seed.restic("snapshots", "--json", "--no-lock", "--tag", "kind=databases").stdout)
    mine = [Snapshot(item["id"], datetime.fromisoformat(item["time"][:19] + "+00:00"), "web-1", ()) for item in found]
    for daily, weekly, monthly in ((2, 0, 0), (4, 2, 1), (0, 3, 5), (30, 12, 12)):
        policy = ("--keep-daily", str(daily), "--keep-weekly", str(weekly), "--keep-monthly", str(monthly))
        arguments = ("forget", "--dry-run", "--json", "--no-lock", "--tag", "kind=databases", "--group-by", "host")
        done = seed.restic(*arguments, "--keep-last", "3", *policy, TZ="UTC")
        theirs = {item["id"] for item in json.loads(done.stdout)[0]["keep"]}
        assert kept_ids(mine, Retention(daily, weekly, monthly)) == theirs, (daily, weekly, monthly)


def test_all_stay_when_backups_have_failed_for_45_days() -> None:
    old = [_snapshot(45 + day) for day in range(30)]

    assert make_plan(old, MINE, Retention(30, 0, 0), NOW).remove == ()


def test_the_newest_three_stay_however_strict_the_policy() -> None:
    plan = make_plan([_snapshot(day) for day in range(400, 410)], MINE, Retention(1, 0, 0), NOW)

    assert plan.keep == ("400", "401", "402")


def test_a_flood_of_backdated_snapshots_drives_no_genuine_one_out() -> None:
    genuine = [_snapshot(day + 0.5) for day in range(30)]
    # A minute before midnight of each day: the newest of its day, uploaded today.
    forged = [_snapshot(day + 0.501 - 1, uploaded=0, name=f"forged-{day}") for day in range(3, 300)]

    plan = make_plan(genuine + forged, MINE, Retention(30, 0, 0), NOW)

    assert {item.id for item in genuine} <= set(plan.keep)
    assert plan.jumps, "and a person is asked"


def test_snapshots_from_the_future_are_neither_counted_nor_removed() -> None:
    genuine = [_snapshot(day) for day in range(10)]
    plain = [_snapshot(-day, uploaded=0, name=f"future-{day}") for day in range(1, 5)]
    hidden = _snapshot(2, uploaded=3, name="dated after its upload")

    plan = make_plan([*genuine, *plain, hidden], MINE, Retention(5, 0, 0), NOW)

    assert {item.id for item in plan.future} == {item.id for item in (*plain, hidden)}
    assert set(plan.keep) == {"0", "1", "2", "3", "4"}
    assert not set(plan.remove) & {item.id for item in plan.future}


@pytest.mark.parametrize(
    "foreign",
    [
        {"host": "evil"},
        {"tags": ["kind=databases", "stack=other"]},
        {"tags": ["kind=own", "stack=prod"]},
        {"tags": ["kind=databases", "stack=prod", "partial"]},
    ],
)
def test_snapshots_of_others_are_neither_counted_nor_removed(foreign: dict[str, Any]) -> None:
    theirs = [_snapshot(day, name=f"x{day}", **foreign) for day in range(1, 30)]

    plan = make_plan([*theirs, _snapshot(1)], MINE, Retention(1, 0, 0), NOW)

    assert plan.keep == ("1",)
    assert plan.remove == ()


def test_a_backlog_that_came_late_is_retained_by_the_policy_too() -> None:
    late = [_snapshot(day, uploaded=0) for day in range(5, 20)]

    plan = make_plan(late, MINE, Retention(4, 0, 0), NOW)

    assert plan.keep == ("5", "6", "7", "8")
    assert timedelta(days=5) > LATE


def test_a_day_with_many_more_snapshots_than_usual_is_told() -> None:
    nightly = [_snapshot(day) for day in range(1, 20)]
    burst = [_snapshot(0.001 * number) for number in range(9)]

    assert jump("databases", nightly + burst[:8]) == []
    assert "9 databases snapshots arrived" in jump("databases", nightly + burst)[0]


def test_a_dry_run_changes_nothing(vaults: Vaults, tts: Tts) -> None:
    before = vaults.names("aws"), vaults.names("spaces")

    done = tts("prune", "--dry-run", "--json")

    assert done.code == 0, done.stderr
    kinds = {each["name"]: {kind["kind"]: kind["remove"] for kind in each["kinds"]} for each in done.json["copies"]}
    assert kinds == {key: {"databases": 3, "media": 0, "config": 0} for key in ("aws", "spaces")}
    assert (vaults.names("aws"), vaults.names("spaces")) == before
    assert "Nothing was changed" in tts("prune", "--dry-run").stdout


def test_pruning_leaves_a_sound_repository_and_only_marks_as_deleted(vaults: Vaults, tts: Tts) -> None:
    before = {item["VersionId"] for item in vaults.admin().list_object_versions(Bucket=vaults.aws)["Versions"]}
    size = len(vaults.names("aws", "data/"))

    done = tts("prune", "--from", "aws", "--yes", "--json")

    assert done.code == 0, done.stderr + done.stdout
    (aws,) = done.json["copies"]
    assert (aws["before"], aws["after"], aws["removed"]) == (8, 5, 3)
    assert len(vaults.names("aws", "snapshots/")) == 5
    assert len(vaults.names("aws", "data/")) < size + 1
    assert vaults.restic("check", "--read-data", "--no-lock", role="audit").returncode == 0
    after = {item["VersionId"] for item in vaults.admin().list_object_versions(Bucket=vaults.aws)["Versions"]}
    assert before <= after, "every version is still there"
    assert len(vaults.names("spaces", "snapshots/")) == 8, "only the named copy"


@pytest.mark.parametrize("vaults", [1], indirect=True)
def test_every_lock_in_use_is_prolonged_to_its_full_term(vaults: Vaults, tts: Tts) -> None:
    looked = tts("prune", "--dry-run", "--from", "aws", "--json").json["copies"][0]["locks"]
    assert looked["due"] == looked["objects"] > 0
    assert looked["fewest_days"] <= 1

    done = tts("prune", "--from", "aws", "--yes", "--json")

    assert done.code == 0, done.stderr + done.stdout
    locks = done.json["copies"][0]["locks"]
    assert locks["due"] == locks["unlocked"] == 0
    assert locks["prolonged"] == locks["objects"]
    for name in vaults.names("aws"):
        if not name.startswith("locks/"):
            held = vaults.admin().get_object_retention(Bucket=vaults.aws, Key=f"restic/{name}")["Retention"]
            assert held["RetainUntilDate"] > datetime.now(UTC) + timedelta(days=LOCK_DAYS - 1), name
            assert held["Mode"] == "GOVERNANCE"


def test_locks_that_last_are_left_alone(vaults: Vaults, tts: Tts) -> None:
    done = tts("prune", "--from", "aws", "--yes", "--json")

    assert done.json["copies"][0]["locks"]["prolonged"] == 0


def test_a_removal_that_the_store_refuses_is_no_success(vaults: Vaults, deployed: Fakes, tts: Tts) -> None:
    policy = vault_policies.maintenance(f"arn:aws:s3:::{vaults.aws}")
    keeper = next(each for each in policy["Statement"] if each["Sid"] == "Keep")
    keeper["Action"].remove("s3:DeleteObject")
    unlock = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{vaults.aws}/restic/locks/*"}
    policy["Statement"].append(unlock)
    access, secret = vaults.store.user(f"weak-{vaults.aws}", policy)
    keys = {"aws": {"accessKeyId": access, "secretAccessKey": secret}}
    deployed.answer("pulumi", "stack output maintenance --json", keys)

    done = tts("prune", "--from", "aws", "--yes")

    assert done.code == 1
    assert "still lists 3 snapshots" in " ".join(done.stdout.split())
    assert len(vaults.names("aws", "snapshots/")) == 8


def test_it_waits_for_a_live_copy_from_the_host_and_not_for_a_killed_one(
    vaults: Vaults, tts: Tts, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.prune._RETRY_LOCK", "--retry-lock=1s")
    environment = os.environ | {"RESTIC_PASSWORD": seed.password} | vaults.access("host")
    command = [str(find_restic()), "backup", "--stdin", "--host", "web-1"]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: bool(vaults.names("aws", "locks/")))
        busy = tts("prune", "--from", "aws", "--yes")
        assert busy.code == 1
        assert "another process has locked it" in " ".join(busy.stdout.split())
        assert len(vaults.names("aws", "snapshots/")) == 8
    finally:
        process.kill()
        process.communicate()

    assert tts("prune", "--from", "aws", "--yes").code == 0
    assert vaults.names("aws", "locks/") == []


def test_an_overwritten_object_stops_it_until_a_person_has_looked(
    vaults: Vaults, tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = vaults.names("aws", "data/")[0]
    vaults.client("host").put_object(Bucket=vaults.aws, Key=f"restic/{pack}", Body=b"garbage")

    refused = tts("prune", "--from", "aws", "--yes")

    assert refused.code == 2
    assert pack in "".join(refused.stderr.split())
    assert "--accept" in refused.stderr
    monkeypatch.setattr("ops.commands.prune.is_interactive", lambda: True)
    assert tts("prune", "--from", "aws", "--yes", typed="no\n").code == 1
    assert len(vaults.names("aws", "snapshots/")) == 8


def test_forged_snapshots_stay_where_they_are_and_are_told(vaults: Vaults, tts: Tts, seed: Seed) -> None:
    back_up(seed, "databases", datetime.now(UTC) + timedelta(days=400), **vaults.access("host"))
    back_up(seed, "databases", datetime.now(UTC), host="evil", **vaults.access("host"))

    done = tts("prune", "--from", "aws", "--yes", "--json")
    text = tts("prune", "--from", "aws", "--dry-run").stdout

    assert done.code == 0, done.stderr
    assert len(vaults.names("aws", "snapshots/")) == 7, "5 kept by the policy, 2 not touched"
    assert "claim to be from after" in text
    assert "not of this stack" in text


def test_it_asks_for_the_name_of_the_stack(vaults: Vaults, tts: Tts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.commands.prune.is_interactive", lambda: True)

    assert tts("prune", "--from", "aws", typed="yes\n").code == 1
    assert len(vaults.names("aws", "snapshots/")) == 8
    assert tts("prune", "--from", "aws", typed="prod\n").code == 0
    assert len(vaults.names("aws", "snapshots/")) == 5


def test_nobody_to_ask_is_said(vaults: Vaults, tts: Tts) -> None:
    done = tts("prune", "--from", "aws")

    assert done.code == 2
    assert "--yes" in done.stderr


def test_an_older_deployment_without_the_key_names_the_way_out(vaults: Vaults, deployed: Fakes, tts: Tts) -> None:
    says = "error: current stack does not have output property 'maintenance'\n"
    deployed.answer("pulumi", "stack output maintenance --json", stderr=says, code=255)

    done = tts("prune", "--yes")

    assert done.code == 78
    assert "pulumi up" in done.stderr


def test_a_wrong_passphrase_and_a_wrong_name_are_named(vaults: Vaults, deployed: Fakes, tts: Tts) -> None:
    deployed.answer("pulumi", "config get backupPassphrase", "wrong\n")

    assert "passphrase does not open it" in " ".join(tts("prune", "--from", "aws", "--yes").stderr.split())
    assert "aws, spaces" in tts("prune", "--from", "b2").stderr


def test_no_secret_is_in_the_arguments_of_a_process(vaults: Vaults, tts: Tts, deployed: Fakes, seed: Seed) -> None:
    tts("prune", "--dry-run", "--from", "aws")

    words = json.dumps([call["argv"] for call in deployed.calls()])
    assert seed.password not in words
    assert vaults.keys["maintenance"]["aws"][1] not in words
