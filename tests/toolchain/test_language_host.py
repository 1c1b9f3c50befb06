"""The language host, driven by the engine that `make up` uses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from toolchain.environment import write_language_host
from toolchain.language_host import describe
from toolchain.layout import ENGINE, PYTHON

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os
import pulumi
import lib

pulumi.export("directory", os.getcwd())
pulumi.export("word", pulumi.Config("tts").require("word"))
pulumi.export("secret", pulumi.Config("tts").get_secret("hidden"))
lib.fail(pulumi.Config("tts").get("failure"))
"""
LIBRARY = """
import pulumi

def fail(how):
    if how == "run-error":
        raise pulumi.RunError("two problems:\\n  tts:a is wrong\\n  tts:b is wrong")
    if how == "exception":
        return {}["nothing"]
    if how == "apply":
        pulumi.Output.from_input(0).apply(lambda value: 1 / value)
"""


@dataclass(frozen=True)
class Project:
    """A small project whose program lies elsewhere, as that of the local cloud does."""

    root: Path

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "HOME": str(self.root),
            "PATH": os.defpath,
            "PULUMI_HOME": str(self.root / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.root}/state",
            "PULUMI_CONFIG_PASSPHRASE": "of a test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        command = [str(ENGINE / "pulumi"), "-C", str(self.root / "project"), "--non-interactive", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def preview_with(self, failure: str) -> str:
        self.pulumi("config", "set", "tts:failure", failure)
        done = self.pulumi("preview", "--color=never")
        assert done.returncode != 0
        return (
            (done.stdout + done.stderr).partition("Diagnostics:")[2].partition("Outputs:")[0].partition("Resources:")[0]
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    if not (ENGINE / "pulumi").exists():
        pytest.skip("an installed Pulumi CLI serves here, with a language host of its own")
    write_language_host()
    for name in ("program", "project", "home", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "program" / "__main__.py").write_text(PROGRAM)
    (tmp_path / "program" / "lib.py").write_text(LIBRARY)
    (tmp_path / "project" / "Pulumi.yaml").write_text(f"name: tts\nmain: {tmp_path}/program\nruntime: python\n")
    project = Project(tmp_path)
    assert project.pulumi("stack", "init", "test").returncode == 0
    project.pulumi("config", "set", "tts:word", "hello")
    project.pulumi("config", "set", "--secret", "tts:hidden", "never shown")
    return project


def test_a_program_runs_in_its_own_directory_with_its_configuration(project: Project) -> None:
    done = project.pulumi("up", "--yes", "--skip-preview")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
    outputs = json.loads(project.pulumi("stack", "output", "--json").stdout)
    assert outputs == {"directory": f"{project.root}/program", "word": "hello", "secret": "[secret]"}
    assert "never shown" not in project.pulumi("stack", "export").stdout


def test_a_run_error_is_its_message_once(project: Project) -> None:
    said = project.preview_with("run-error")
    assert said.count("two problems:") == 1
    assert "tts:b is wrong" in said
    assert "Traceback" not in said
    assert "lib.py" not in said


@pytest.mark.parametrize(
    ("failure", "message"), [("exception", "KeyError: 'nothing'"), ("apply", "ZeroDivisionError: division by zero")]
)
def test_any_other_failure_shows_the_frames_of_the_program_only(project: Project, failure: str, message: str) -> None:
    said = project.preview_with(failure)
    assert said.count(message) == 1
    assert "lib.py:" in said
    assert "site-packages" not in said
    assert "an unhandled error" not in said


def test_frames_of_installed_packages_are_left_out(tmp_path: Path) -> None:
    installed = tmp_path / ".local" / "venv" / "package.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("def call(function):\n    function()\n")
    names: dict[str, object] = {}
    exec(compile(installed.read_text(), str(installed), "exec"), names)
    code = compile("def mine():\n    1 / 0\ncall(mine)", str(tmp_path / "mine.py"), "exec")
    try:
        exec(code, names)
    except ZeroDivisionError as problem:
        said = describe(problem, tmp_path)
    assert said.splitlines()[0] == "ZeroDivisionError: division by zero"
    assert "package.py" not in said
    assert "mine.py:2 in mine" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_host_ends_without_a_word_when_it_is_told_to(number: signal.Signals) -> None:
    command = [str(PYTHON), "-m", "toolchain.language_host", "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert int(process.stdout.readline()) > 0
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")
