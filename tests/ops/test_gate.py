"""The gate before a merge: what a preview would destroy, and the hole that the engine leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ops.conftest import Fakes, Tts

BASE = "urn:pulumi:prod::tts::tts:network:Network$digitalocean:index/"
VPC, DROPLET = f"{BASE}vpc:Vpc::vpc", f"{BASE}droplet:Droplet::web-1"


def step(op: str, urn: str, *, before: bool | None, after: bool | None, **more: Any) -> dict[str, Any]:
    """A step as the engine prints it; `before` and `after` say whether the resource is protected."""
    kind = urn.rsplit("::", 2)[-2].rpartition("$")[2]
    sides = {"oldState": before, "newState": after}
    states = {key: {"urn": urn, "type": kind, "protect": it} for key, it in sides.items() if it is not None}
    return {"op": op, "urn": urn, **states, **more}


def preview(*steps: dict[str, Any], errors: tuple[str, ...] = ()) -> str:
    said = [{"message": f"{text}\n", "severity": "error"} for text in errors]
    return json.dumps({"config": {}, "steps": list(steps), "diagnostics": said, "duration": 1, "changeSummary": {}})


QUIET = step("same", DROPLET, before=True, after=True)
LOST = {
    "a VPC that is replaced": (step("replace", VPC, before=True, after=True, replaceReasons=["ipRange"]), "replaced"),
    "an unprotected VPC": (step("delete-replaced", VPC, before=False, after=None), "replaced"),
    "a droplet that is no longer declared": (step("delete", DROPLET, before=True, after=None), "deleted"),
    "protection dropped with the replacement": (
        step("create-replacement", DROPLET, before=True, after=False, replaceReasons=["image"]),
        "replaced",
    ),
    "protection dropped alone": (step("update", DROPLET, before=True, after=False), "no longer protected"),
    "protection dropped, nothing else": (step("same", DROPLET, before=True, after=False), "no longer protected"),
}


@pytest.mark.parametrize("case", LOST)
def test_a_loss_is_named_with_its_reason(case: str, fakes: Fakes, tts: Tts) -> None:
    change, what = LOST[case]
    fakes.answer("pulumi", "preview --json", preview(QUIET, change))
    done = tts("preview-gate", "--stack", "prod", "--json")
    assert done.code == 3
    (loss,) = done.json["losses"]
    assert (loss["urn"], loss["what"]) == (change["urn"], what)
    reasons = change.get("replaceReasons", [])
    assert all(reason in loss["why"] for reason in reasons)


HARMLESS = {
    "nothing changes": [QUIET],
    "a resize": [step("update", DROPLET, before=True, after=True, diffReasons=["size"])],
    "a further host goes": [step("delete", DROPLET.replace("web-1", "web-2"), before=False, after=None)],
    "a command is replaced": [
        step("replace", "urn:pulumi:prod::tts::command:remote:Command::x", before=False, after=False)
    ],
    "something new": [step("create", VPC, before=None, after=True)],
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_destroys_nothing_passes(case: str, fakes: Fakes, tts: Tts) -> None:
    fakes.answer("pulumi", "preview --json", preview(*HARMLESS[case]))
    done = tts("preview-gate", "--stack", "prod")
    assert (done.code, "nothing that holds data would be lost" in done.stdout) == (0, True)


def test_a_loss_that_is_meant_is_named(fakes: Fakes, tts: Tts) -> None:
    change = step("update", DROPLET, before=True, after=False)
    fakes.answer("pulumi", "preview --json", preview(change))
    assert tts("preview-gate", "--stack", "prod", "--allow", DROPLET).code == 0
    assert tts("preview-gate", "--stack", "prod", "--allow", VPC).code == 3


def test_the_screen_names_type_resource_and_reason(fakes: Fakes, tts: Tts) -> None:
    fakes.answer("pulumi", "preview --json", preview(LOST["a VPC that is replaced"][0]))
    done = tts("preview-gate", "--stack", "prod")
    assert "Vpc vpc would be replaced (changed: ipRange)" in done.stdout
    assert VPC in done.stdout


def test_a_preview_that_is_refused_fails_with_the_words_of_the_engine(fakes: Fakes, tts: Tts) -> None:
    text = "Preview failed: unable to replace resource because it is currently protected"
    fakes.answer("pulumi", "preview --json", preview(QUIET, errors=(text,)), code=255)
    done = tts("preview-gate", "--stack", "prod")
    assert done.code == 1
    assert "currently protected" in done.stdout.replace("\n", " ")


def test_a_stack_that_is_not_there_is_said(fakes: Fakes, tts: Tts) -> None:
    fakes.answer("pulumi", "preview --json", stderr="error: no stack named 'prod' found", code=255)
    assert tts("preview-gate", "--stack", "prod").code == 78


def test_a_document_may_come_from_a_file(tmp_path: Path, tts: Tts) -> None:
    file = tmp_path / "preview.json"
    file.write_text(preview(LOST["an unprotected VPC"][0]), encoding="utf-8")
    assert tts("preview-gate", "--file", str(file)).code == 3
    file.write_text("Previewing update (prod)", encoding="utf-8")
    assert tts("preview-gate", "--file", str(file)).code == 78
