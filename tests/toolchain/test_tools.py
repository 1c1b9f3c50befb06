"""The table of tools: pins, cache keys, and when an installed program serves instead."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from toolchain import tools
from toolchain.console import FailureError, Log
from toolchain.layout import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("v3.259.0", (3, 259, 0)),
        ("restic 0.18.1 compiled with go1.26.8 on linux/amd64", (0, 18, 1)),
        ("uv 0.13", (0, 13, 0)),
        ("no version", None),
        (None, None),
    ],
)
def test_a_version_is_found_in_what_a_program_says(said: str | None, version: tuple[int, ...] | None) -> None:
    assert tools.parse_version(said) == version


@pytest.mark.parametrize("tool", tools.TOOLS, ids=lambda tool: tool.name)
def test_each_tool_is_pinned_with_the_checksums_of_all_it_is_made_of(tool: tools.Tool) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", tool.version)
    assert tool.package.startswith(tool.module)
    assert f"{tool.module} v{tool.version} h1:" in (tool.folder / "go.sum").read_text()
    minimum = re.search(r"^go (\S+)$", (tool.folder / "go.mod").read_text(), re.MULTILINE)
    assert minimum
    assert (tools.parse_version(minimum[1]) or ()) <= tools.GO_MINIMUM


def test_the_go_that_is_installed_from_pypi_can_build_every_tool() -> None:
    assert (tools.parse_version(tools.GO_PACKAGE.read_text()) or ()) >= tools.GO_MINIMUM
    assert "--hash=sha256:" in tools.GO_PACKAGE.read_text()


def test_another_pin_is_another_place_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tools.RESTIC.folder, tmp_path / "toolchain" / "restic")
    before = tools.RESTIC.binary
    monkeypatch.setattr(tools, "REPOSITORY", tmp_path)
    assert tools.RESTIC.binary == before
    checksums = tmp_path / "toolchain" / "restic" / "go.sum"
    checksums.write_text(checksums.read_text().replace("h1:", "h1:x", 1))
    assert tools.RESTIC.binary != before


def fake(directory: Path, name: str, says: str) -> Path:
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def test_an_installed_engine_serves_if_it_is_new_enough_and_has_its_language_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "bin"
    engine = fake(directory, "pulumi", "v3.999.1")
    monkeypatch.setenv("PATH", str(directory))
    assert tools.pulumi_on_path() is None, "it has no language host"
    host = fake(directory, "pulumi-language-python", "")
    assert tools.pulumi_on_path() == engine
    fake(directory, "pulumi", "v3.100.0")
    assert tools.pulumi_on_path() is None, "it is too old"
    host.unlink()


def test_our_own_wrapper_on_path_is_not_taken_for_an_installed_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: str(REPOSITORY / ".local" / "bin" / name))
    assert tools.pulumi_on_path() is None


def test_an_old_go_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fake(tmp_path, "go", "go version go1.19.8 linux/amd64")
    assert tools.go_on_path() is None
    new = fake(tmp_path, "go", "go version go1.27.0 linux/amd64")
    assert tools.go_on_path() == new


def test_a_build_that_fails_leaves_nothing_that_could_be_taken_for_a_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    go = tmp_path / "go"
    go.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho half >"$2"\necho "out of memory"\nexit 1\n')
    go.chmod(0o755)
    with pytest.raises(FailureError, match=r"restic 0\.18\.1 could not be built") as caught:
        tools.build(tools.RESTIC, go, None, Log.start(tmp_path, "restic"))
    assert not tools.is_built(tools.RESTIC)
    assert "out of memory" in str(caught.value)
    assert "log: " in str(caught.value)


def test_a_build_that_does_not_say_its_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    binary = tools.PULUMI.binary
    binary.parent.mkdir(parents=True)
    fake(binary.parent, "pulumi", f"v{tools.PULUMI.version}")
    tools.check_version(tools.PULUMI)
    fake(binary.parent, "pulumi", "")
    with pytest.raises(FailureError, match="says: ''"):
        tools.check_version(tools.PULUMI)


def test_the_engine_is_placed_again_only_when_another_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tools, "ENGINE", tmp_path / "engine")
    tools.PULUMI.binary.parent.mkdir(parents=True)
    built = fake(tools.PULUMI.binary.parent, "pulumi", "one")
    placed = tools.place_engine()
    inode = placed.stat().st_ino
    assert tools.place_engine().stat().st_ino == inode
    built.unlink()
    fake(tools.PULUMI.binary.parent, "pulumi", "two")
    assert "two" in tools.place_engine().read_text()


def test_a_build_trusts_the_authorities_of_this_machine(tmp_path: Path) -> None:
    environment = tools.go_environment(tmp_path / "bundle.crt")
    assert environment["SSL_CERT_FILE"] == str(tmp_path / "bundle.crt")
    assert environment["GOTOOLCHAIN"] == "local"
    assert "-mod=readonly" in environment["GOFLAGS"]
