"""What `tts` says when pulumi is missing, refuses, or has nothing deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Fakes, Tts


@pytest.mark.parametrize(
    ("pulumi_says", "what", "fix"),
    [
        ("error: no stack named 'prod' found", "no stack prod", "tts init --stack prod"),
        ("error: incorrect passphrase", "passphrase does not open", "PULUMI_CONFIG_PASSPHRASE_FILE"),
        (
            "error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE",
            "no passphrase",
            "PULUMI_CONFIG_PASSPHRASE_FILE",
        ),
        ("error: no Pulumi.yaml project file found (searching upwards)", "No Pulumi project", "TTS_PROJECT_DIR"),
        ("error: PULUMI_ACCESS_TOKEN must be set for login", "not logged in", "pulumi login"),
        ('error: unable to open state directory "file:///x"', "Pulumi state is not there", "make up"),
        ("error: the backend is on fire", "`pulumi stack output` failed", "pulumi stack output --stack prod"),
    ],
)
def test_every_refusal_of_pulumi_becomes_one_message_with_its_fix(
    deployed: Fakes, tts: Tts, pulumi_says: str, what: str, fix: str
) -> None:
    deployed.answer("pulumi", "stack output", stderr=pulumi_says, code=1)

    done = tts("status", "--stack", "prod")

    assert done.code == 78
    assert what in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert deployed.calls("ssh") == [], "no host may be touched"


def test_an_unknown_refusal_is_quoted(deployed: Fakes, tts: Tts) -> None:
    deployed.answer("pulumi", "stack output", stderr="error: the backend is on fire", code=1)

    assert "Where: the backend is on fire" in tts("status", "-s", "prod").stderr


def test_no_stack_selected_asks_for_one(fakes: Fakes, tts: Tts) -> None:
    fakes.answer(
        "pulumi", "stack --show-name", stderr="error: no stack selected; please use `pulumi stack select`", code=1
    )

    done = tts("status")

    assert done.code == 78
    assert "--stack STACK" in done.stderr


def test_no_pulumi_on_path_is_said(deployed: Fakes, tts: Tts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    done = tts("status", "-s", "prod")

    assert done.code == 78
    assert "no `pulumi` on PATH" in done.stderr


def test_a_missing_project_folder_is_not_mistaken_for_a_missing_pulumi(
    deployed: Fakes, tts: Tts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TTS_PROJECT_DIR", str(tmp_path / "nowhere"))

    assert "TTS_PROJECT_DIR" in tts("status", "-s", "prod").stderr


@pytest.mark.parametrize(("stack", "fix"), [("prod", "pulumi up --stack prod"), ("local", "make up")])
def test_a_stack_that_is_not_deployed_names_the_command_that_deploys_it(
    deployed: Fakes, tts: Tts, stack: str, fix: str
) -> None:
    deployed.answer("pulumi", "stack output", {})

    done = tts("status", "--stack", stack)

    assert done.code == 78
    assert "not been deployed" in done.stderr
    assert fix in done.stderr


def test_outputs_of_another_program_name_the_field_that_differs(
    deployed: Fakes, tts: Tts, outputs: dict[str, Any]
) -> None:
    del outputs["hosts"][0]["address"]
    deployed.answer("pulumi", "stack output", outputs)

    done = tts("status", "-s", "prod")

    assert done.code == 78
    assert "address" in done.stderr
    assert "$.hosts[0]" in done.stderr


@pytest.mark.parametrize("answer", [{"stdout": "\n"}, {"stderr": "error: configuration key 'x' not found", "code": 1}])
def test_a_missing_key_names_tts_init(deployed: Fakes, tts: Tts, answer: dict[str, Any]) -> None:
    deployed.answer("pulumi", "config get sshPrivateKey", **answer)

    done = tts("status", "-s", "prod")

    assert done.code == 78
    assert "tts init --stack prod" in done.stderr


def test_the_stack_may_come_from_the_environment(deployed: Fakes, tts: Tts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_STACK", "prod")

    tts("status")

    assert all("--stack" in call["argv"] for call in deployed.calls("pulumi"))
