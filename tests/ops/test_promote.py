"""`tts promote`: what it refuses, the order of its steps, going on after a failure at any one, and the ways back."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from ops.promote_hosts import differences

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Fakes, Tts

    from tests.ops.provider import Provider

OLD = "203.0.113.129"
PROMOTE = ("promote", "--from", "prod", "--to", "scaled")
MEASURE = {
    "databases": {"auth_db": {"public.users": 200}, "ticket_db": {"public.tickets": 1000}},
    "media": {"files": 90, "sum": "ab" * 32},
}
PLAN = {
    "event": "plan", "snapshot": "0feed001" * 8, "time": "2026-11-25T10:00:00Z", "repository": "handed",
    "databases": [{"name": "auth_db", "rows": 200, "bytes": 10}], "files": 90, "bytes": 5,
}  # fmt: skip
DONE = {"event": "result", "result": "ok", "error": None, "kept": [], "seconds": 3}
BACKUP = "".join(
    json.dumps({"job": f"backup-{kind}", "kind": kind, "result": "ok", "snapshot": "0feed001" * 8}) + "\n"
    for kind in ("databases", "media", "config")
)
KEYS = {"aws": {"accessKeyId": "AUDIT", "secretAccessKey": "audit-secret"}}
STATE = {"deployment": {"resources": [{"type": "digitalocean:index/dnsRecord:DnsRecord", "retainOnDelete": True}]}}
COURSE = [
    "prod tts-hold on",
    "prod tts-backup all",
    "prod tts-handover measure",
    "web-2 tts-hold on",
    "scaled tts-hold on",
    "scaled tts-handover take",
    "scaled tts-restore databases",
    "scaled tts-restore media",
    "scaled tts-handover measure",
    "scaled tts-hold off",
    "web-2 tts-hold off",
    "set prod ownsEntry=false",
    "lead",
    "up prod",
    "prod tts-hold on",
    "set scaled ownsEntry=true",
    "up scaled",
    "scaled tts-backup all",
    "scaled tts-handover drop",
]
HOSTS = {"203.0.113.2": "prod", "203.0.113.11": "scaled", "203.0.113.12": "web-2"}


def config(**values: str) -> dict[str, Any]:
    given = {"domain": "shop.test", "dnsZone": "shop.test", **values}
    return {f"tts:{key}": {"secret": False, "value": value} for key, value in given.items()}


@pytest.fixture
def pair(deployed: Fakes, provider: Provider, outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Two stacks that are well: prod owns the record, scaled has two hosts behind a balancer that answers."""
    monkeypatch.setattr("ops.jobs.PAUSE", 0.01)
    provider.records = [{"id": 77, "type": "A", "name": "@", "data": OLD, "ttl": 60}]
    scaled = copy.deepcopy(outputs)
    first = scaled["hosts"][0] | {"address": "203.0.113.11", "dropletId": "11"}
    second = first | {"name": "web-2", "address": "203.0.113.12", "dropletId": "12", "backupOwner": False}
    scaled |= {
        "rung": "balanced", "hosts": [first, second], "url": "http://shop.test/app/",
        "entry": {"kind": "balancer", "address": provider.address.removeprefix("http://"), "balancer": "lb-1"},
    }  # fmt: skip
    for stack, values, found in (("prod", config(), outputs), ("scaled", config(ownsEntry="false"), scaled)):
        deployed.answer("pulumi", f"stack output --json --stack {stack}", found)
        deployed.answer("pulumi", f"config --json --show-secrets --stack {stack}", values)
        deployed.answer("pulumi", f"stack export --stack {stack}", STATE)
    deployed.answer("pulumi", "stack output audit", KEYS)
    deployed.answer("pulumi", "config get backupPassphrase", "the passphrase of prod\n")
    for sign in ("up --yes", "config set-all", "config rm"):
        deployed.answer("pulumi", sign)
    for sign in ("tts-hold", "tts-handover"):
        deployed.answer("ssh", sign)
    deployed.answer("ssh", "tts-handover measure", MEASURE)
    deployed.answer("ssh", "tts-restore", DONE)
    deployed.answer("ssh", "--dry-run", PLAN)
    deployed.answer("ssh", "tts-backup", BACKUP)
    return deployed


def course(fakes: Fakes, provider: Provider) -> list[str]:
    """What changed something, in its order; the record's move stands before the first deployment."""
    words: list[str] = []
    for call in fakes.calls():
        text = " ".join(call["argv"])
        if call["tool"] == "ssh" and "--dry-run" not in text:
            host = next(name for address, name in HOSTS.items() if f"@{address}" in text)
            words.append(" ".join([host, *call["argv"][-1].split()[:2]]))
        elif call["tool"] == "pulumi" and "set-all" in text:
            plain = next(word for word in call["argv"] if "ownsEntry" in word)
            words.append(f"set {call['argv'][-1]} {plain}")
        elif call["tool"] == "pulumi" and " up --yes" in text:
            words.append(f"up {call['argv'][-1]}")
    moves = ["lead"] * sum(call.startswith("PUT") for call in provider.calls)
    at = words.index("set prod ownsEntry=false") + 1 if "set prod ownsEntry=false" in words else len(words)
    return [*words[:at], *moves, *words[at:]]


def test_data_move_first_are_compared_and_the_record_moves_last(pair: Fakes, tts: Tts, provider: Provider) -> None:
    done = tts(*PROMOTE, "--yes")

    assert done.code == 0, done.stderr
    assert course(pair, provider) == COURSE
    assert provider.records == [{"id": 77, "type": "A", "name": "@", "data": provider.address[7:], "ttl": 60}]
    assert provider.changes() == ["PUT /v2/domains/shop.test/records/77"], "the record keeps its number: no gap"
    assert "2 databases, 1,200 rows, 90 files: equal on both sides" in done.stdout
    assert "prod is held" in done.stdout
    backups = [command for command in pair.remote_commands() if command.startswith("tts-backup")]
    assert all("--wait 3600" in command for command in backups), "a killed promotion may have left one at work"
    adopted = next(call["argv"] for call in pair.calls("pulumi") if "ownsEntry=true" in call["argv"])
    assert "entryRecord=77" in adopted, "the target's state takes the record as it is"


def test_the_source_is_read_with_a_key_that_only_reads_and_no_secret_is_an_argument(pair: Fakes, tts: Tts) -> None:
    tts(*PROMOTE, "--yes")

    (given,) = (call for call in pair.calls("ssh") if call["argv"][-1] == "tts-handover take")
    assert json.loads(given["stdin"]) == {
        "repository": "s3:https://aws.test/b-aws",
        "password": "the passphrase of prod",
        "environment": {
            "AWS_ACCESS_KEY_ID": "AUDIT", "AWS_SECRET_ACCESS_KEY": "audit-secret", "AWS_DEFAULT_REGION": "us-east-1",
        },
    }  # fmt: skip
    assert all("passphrase of" not in word and "audit-secret" not in word for c in pair.calls() for word in c["argv"])
    restores = [command for command in pair.remote_commands() if command.startswith("tts-restore")]
    assert all("--repository handed --host web-1 --stack prod" in command for command in restores)
    assert all(f"--snapshot {'0feed001' * 8}" in command for command in restores)


def test_a_dry_run_shows_the_plan_and_changes_nothing(pair: Fakes, tts: Tts, provider: Provider) -> None:
    done = tts(*PROMOTE, "--dry-run")

    assert done.code == 0, done.stderr
    assert "record 77 of shop.test" in done.stdout
    assert course(pair, provider) == []
    assert tts(*PROMOTE, "--dry-run", "--json").json["leads_from"] == OLD


def test_the_name_of_the_target_is_typed_or_nothing_happens(pair: Fakes, tts: Tts, provider: Provider) -> None:
    assert tts(*PROMOTE).code == 2
    assert course(pair, provider) == []


@pytest.mark.parametrize(
    ("stack", "values", "message"),
    [
        ("scaled", {}, "must be owned by prod and not by scaled"),
        ("prod", {"ownsEntry": "false"}, "must be owned by prod and not by scaled"),
        ("scaled", {"ownsEntry": "false", "domain": "other.test"}, "differ in domain"),
        ("scaled", {"ownsEntry": "false", "dnsZone": ""}, "differ in dnsZone"),
    ],
)
def test_stacks_that_do_not_fit_are_refused_before_anything_changes(
    stack: str, values: dict[str, str], message: str, pair: Fakes, tts: Tts, provider: Provider
) -> None:
    pair.answer("pulumi", f"config --json --show-secrets --stack {stack}", config(**values))

    done = tts(*PROMOTE, "--yes")

    assert done.code == 78
    assert message in " ".join(done.stderr.split())
    assert course(pair, provider) == []


def test_a_record_that_would_go_with_its_stack_or_leads_elsewhere_is_refused(
    pair: Fakes, tts: Tts, provider: Provider
) -> None:
    pair.answer("pulumi", "stack export --stack prod", {"deployment": {"resources": []}})
    assert "does not say yet that the record stays" in " ".join(tts(*PROMOTE, "--yes").stderr.split())
    pair.answer("pulumi", "stack export --stack prod", STATE)
    provider.records.append({"id": 78, "type": "A", "name": "@", "data": "203.0.113.9", "ttl": 60})
    assert f"leads to {OLD}, 203.0.113.9" in " ".join(tts(*PROMOTE, "--yes").stderr.split())
    assert course(pair, provider) == []


def test_without_a_zone_the_person_moves_the_name_and_is_told_where_to(
    pair: Fakes, tts: Tts, provider: Provider
) -> None:
    for stack in ("prod", "scaled"):
        pair.answer("pulumi", f"config --json --show-secrets --stack {stack}", config(dnsZone=""))

    done = tts(*PROMOTE, "--yes")

    assert done.code == 0, done.stderr
    assert provider.changes() == []
    assert f"let the record of shop.test lead to {provider.address[7:]}" in " ".join(done.stdout.split())
    assert not [step for step in course(pair, provider) if step.startswith(("up", "set"))]


FAULTS = {
    "hold-source": ("ssh", "203.0.113.2 -- tts-hold"),
    "backup": ("ssh", "203.0.113.2 -- tts-backup"),
    "measure": ("ssh", "203.0.113.2 -- tts-handover measure"),
    "hold-target": ("ssh", "203.0.113.11 -- tts-hold on"),
    "take": ("ssh", "tts-handover take"),
    "databases": ("ssh", "tts-restore databases"),
    "media": ("ssh", "tts-restore media"),
    "start-target": ("ssh", "203.0.113.11 -- tts-hold off"),
    "entry": ("pulumi", "ownsEntry=false"),
    "own": ("pulumi", "up --yes --skip-preview --stack scaled"),
    "protect": ("ssh", "203.0.113.11 -- tts-backup"),
}


@pytest.mark.parametrize("step", list(FAULTS))
def test_a_promotion_that_ended_at_any_step_goes_on_there(step: str, pair: Fakes, tts: Tts, provider: Provider) -> None:
    tool, sign = FAULTS[step]
    table = pair.home / f"{tool}.json"
    well = table.read_text()
    pair.answer(tool, sign, stderr="x level=error error=broken\nerror: broken\n", code=1)
    first = tts(*PROMOTE, "--yes")
    assert first.code != 0
    assert "broken" in first.stderr
    moved = provider.records[0]["data"] != OLD
    assert moved == (step in ("own", "protect")), "until the data are proven the world stays where it is"
    table.write_text(well)
    before = len(pair.calls())

    again = tts(*PROMOTE)  # no question: it was answered when the work began

    assert again.code == 0, again.stderr
    assert "Going on with the promotion" in again.stderr
    assert len([call for call in provider.calls if call.startswith("PUT")]) == 1
    commands = [" ".join(call["argv"]) for call in pair.calls()[before:] if call["tool"] == "ssh"]
    again_backed_up = any("203.0.113.2 -- tts-backup" in command for command in commands)
    assert again_backed_up == (step in ("hold-source", "backup")), "what was done is not done again"


def test_data_that_differ_stop_it_before_anybody_is_led_there(pair: Fakes, tts: Tts, provider: Provider) -> None:
    wrong = copy.deepcopy(MEASURE)
    wrong["databases"]["ticket_db"]["public.tickets"] = 999  # type: ignore[index]
    pair.answer("ssh", "203.0.113.11 -- tts-handover measure", wrong)

    done = tts(*PROMOTE, "--yes")

    assert done.code == 1
    assert "ticket_db public.tickets: 1000 and 999 rows" in " ".join(done.stderr.split())
    assert course(pair, provider)[-1] == "scaled tts-handover measure"
    assert provider.records[0]["data"] == OLD


def test_it_can_be_given_up_until_the_record_moves(pair: Fakes, tts: Tts, provider: Provider) -> None:
    well = (pair.home / "ssh.json").read_text()
    pair.answer("ssh", "tts-restore media", stderr="x error=broken", code=1)
    tts(*PROMOTE, "--yes")
    (pair.home / "ssh.json").write_text(well)

    done = tts(*PROMOTE, "--abort")

    assert done.code == 0, done.stderr
    assert course(pair, provider)[-2:] == ["scaled tts-handover drop", "prod tts-hold off"]
    assert tts(*PROMOTE, "--abort").code == 2, "there is nothing to give up any more"


def test_after_the_move_it_goes_forwards_only(pair: Fakes, tts: Tts) -> None:
    pair.answer("pulumi", "up --yes --skip-preview --stack scaled", stderr="error: broken\n", code=1)
    tts(*PROMOTE, "--yes")

    done = tts(*PROMOTE, "--abort")

    assert done.code == 2
    assert "--back" in done.stderr


def test_the_way_back_is_the_same_the_other_way_round(
    pair: Fakes, tts: Tts, provider: Provider, outputs: dict[str, Any], tmp_path: Path
) -> None:
    there = provider.address.removeprefix("http://")
    home = {**outputs, "entry": {"kind": "reserved_ip", "address": there}, "url": "http://shop.test/app/"}
    away = json.loads(json.dumps(home)) | {"entry": {"kind": "balancer", "address": OLD}}
    away["hosts"][0] |= {"address": "203.0.113.11"}
    pair.answer("pulumi", "stack output --json --stack prod", home)
    pair.answer("pulumi", "stack output --json --stack scaled", away)
    pair.answer("pulumi", "config --json --show-secrets --stack prod", config(ownsEntry="false"))
    pair.answer("pulumi", "config --json --show-secrets --stack scaled", config(ownsEntry="true", entryRecord="77"))

    done = tts(*PROMOTE, "--back", "--yes", "--json")

    assert done.code == 0, done.stderr
    assert done.json["plan"]["source"] == "scaled"
    assert course(pair, provider)[0] == "scaled tts-hold on"
    assert any(call["argv"][3:6] == ["config", "rm", "entryRecord"] for call in pair.calls("pulumi"))
    assert provider.records[0]["data"] == there
    (kept,) = (tmp_path / "local" / "journal").iterdir()
    assert kept.name.startswith("promote-scaled-prod-2")


def test_a_measure_that_differs_names_what_does() -> None:
    found = {"databases": {"auth_db": {"public.users": 200, "public.new": 1}, "more_db": {}}, "media": None}
    assert differences(MEASURE, MEASURE) == []
    assert differences(MEASURE, found) == [
        "auth_db public.new: no table and 1 rows",
        "database ticket_db is missing",
        "media: 90 files, sum abababababab and none",
    ]
