"""`tts promote` where the entries are reserved IPs: they change places, each is in one state, and that in any order."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Fakes, Tts

    from tests.ops.provider import Provider

PROMOTE = ("promote", "--from", "prod", "--to", "next")
SNAPSHOT = "0feed001" * 8
MEASURE = {"databases": {"ticket_db": {"public.tickets": 1000}}, "media": None}
PLAN = {
    "event": "plan", "snapshot": SNAPSHOT, "time": "2026-11-25T10:00:00Z", "repository": "handed",
    "databases": [{"name": "ticket_db", "rows": 1000, "bytes": 10}], "files": None, "bytes": 5,
}  # fmt: skip
DONE = {"event": "result", "result": "ok", "error": None, "kept": [], "seconds": 3}
BACKUP = json.dumps({"job": "backup-databases", "kind": "databases", "result": "ok", "snapshot": SNAPSHOT}) + "\n"
KEYS = {"aws": {"accessKeyId": "AUDIT", "secretAccessKey": "audit-secret"}}
DROPLETS = {"prod": 1, "next": 11}


class Pair:
    """Two stacks of one host each, whose states hold what was imported last."""

    def __init__(self, fakes: Fakes, provider: Provider) -> None:
        self.fakes = fakes
        port = provider.address.rpartition(":")[2]
        self.addresses = {"prod": f"127.0.0.1:{port}", "next": f"localhost:{port}"}  # both answer
        for stack in DROPLETS:
            self.have(stack, stack)

    def have(self, stack: str, owner: str) -> None:
        """Let a state tell of the reserved IP that was `owner`'s."""
        self.fakes.answer("pulumi", f"stack export --stack {stack}", self.state(stack, owner))

    def state(self, stack: str, owner: str) -> dict[str, Any]:
        kind, address = "digitalocean:index/reservedIp:ReservedIp", self.addresses[owner]
        resource = {
            "urn": f"urn:pulumi:{stack}::tts::tts:entry:Entry${kind}::entry", "type": kind, "id": address,
            "inputs": {"dropletId": DROPLETS[owner], "region": "fra1"},
            "outputs": {"dropletId": DROPLETS[owner], "ipAddress": address}, "protect": True,
        }  # fmt: skip
        members = "digitalocean:index/projectResources:ProjectResources"
        other = {"urn": f"urn:pulumi:{stack}::tts::{members}::project", "type": members, "id": f"project-of-{stack}"}
        return {"version": 3, "deployment": {"resources": [other, resource]}}

    def course(self) -> list[str]:
        """What changed a state or a host, in its order."""
        words: list[str] = []
        for call in self.fakes.calls("pulumi"):
            text = " ".join(call["argv"])
            if any(sign in text for sign in (" up --yes", "stack import", "config set-all")):
                words.append(f"{next(w for w in ('import', 'up', 'set-all') if w in call['argv'])} {call['argv'][-1]}")
        return words

    def imported(self, stack: str) -> dict[str, Any]:
        (call,) = [c for c in self.fakes.calls("pulumi") if "import" in c["argv"] and c["argv"][-1] == stack]
        return json.loads(call["stdin"])


@pytest.fixture
def pair(deployed: Fakes, provider: Provider, outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr("ops.jobs.PAUSE", 0.01)
    found = Pair(deployed, provider)
    provider.reserved = {address: DROPLETS[stack] for stack, address in found.addresses.items()}
    for stack, address in found.addresses.items():
        told = copy.deepcopy(outputs)
        told["url"] = f"http://{address}/app/"
        told["entry"]["address"] = address
        host = {"prod": "203.0.113.2", "next": "203.0.113.11"}[stack]
        told["hosts"][0] |= {"address": host, "dropletId": str(DROPLETS[stack])}
        deployed.answer("pulumi", f"stack output --json --stack {stack}", told)
        deployed.answer("pulumi", f"config --json --show-secrets --stack {stack}", {})
    deployed.answer("pulumi", "stack output audit", KEYS)
    deployed.answer("pulumi", "config get backupPassphrase", "the passphrase of prod\n")
    for tool, sign in (
        ("pulumi", "up --yes"),
        ("pulumi", "stack import"),
        ("ssh", "tts-hold"),
        ("ssh", "tts-handover"),
    ):
        deployed.answer(tool, sign)
    deployed.answer("ssh", "tts-handover measure", MEASURE)
    deployed.answer("ssh", "tts-restore", DONE)
    deployed.answer("ssh", "--dry-run", PLAN)
    deployed.answer("ssh", "tts-backup", BACKUP)
    return found


def test_two_reserved_ips_change_places(pair: Pair, tts: Tts, provider: Provider) -> None:
    done = tts(*PROMOTE, "--yes")

    assert done.code == 0, done.stderr
    assert pair.course() == ["import prod", "import next", "up next", "up prod"]
    assert pair.imported("prod") == _with_identity(pair.state("prod", "prod"), pair.state("next", "next"))
    assert pair.imported("next") == _with_identity(pair.state("next", "next"), pair.state("prod", "prod"))
    spare = pair.addresses["next"]
    let_go, joined = provider.changes()
    assert let_go == f"POST /v2/reserved_ips/{spare}/actions", "a droplet can have one only"
    assert joined == "POST /v2/projects/project-of-next/resources", "what leaves a project goes to the default one"
    assert provider.projects == {f"do:reservedip:{pair.addresses['prod']}": "project-of-next"}
    told = " ".join(done.stdout.split())
    assert f"{pair.addresses['prod']} leads to next, and {spare} to prod" in told
    assert "let the record" not in told


def _with_identity(state: dict[str, Any], of: dict[str, Any]) -> dict[str, Any]:
    resource, told = state["deployment"]["resources"][1], of["deployment"]["resources"][1]
    resource |= {key: told[key] for key in ("id", "inputs", "outputs")}
    return state


def test_a_dry_run_says_which_addresses_change_places(pair: Pair, tts: Tts, provider: Provider) -> None:
    done = tts(*PROMOTE, "--dry-run")

    assert done.code == 0, done.stderr
    here, there = pair.addresses.values()
    assert f"Moves the world: {here}, which changes places with {there}" in " ".join(done.stdout.split())
    assert (pair.course(), provider.changes()) == ([], [])


@pytest.mark.parametrize(
    ("sign", "states"),
    [
        ("stack import --stack prod", ("prod", "next")),
        ("stack import --stack next", ("next", "next")),
        ("up --yes --skip-preview --stack next", ("next", "prod")),
        ("up --yes --skip-preview --stack prod", ("next", "prod")),
    ],
)
def test_an_exchange_that_ended_anywhere_goes_on_there(
    sign: str, states: tuple[str, str], pair: Pair, tts: Tts, provider: Provider
) -> None:
    """`states` are whose address either state tells of after the failure, as a real one would."""
    table = pair.fakes.home / "pulumi.json"
    well = table.read_text()
    pair.fakes.answer("pulumi", sign, stderr="error: broken\n", code=1)
    first = tts(*PROMOTE, "--yes")
    assert first.code != 0
    assert "broken" in first.stderr
    table.write_text(well)
    for stack, owner in zip(("prod", "next"), states, strict=True):
        pair.have(stack, owner)
    before = len(pair.course())

    again = tts(*PROMOTE)

    assert again.code == 0, again.stderr
    whole = ["import prod", "import next", "up next", "up prod"]
    done = {"prod": 0, "next": 1}[sign[-4:]] if "import" in sign else whole.index(f"up {sign[-4:]}")
    assert pair.course()[before:] == whole[done:], "what was done is not done again"
    assert [call.rpartition("/")[2] for call in provider.changes()] == ["actions", "resources"]
    assert tts(*PROMOTE, "--abort").code == 2, "there is nothing to give up any more"


def test_until_the_states_change_it_can_be_given_up(pair: Pair, tts: Tts, provider: Provider) -> None:
    well = (pair.fakes.home / "ssh.json").read_text()
    pair.fakes.answer("ssh", "203.0.113.11 -- tts-hold off", stderr="x error=broken", code=1)
    tts(*PROMOTE, "--yes")
    (pair.fakes.home / "ssh.json").write_text(well)

    assert tts(*PROMOTE, "--abort").code == 0
    assert (pair.course(), provider.changes()) == ([], [])


def test_an_address_that_the_provider_does_not_let_go_stops_it_and_is_tried_again(
    pair: Pair, tts: Tts, provider: Provider
) -> None:
    provider.failing = True
    first = tts(*PROMOTE, "--yes")
    assert first.code != 0
    assert "did not let" in first.stderr
    assert "up next" not in pair.course()
    provider.failing = False
    pair.have("prod", "next")
    pair.have("next", "prod")

    assert tts(*PROMOTE).code == 0


def test_an_address_that_leads_elsewhere_is_refused(pair: Pair, tts: Tts, provider: Provider) -> None:
    provider.reserved[pair.addresses["next"]] = 77

    done = tts(*PROMOTE, "--yes")

    assert done.code == 78
    assert "leads to droplet 77; it must lead to web-1 of next, droplet 11" in " ".join(done.stderr.split())
    assert pair.course() == []


def test_a_state_without_the_address_changes_nothing(pair: Pair, tts: Tts) -> None:
    pair.fakes.answer("pulumi", "stack export --stack next", {"deployment": {"resources": []}})

    done = tts(*PROMOTE, "--yes")

    assert done.code == 1
    assert "The state of next does not have the reserved IP" in " ".join(done.stderr.split())
    assert pair.course() == []


@pytest.mark.parametrize("other", ["balancer", "region"])
def test_addresses_that_cannot_change_places_are_left_to_the_person(
    other: str, pair: Pair, tts: Tts, provider: Provider
) -> None:
    if other == "region":
        provider.regions[pair.addresses["next"]] = "sgp1"
    else:
        call = "stack output --json --stack next"
        told = json.loads((pair.fakes.home / "pulumi.json").read_text())
        found = next(json.loads(answer["stdout"]) for sign, answer in told if sign == call)
        pair.fakes.answer("pulumi", call, found | {"entry": found["entry"] | {"kind": "balancer"}})

    done = tts(*PROMOTE, "--yes")

    assert done.code == 0, done.stderr
    assert (pair.course(), provider.changes()) == ([], [])
    assert f"lead to {pair.addresses['next']}" in " ".join(done.stdout.split())
