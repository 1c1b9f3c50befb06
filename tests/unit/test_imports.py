"""The direction of dependence, which is what lets a person read one folder without the others."""

import ast
from pathlib import Path

import pytest

from tests.unit.config import ROOT

PULUMI = {"pulumi", "pulumi_aws", "pulumi_command", "pulumi_digitalocean"}
BUILDERS = {"components", "guards", "hosts", "outside", "parts", "program", "report"}
"""What declares resources, or is on the way to it."""
PROGRAM = {
    *BUILDERS,
    "fixed",
    "placement",
    "sections",
    "upper_rules",
    "settings",
    "reading",
    "rules",
    "compose",
    "destinations",
    "alerts",
    "phases",
    "deployed",
    "naming",
    "pricing",
}
# What a module or folder must not import; every one of them for a reason that the architecture's map gives.
FORBIDDEN: dict[str, set[str]] = {
    "components": PROGRAM - {"components", "naming"} | {"ops", "localcloud"},
    "phases.py": {*PULUMI, *PROGRAM, "ops", "localcloud"},
    "naming.py": {*PULUMI, *PROGRAM, "ops", "localcloud"},
    "pricing.py": {*PULUMI, *PROGRAM, "ops", "localcloud"},
    "rules.py": {*PULUMI, *BUILDERS, "settings", "ops", "localcloud"},
    "compose.py": {*PULUMI, *BUILDERS, "settings", "ops", "localcloud"},
    "destinations.py": {*PULUMI, *BUILDERS, "settings", "ops", "localcloud"},
    "alerts.py": {*PULUMI, *BUILDERS, "settings", "ops", "localcloud"},
    "sections.py": {*PULUMI, *PROGRAM, "ops", "localcloud"} - {"sections"},
    "placement.py": {*PULUMI, *BUILDERS, "settings", "ops", "localcloud"},
    "fixed.py": {*PULUMI, *BUILDERS, "settings", "ops", "localcloud"},
    "upper_rules.py": {*PULUMI, *BUILDERS, "settings", "ops", "localcloud"},
    "deployed.py": {*PROGRAM, "ops", "localcloud"} - {"deployed"},
    "settings.py": {*BUILDERS, "ops", "localcloud"},
    "hosts.py": {"outside", "parts", "report", "program", "ops", "localcloud", "toolchain"},
    "outside.py": {"parts", "report", "program", "ops", "localcloud", "toolchain"},
    "parts.py": {"report", "program", "ops", "localcloud", "toolchain"},
    "report.py": {"program", "guards", "ops", "localcloud", "toolchain"},
    "program.py": {"ops", "localcloud", "toolchain"},
    "guards": PROGRAM - {"guards"} | {"pulumi_digitalocean", "localcloud", "toolchain"},
    "ops": {"components", "program", "guards", "localcloud"},
    "localcloud": PROGRAM,
    "toolchain": PROGRAM,
    "scripts": {*PULUMI, *PROGRAM, "ops", "localcloud"},
}


def imported(source: str) -> set[str]:
    """Top-level names of everything that `source` imports, at any depth of the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _modules(where: str) -> list[Path]:
    path = ROOT / where
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("where", FORBIDDEN)
def test_nothing_imports_against_the_direction(where: str) -> None:
    found = {
        str(module.relative_to(ROOT)): bad
        for module in _modules(where)
        if (bad := imported(module.read_text(encoding="utf-8")) & FORBIDDEN[where])
    }
    assert found == {}


def test_an_import_against_the_direction_would_be_seen() -> None:
    assert imported("def f():\n    from components.network import Network\n") & FORBIDDEN["ops"] == {"components"}


@pytest.mark.parametrize("module", sorted(path.name for path in ROOT.glob("*.py")))
def test_only_settings_and_its_reader_read_the_configuration(module: str) -> None:
    text = (ROOT / module).read_text(encoding="utf-8")
    assert ("pulumi.Config(" in text) is (module == "reading.py")


def test_the_entry_point_stays_small() -> None:
    code = [line for line in (ROOT / "__main__.py").read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(code) <= 15


@pytest.mark.parametrize("module", sorted(str(path.relative_to(ROOT)) for path in (ROOT / "components").glob("*.py")))
def test_components_stay_small_and_read_no_environment(module: str) -> None:
    text = (ROOT / module).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    assert "os.environ" not in text
