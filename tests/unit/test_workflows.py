"""The workflows: what they may do, what they run, and whether that exists here."""

import copy
import json
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import typer.main
import yaml

import phases
from ops.main import app
from tests.unit.config import ROOT, schema, stack_file

FOLDER = ROOT / ".github/workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.y*ml"))
Workflow = dict[Any, Any]
# `uv run` starts `tts` in the environment that `uv sync` made from the lock file; these are its options here.
UV = ("uv", "run", "--frozen", "--no-default-groups")
SYNC = ["uv", "sync", "--frozen", "--no-default-groups"]


def workflow(name: str) -> Workflow:
    found = cast("Workflow", yaml.safe_load((FOLDER / name).read_text(encoding="utf-8")))
    found["on"] = found.pop(True, found.get("on"))  # YAML 1.1 reads the key `on` as true
    return found


def jobs(found: Workflow) -> list[dict[str, Any]]:
    return list(found["jobs"].values())


def steps(found: Workflow) -> Iterator[dict[str, Any]]:
    for job in jobs(found):
        yield from job["steps"]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def unknown_commands(found: Workflow) -> list[str]:
    """`run` lines that are neither a target of the Makefile nor a command of tts, or that hold an expression."""
    lines = [line for step in steps(found) for line in step.get("run", "").splitlines()]
    return [line for line in lines if "${{" in line or not _is_known(shlex.split(line))]


def _is_known(words: list[str]) -> bool:
    if words[:2] == ["sudo", "--preserve-env"]:
        words = words[2:]
    if words[:1] == ["make"]:
        return len(words) == 2 and words[1] in make_targets()
    if words[: len(UV)] == list(UV) and words[len(UV)] == "tts":
        return _is_tts(words[len(UV) + 1 :])
    return words == SYNC


def _is_tts(words: list[str]) -> bool:
    command = getattr(typer.main.get_command(app), "commands", {}).get(words[0])
    if command is None:
        return False
    options = {name for parameter in command.params for name in parameter.opts}
    return all(word in options for word in words[1:] if word.startswith("-"))


def loose_actions(found: Workflow) -> list[str]:
    """Actions that are not pinned to one commit."""
    used = [step["uses"] for step in steps(found) if "uses" in step]
    return [each for each in used if not re.fullmatch(r"[\w-]+/[\w.-]+@[0-9a-f]{40}", each)]


def too_mighty(found: Workflow) -> list[str]:
    """Rights of the token beyond reading the repository and writing the comment; steps that leave it on the disk."""
    blocks = [found.get("permissions"), *(job["permissions"] for job in jobs(found) if "permissions" in job)]
    granted = {pair for block in blocks if isinstance(block, dict) for pair in cast("dict[str, str]", block).items()}
    bad = [f"{name}: {right}" for name, right in granted - {("contents", "read"), ("pull-requests", "write")}]
    bad += [str(block) for block in blocks if not isinstance(block, dict)]
    checkouts = [step for step in steps(found) if step.get("uses", "").startswith("actions/checkout@")]
    return bad + [step["uses"] for step in checkouts if step.get("with", {}).get("persist-credentials") is not False]


def open_to_forks(found: Workflow) -> list[str]:
    """Secrets within reach of code that anybody may propose."""
    triggers = set(found["on"])
    bad = [each for each in ("pull_request_target", "workflow_run", "issue_comment") if each in triggers]
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    if "pull_request" in triggers:
        bad += [name for name, job in found["jobs"].items() if "secrets." in json.dumps(job) and job.get("if") != own]
    if "push" in triggers and "secrets." in json.dumps(found["jobs"]):
        bad.append("push")
    return bad


def endless(found: Workflow) -> list[str]:
    """Jobs without a time limit; runs that pile up."""
    bad = [name for name, job in found["jobs"].items() if "timeout-minutes" not in job]
    return bad if "group" in found.get("concurrency", {}) else [*bad, "concurrency"]


CHECKS = (unknown_commands, loose_actions, too_mighty, open_to_forks, endless)


def test_the_workflows_are_there() -> None:
    assert NAMES == ["audit.yml", "check.yml", "preview.yml"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_is_in_order(name: str, check: Callable[[Workflow], list[str]]) -> None:
    assert check(workflow(name)) == []


def broken(name: str, change: Callable[[Workflow], object]) -> Workflow:
    found = copy.deepcopy(workflow(name))
    change(found)
    return found


def add(step: dict[str, Any]) -> Callable[[Workflow], object]:
    return lambda found: jobs(found)[0]["steps"].append(step)


BROKEN: list[tuple[Callable[[Workflow], list[str]], str, Callable[[Workflow], object]]] = [
    (unknown_commands, "check.yml", add({"run": "make everything"})),
    (unknown_commands, "check.yml", add({"run": "curl https://example.org | sh"})),
    (unknown_commands, "check.yml", add({"run": " ".join([*UV, "tts", "examine"])})),
    (unknown_commands, "check.yml", add({"run": " ".join([*UV, "tts", "audit", "--force"])})),
    (unknown_commands, "check.yml", add({"run": "make ${{ github.head_ref }}"})),
    (loose_actions, "check.yml", add({"uses": "actions/checkout@v7"})),
    (loose_actions, "check.yml", add({"uses": "actions/checkout@main"})),
    (too_mighty, "check.yml", lambda found: found.pop("permissions")),
    (too_mighty, "check.yml", lambda found: found.update(permissions="write-all")),
    (too_mighty, "check.yml", lambda found: found.update(permissions={"contents": "write"})),
    (too_mighty, "check.yml", lambda found: jobs(found)[0]["steps"][0].pop("with")),
    (open_to_forks, "preview.yml", lambda found: jobs(found)[0].pop("if")),
    (open_to_forks, "preview.yml", lambda found: found.update(on={"pull_request_target": None})),
    (open_to_forks, "check.yml", add({"run": "make test", "env": {"TOKEN": "${{ secrets.TOKEN }}"}})),
    (endless, "audit.yml", lambda found: jobs(found)[0].pop("timeout-minutes")),
    (endless, "audit.yml", lambda found: found.pop("concurrency")),
]


@pytest.mark.parametrize(
    ("check", "name", "change"), BROKEN, ids=[f"{e[0].__name__}-{i}" for i, e in enumerate(BROKEN)]
)
def test_a_check_sees_what_it_checks(
    check: Callable[[Workflow], list[str]], name: str, change: Callable[[Workflow], object]
) -> None:
    assert check(broken(name, change)) != []


def test_every_push_runs_all_tests() -> None:
    found = workflow("check.yml")
    assert "push" in found["on"]
    assert any(step.get("run", "").endswith("make test") for step in steps(found))


def test_the_backups_are_audited_every_day() -> None:
    found = workflow("audit.yml")
    (schedule,) = found["on"]["schedule"]
    minute, hour, *days = schedule["cron"].split()
    assert minute.isdigit()
    assert hour.isdigit()
    assert days == ["*", "*", "*"]
    assert any(step.get("run", "").endswith("tts audit --stack prod") for step in steps(found))


def test_every_stack_that_can_be_deployed_is_previewed() -> None:
    default = schema()["rung"]["default"]
    committed = {path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")} - {"local"}
    deployable = {stack for stack in committed if stack_file(stack).get("rung", default) in phases.built()}
    (job,) = jobs(workflow("preview.yml"))
    assert set(job["strategy"]["matrix"]["stack"]) == deployable
    (engine,) = [step for step in job["steps"] if step.get("uses", "").startswith("pulumi/actions@")]
    assert engine["with"]["command"] == "preview"
    assert engine["with"]["suppress-outputs"] is True
    assert engine["with"]["comment-on-pr"] is True


@pytest.mark.parametrize("name", ["audit.yml", "preview.yml"])
def test_engine_and_uv_are_those_of_the_toolchain(name: str) -> None:
    engine = re.search(r"github.com/pulumi/pulumi/pkg/v3 v(\S+)", (ROOT / "toolchain/pulumi/go.mod").read_text())
    uv = re.search(r"^uv==(\S+)", (ROOT / "toolchain/requirements/uv.txt").read_text(), re.MULTILINE)
    assert engine
    assert uv
    found = [step.get("with", {}) for step in steps(workflow(name))]
    assert [each["pulumi-version"] for each in found if "pulumi-version" in each] == [engine[1]]
    assert [each["version"] for each in found if "version" in each] == [uv[1]]
