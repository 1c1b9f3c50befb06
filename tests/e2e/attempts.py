"""A preview of the deployed stack by the real engine, of a program that somebody changed, and what the gate says."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.e2e.platform import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.platform import Platform

CHANGED = """\
import runpy, sys
sys.path.insert(0, {repository!r})
{mutation}
runpy.run_path({repository!r} + "/__main__.py", run_name="__main__")
"""
UNFIXED = "import fixed; fixed.LOSSES.clear()"
UNPROTECTED = (
    "from components.base import Component; Component.stateful = Component.child; "
    "Component.kept = lambda self, after=(), **options: self.child(depends_on=list(after), **options)"
)


def inputs(kind: str, **changed: str) -> str:
    """A change of the program that gives every resource of a kind other inputs."""
    return (
        f"import pulumi_digitalocean as cloud; made = cloud.{kind}; "
        f"cloud.{kind} = lambda *name, **given: made(*name, **{{**given, **{changed!r}}})"
    )


@dataclass(frozen=True)
class Attempt:
    """What the gate says of a preview of a changed program."""

    code: int
    losses: list[dict[str, str]]
    errors: str

    @property
    def names(self) -> set[str]:
        return {loss["urn"].rpartition("::")[2] for loss in self.losses}

    def refused(self, name: str) -> bool:
        """Whether the preview failed with the name of that resource, because it is protected."""
        return self.code != 0 and "protect" in self.errors and (name in self.names or f"::{name}" in self.errors)


def previewed(platform: Platform, scratch: Path, mutation: str = "", **keys: Any) -> Attempt:
    """Preview the stack with a changed program and changed keys; the stack and its files stay as they are."""
    project, program = scratch / "project", scratch / "program"
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
    shown = scratch / "preview.json"
    engine = [*_engine(platform, project), "preview", "--json", "--stack", platform.stack, "--non-interactive"]
    shown.write_text(_out(engine, platform), encoding="utf-8")
    gate = subprocess.run(
        [str(platform.local / "bin/tts"), "preview-gate", "--file", str(shown), "--json"],
        env=platform.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(gate.stdout)
    return Attempt(gate.returncode, found["losses"], " ".join(found["errors"]))


def _out(command: list[str], platform: Platform) -> str:
    done = subprocess.run(
        command, env=platform.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.stdout


def _engine(platform: Platform, project: Path) -> list[str]:
    """The engine as `make shell` starts it, on another copy of the project."""
    line = (platform.local / "bin/pulumi").read_text(encoding="utf-8").splitlines()[-1]
    words = shlex.split(line.removeprefix("exec ").replace('"$@"', ""))
    return [str(project) if word == str(platform.local / "project") else word for word in words]


def _change(file: Path, change: Any) -> None:
    file.write_text(yaml.safe_dump(change(yaml.safe_load(file.read_text())), sort_keys=False), encoding="utf-8")
