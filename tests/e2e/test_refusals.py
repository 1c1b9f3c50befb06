"""What would destroy data fails in preview, by the program, the engine or the gate, each with its reason.

The program is changed as somebody might change it, and previewed on the deployed stack by the real engine.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.platform import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.platform import Platform

pytestmark = pytest.mark.e2e

CHANGED = """\
import runpy, sys
sys.path.insert(0, {repository!r})
{mutation}
runpy.run_path({repository!r} + "/__main__.py", run_name="__main__")
"""
UNFIXED = "import fixed; fixed.LOSSES.clear()"
UNPROTECTED = (
    "from components.base import Component; Component.stateful = Component.child; "
    "Component.kept = lambda self, after=(): self.child(depends_on=list(after))"
)


@dataclass(frozen=True)
class Attempt:
    """A preview of a changed program: what the gate says of it."""

    code: int
    losses: list[dict[str, str]]
    errors: str

    @property
    def names(self) -> set[str]:
        return {loss["urn"].rpartition("::")[2] for loss in self.losses}


@pytest.fixture
def attempt(platform: Platform, tmp_path: Path) -> Any:
    """Preview the stack with a changed program and changed keys; the stack and its files stay as they are."""

    def previewed(mutation: str = "", **keys: Any) -> Attempt:
        project, program = tmp_path / "project", tmp_path / "program"
        shutil.copytree(platform.local / "project", project, dirs_exist_ok=True)
        program.mkdir(exist_ok=True)
        text = CHANGED.format(repository=str(REPOSITORY), mutation=mutation)
        (program / "__main__.py").write_text(text, encoding="utf-8")
        _change(project / "Pulumi.yaml", lambda document: document | {"main": str(program)})
        values = {f"tts:{key}": value for key, value in keys.items()}
        _change(
            project / f"Pulumi.{platform.stack}.yaml",
            lambda document: document | {"config": {**document["config"], **values}},
        )
        shown = tmp_path / "preview.json"
        preview = subprocess.run(
            [*_engine(platform, project), "preview", "--json", "--stack", platform.stack, "--non-interactive"],
            env=platform.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        shown.write_text(preview.stdout, encoding="utf-8")
        done = subprocess.run(
            [str(platform.local / "bin/tts"), "preview-gate", "--file", str(shown), "--json"],
            env=platform.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        found = json.loads(done.stdout)
        return Attempt(done.returncode, found["losses"], " ".join(found["errors"]))

    return previewed


def _engine(platform: Platform, project: Path) -> list[str]:
    """The engine as `make shell` starts it, on another copy of the project."""
    line = (platform.local / "bin/pulumi").read_text(encoding="utf-8").splitlines()[-1]
    words = shlex.split(line.removeprefix("exec ").replace('"$@"', ""))
    return [str(project) if word == str(platform.local / "project") else word for word in words]


def _change(file: Path, change: Any) -> None:
    file.write_text(yaml.safe_dump(change(yaml.safe_load(file.read_text())), sort_keys=False), encoding="utf-8")


def test_the_program_as_it_is_destroys_nothing(attempt: Any) -> None:
    assert attempt() == Attempt(0, [], "")


@pytest.mark.parametrize(
    "mutation",
    [
        'from components import host; host.IMAGE = "debian-12-x64"',
        'from components import host; host.cloud_config = lambda *_: "#cloud-config\\n{}\\n"',
    ],
    ids=["image", "user data"],
)
def test_a_changed_image_or_first_boot_replaces_no_droplet(mutation: str, attempt: Any) -> None:
    assert attempt(mutation) == Attempt(0, [], "")


@pytest.mark.parametrize(
    ("key", "value", "loss"),
    [
        ("region", "ams3", "droplets, VPC, reserved IP and database cluster would be replaced"),
        ("vpcRange", "10.99.0.0/20", "the VPC would be replaced"),
        ("bucketSuffix", "another1", "the buckets of backups and media would be left behind"),
        ("sshPublicKey", f"ssh-ed25519 {'A' * 68} somebody", "nobody could reach them"),
    ],
)
def test_a_fixed_key_is_refused_by_the_program_with_what_would_be_lost(
    key: str, value: str, loss: str, attempt: Any
) -> None:
    refused = attempt(**{key: value})
    assert refused.code == 1
    assert f"{key} = " in refused.errors
    assert loss in refused.errors


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"region": "ams3", "spacesRegion": "ams3"}, "vpc"),
        ({"vpcRange": "10.99.0.0/20"}, "vpc"),
        ({"bucketSuffix": "another1"}, "aws"),
    ],
    ids=["region", "VPC", "bucket name"],
)
def test_a_program_that_forgets_the_fixed_keys_is_refused_by_the_engine(
    keys: dict[str, str], name: str, attempt: Any
) -> None:
    refused = attempt(UNFIXED, **keys)
    assert refused.code != 0
    assert name in refused.names or f"::{name}" in refused.errors
    assert "protect" in refused.errors


def test_protection_that_goes_with_the_replacement_passes_the_engine_and_not_the_gate(attempt: Any) -> None:
    lost = attempt(f"{UNFIXED}; {UNPROTECTED}", vpcRange="10.99.0.0/20")
    assert (lost.code, lost.errors) == (3, "")
    assert {"vpc", "web-1", "entry"} <= lost.names
    (vpc,) = [loss for loss in lost.losses if loss["urn"].endswith("::vpc")]
    assert vpc["what"] == "replaced"
    assert "ipRange" in vpc["why"]


def test_protection_that_goes_alone_is_seen_too(attempt: Any) -> None:
    lost = attempt(UNPROTECTED)
    assert lost.code == 3
    assert {loss["what"] for loss in lost.losses} == {"no longer protected"}


def test_a_host_that_is_no_longer_declared_is_refused(attempt: Any) -> None:
    refused = attempt(
        "from components import host; host.IMAGE, name = host.IMAGE, 'web-9'; import hosts; "
        "made = hosts.WebHost; hosts.WebHost = lambda name, args: made('web-9', args)"
    )
    assert refused.code != 0
    assert "web-1" in refused.names or "::web-1" in refused.errors
