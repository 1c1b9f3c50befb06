"""The guard against tests that nobody runs, and which files are taken for shell scripts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import free_range
from toolchain import check
from toolchain.layout import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of its own with this repository's conftest and settings."""
    (tmp_path / "tests").mkdir()
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    shutil.copy(REPOSITORY / "tests" / "conftest.py", tmp_path / "tests")
    return tmp_path


def run(suite: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False)


def test_a_test_file_that_is_not_collected_fails_the_run(suite: Path) -> None:
    (suite / "tests" / "test_here.py").write_text("def test_this() -> None:\n    pass\n")
    assert run(suite).returncode == 0
    (suite / "tests" / "forgotten.py").write_text("def test_that() -> None:\n    assert False\n")
    done = run(suite, "-m", "unit")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "do not collect" not in done.stdout
    assert "tests/forgotten.py" in done.stderr
    assert run(suite, "tests/test_here.py").returncode == 0, "a run of chosen files is not a full run"


def test_fast_tests_run_before_slow_ones(suite: Path) -> None:
    (suite / "tests" / "test_a.py").write_text(
        "import pytest\n\n@pytest.mark.e2e\ndef test_whole() -> None: ...\n"
        "@pytest.mark.docker\ndef test_host() -> None: ...\n"
    )
    (suite / "tests" / "test_b.py").write_text("def test_small() -> None: ...\n")
    listed = run(suite, "--collect-only", "-q").stdout.splitlines()
    assert [line.rpartition("::")[2] for line in listed[:3]] == ["test_small", "test_host", "test_whole"]


def test_a_warning_and_an_unknown_marker_are_errors(suite: Path) -> None:
    test = suite / "tests" / "test_a.py"
    test.write_text("import warnings\n\ndef test_warns() -> None:\n    warnings.warn('old', DeprecationWarning)\n")
    assert run(suite).returncode == pytest.ExitCode.TESTS_FAILED
    test.write_text("import pytest\n\n@pytest.mark.slwo\ndef test_typo() -> None: ...\n")
    assert run(suite).returncode == pytest.ExitCode.INTERRUPTED


def test_the_providers_sdks_can_be_imported_though_they_warn(suite: Path) -> None:
    test = suite / "tests" / "test_a.py"
    test.write_text("def test_import() -> None:\n    import pulumi_aws, pulumi_command, pulumi_digitalocean\n")
    assert run(suite).returncode == 0


@pytest.mark.parametrize(
    ("name", "text", "shell"),
    [
        ("run", "#!/bin/sh\n", True),
        ("build", "#!/usr/bin/env bash\n", True),
        ("lib.sh", "# sourced\n", True),
        ("tool", "#!/usr/bin/env python3\n", False),
        ("empty", "", False),
    ],
)
def test_shell_scripts_are_known_by_their_first_line(name: str, text: str, shell: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert check.is_shell(path) is shell


def test_the_ci_entry_point_is_a_shell_script_that_is_checked() -> None:
    assert ".ci/run" in check.shell_files()


def test_a_range_is_given_to_one_cloud_only_and_never_a_developer_s_own() -> None:
    given = [free_range("100.64.0.0/24", 26) for _ in range(4)]
    assert len(set(given)) == 4
    with pytest.raises(RuntimeError, match=r"every /26 of 100\.64\.0\.0/24 is in use"):
        free_range("100.64.0.0/24", 26)
    with pytest.raises(RuntimeError, match="in use"):
        free_range("198.18.0.0/24")
