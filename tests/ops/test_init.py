"""`tts init`: makes what is missing, never overwrites, and no secret is ever an argument."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ops.keys import new_key_pair, new_recovery_key, new_secret, public_half

if TYPE_CHECKING:
    from conftest import Fakes, Tts

    from ops.keys import KeyPair

_REPOSITORY = Path(__file__).resolve().parents[2]
_SECRETS = ["sshPrivateKey", "hostPrivateKey", "backupPassphrase", "recoveryKey"]


def _plain(value: Any) -> dict[str, Any]:
    return {"value": value if isinstance(value, str) else json.dumps(value), "secret": False}


@pytest.fixture
def empty(fakes: Fakes) -> Fakes:
    """A stack `prod` with an application and nothing else."""
    app = {"secrets": ["SECRET_KEY", "POSTGRES_PASSWORD"]}
    defaults = {key: _plain("") for key in ("sshPrivateKey", "sshPublicKey", "recoveryKey")}
    fakes.answer("pulumi", "config set", "")
    fakes.answer(
        "pulumi",
        "config --json",
        {"tts:app": {**_plain(app), "objectValue": app}, "tts:recoveryKey": _plain("R"), **defaults},
    )
    fakes.answer("pulumi", "stack ls", [{"name": "organization/tts/prod"}])
    return fakes


def _written(fakes: Fakes) -> dict[str, str]:
    sets = [call for call in fakes.calls("pulumi") if "set" in call["argv"]]
    return {call["argv"][call["argv"].index("--path") + 1]: call["stdin"] for call in sets}


def test_all_that_a_stack_lacks_is_made_and_secrets_go_by_standard_input(empty: Fakes, tts: Tts) -> None:
    done = tts("init", "-s", "prod", "--yes", "--json")

    assert done.code == 0, done.stderr
    written = _written(empty)
    assert {*_SECRETS, "appSecrets.SECRET_KEY", "appSecrets.POSTGRES_PASSWORD"} - {"recoveryKey"} <= written.keys()
    assert set(done.json["made"]) >= written.keys()
    arguments = " ".join(part for call in empty.calls() for part in call["argv"])
    for key, value in written.items():
        assert len(value) >= 40, key
        assert value.splitlines()[-2 if "\n" in value else 0] not in arguments, key


def test_the_public_halves_belong_to_the_private_ones(empty: Fakes, tts: Tts) -> None:
    tts("init", "-s", "prod", "--yes")

    plain = next(call["argv"] for call in empty.calls("pulumi") if "set-all" in call["argv"])
    values = dict(part.split("=", 1) for part in plain if "=" in part)
    written = _written(empty)
    for role in ("ssh", "host"):
        assert public_half(written[f"{role}PrivateKey"]).split()[1] == values[f"{role}PublicKey"].split()[1]
    assert values["bucketSuffix"].isalpha()


def test_a_public_key_lost_half_way_is_derived_again(empty: Fakes, tts: Tts, operator_key: KeyPair) -> None:
    config = {"tts:sshPrivateKey": {"value": operator_key.private, "secret": True}, "tts:recoveryKey": _plain("R")}
    empty.answer("pulumi", "config --json", config)

    tts("init", "-s", "prod", "--yes")

    plain = next(call["argv"] for call in empty.calls("pulumi") if "set-all" in call["argv"])
    assert any(part.startswith(f"sshPublicKey={' '.join(operator_key.public.split()[:2])}") for part in plain)
    assert "sshPrivateKey" not in _written(empty)


def test_a_public_key_without_its_private_half_is_refused_before_anything_is_written(empty: Fakes, tts: Tts) -> None:
    empty.answer("pulumi", "config --json", {"tts:sshPublicKey": _plain("ssh-ed25519 AAAA")})

    done = tts("init", "-s", "prod", "--yes")

    assert done.code == 78
    assert "overwrite" in done.stderr
    assert _written(empty) == {}


@pytest.mark.parametrize("names", ["SECRET_KEY", ["ok", "not a name"], [1]])
def test_app_secrets_that_are_no_names_are_refused(empty: Fakes, tts: Tts, names: Any) -> None:
    app = {"secrets": names}
    empty.answer("pulumi", "config --json", {"tts:app": {**_plain(app), "objectValue": app}})

    done = tts("init", "-s", "prod", "--yes")

    assert done.code == 78
    assert "app.secrets" in done.stderr
    assert _written(empty) == {}


def test_a_script_makes_a_new_stack_only_with_yes(empty: Fakes, tts: Tts) -> None:
    empty.answer("pulumi", "stack ls", [])
    empty.answer("pulumi", "stack init")

    done = tts("init", "-s", "prod")

    assert done.code == 2
    assert "--yes" in done.stderr
    assert _written(empty) == {}
    assert tts("init", "-s", "prod", "--yes").code == 0


def test_a_script_fills_a_stack_that_exists_without_being_asked(empty: Fakes, tts: Tts) -> None:
    assert tts("init", "-s", "prod").code == 0
    assert "sshPrivateKey" in _written(empty)


def test_a_person_who_says_no_changes_nothing(empty: Fakes, tts: Tts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.commands.init.is_interactive", lambda: True)

    done = tts("init", "-s", "prod", typed="n\n")

    assert done.code == 1
    assert _written(empty) == {}


def test_the_recovery_key_is_in_no_pipe(empty: Fakes, tts: Tts) -> None:
    done = tts("init", "-s", "prod", "--yes")

    assert all(value not in done.stdout + done.stderr for value in _written(empty).values())


def test_the_recovery_key_file_is_private_and_never_overwritten(empty: Fakes, tts: Tts, tmp_path: Path) -> None:
    target = tmp_path / "recovery"

    assert tts("init", "-s", "prod", "--yes", "--recovery-key-file", str(target)).code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    again = tts("init", "-s", "prod", "--yes", "--recovery-key-file", str(target))
    assert again.code == 2
    assert "exists" in again.stderr


def test_what_to_keep_where_is_said_unless_the_stack_is_of_this_machine_only(empty: Fakes, tts: Tts) -> None:
    empty.answer("pulumi", "stack ls", [{"name": "local"}, {"name": "prod"}])

    assert "Pulumi.prod.yaml (commit it" in tts("init", "-s", "prod").stdout
    assert "commit it" not in tts("init", "-s", "local").stdout


def test_a_stack_that_nobody_may_reach_is_told_so(empty: Fakes, tts: Tts) -> None:
    assert "sshFrom" in tts("init", "-s", "prod", "--yes").stdout


def test_generated_keys_differ_and_have_the_promised_form() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
    groups = new_recovery_key().split("-")
    assert [len(group) for group in groups] == [5] * 8
    pair = new_key_pair("c")
    assert pair.private.endswith("-----END OPENSSH PRIVATE KEY-----\n")
    assert pair.private not in repr(pair)


def _real_pulumi() -> Path | None:
    """The CLI that the local stack runs on, else one on PATH; never the wrapper, which binds to the local stack."""
    built = [_REPOSITORY / ".local/engine/pulumi", *Path("~/.cache/tts/tools").expanduser().glob("pulumi-*/pulumi")]
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not folder.endswith(".local/bin")]
    found = shutil.which("pulumi", path=os.pathsep.join(folders))
    return next((path for path in [*built, *([Path(found)] if found else [])] if path.is_file()), None)


@pytest.fixture
def real_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pulumi = _real_pulumi()
    if pulumi is None:
        pytest.skip("no pulumi on PATH and none built: run `make bootstrap`, then `make test`")
    project = tmp_path / "project"
    (tmp_path / "state").mkdir()
    project.mkdir()
    shutil.copy(_REPOSITORY / "Pulumi.yaml", project)
    (tmp_path / "passphrase").write_text(new_secret())
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pulumi").symlink_to(pulumi.resolve())
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    for name, value in {
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "TTS_PROJECT_DIR": str(project),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    return project


def _config(project: Path) -> dict[str, Any]:
    command = ["pulumi", "config", "--json", "--show-secrets", "--stack", "fresh"]
    return json.loads(subprocess.run(command, cwd=project, capture_output=True, check=True, text=True).stdout)


def test_with_the_real_pulumi_a_fresh_stack_is_complete_and_a_second_run_changes_no_byte(
    real_project: Path, tts: Tts
) -> None:
    first = tts("init", "--stack", "fresh", "--yes", "--json")
    assert first.code == 0, first.stderr
    file = real_project / "Pulumi.fresh.yaml"
    content = file.read_bytes()
    config = _config(real_project)

    second = tts("init", "--stack", "fresh", "--yes", "--json")

    assert second.json["made"] == []
    assert set(second.json["kept"]) == set(first.json["made"])
    assert file.read_bytes() == content
    for key in _SECRETS:
        assert config[f"tts:{key}"]["secret"], key
        assert config[f"tts:{key}"]["value"].splitlines()[-1].encode() not in content
    private = config["tts:hostPrivateKey"]["value"]
    assert private.endswith("\n")
    assert public_half(private).split()[1] == config["tts:hostPublicKey"]["value"].split()[1]
    names = json.loads(config["tts:app"]["value"])["secrets"]
    assert set(json.loads(config["tts:appSecrets"]["value"])) == set(names)


def test_with_the_real_pulumi_a_value_of_the_person_is_kept(real_project: Path, tts: Tts) -> None:
    tts("init", "--stack", "fresh", "--yes")
    command = ["pulumi", "config", "set", "--secret", "--stack", "fresh", "backupPassphrase"]
    subprocess.run(command, cwd=real_project, input="mine", text=True, check=True, capture_output=True)

    tts("init", "--stack", "fresh", "--yes")

    assert _config(real_project)["tts:backupPassphrase"]["value"] == "mine"


def test_with_the_real_pulumi_what_cannot_be_read_names_the_way_out(
    real_project: Path, tts: Tts, tmp_path: Path
) -> None:
    tts("init", "--stack", "fresh", "--yes")
    undeployed = tts("status", "--stack", "fresh")
    assert undeployed.code == 78
    assert "pulumi up --stack fresh" in undeployed.stderr

    (tmp_path / "passphrase").write_text("another")

    done = tts("init", "--stack", "fresh", "--yes")

    assert done.code == 78
    assert "passphrase does not open" in done.stderr
