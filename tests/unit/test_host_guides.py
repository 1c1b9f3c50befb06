"""What holds in the text of every host script: rules that a run on one day would not show."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST = ROOT / "scripts/host"
LIBRARY = HOST / "lib/tts_host"
COMMON = (HOST / "lib/common.sh").read_text(encoding="utf-8")
SHELL = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted(HOST.iterdir())
    if path.is_file() and path.read_bytes().startswith(b"#!")
}
PYTHON = {path.name: path.read_text(encoding="utf-8") for path in sorted(LIBRARY.glob("*.py"))}
EVERYTHING = {**SHELL, "common.sh": COMMON, **PYTHON}


def _code(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def test_bug_13_dumps_are_not_compressed_twice() -> None:
    assert '"--compress=0"' in PYTHON["dump.py"]
    assert '"--format=custom"' in PYTHON["dump.py"]
    assert not [name for name, text in EVERYTHING.items() if re.search(r"\bgzip\b|\bgunzip\b", _code(text))]


def test_bug_14_jobs_run_at_low_priority() -> None:
    begin = COMMON[COMMON.index("\nbegin()") : COMMON.index("\nstep()")]
    assert "  step_back\n" in begin
    priority = (HOST / "lib/priority.sh").read_text()
    assert "renice -n 10" in priority
    assert "ionice -c 2 -n 7" in priority
    assert "own_group" in priority, "between control groups a nice value counts for nothing"


@pytest.mark.parametrize("name", [name for name in SHELL if name != "prepare"])  # that installs programs for all
def test_bug_26_every_command_is_private(name: str) -> None:
    assert "umask 077" in SHELL[name] or 'source "$HERE/lib/common.sh"' in SHELL[name]
    assert "umask 077" in COMMON


def test_bug_33_no_token_of_the_provider_reaches_a_host() -> None:
    program = [
        *sorted((ROOT / "components").glob("*.py")),
        ROOT / "program.py",
        *sorted((ROOT / "ops").rglob("*host*.py")),
    ]
    assert not [name for name, text in EVERYTHING.items() if re.search("DIGITALOCEAN_|api.digitalocean", text)]
    assert not [
        str(path) for path in program if re.search(r"stdin.*DIGITALOCEAN_TOKEN", path.read_text(encoding="utf-8"))
    ]


def test_bug_49_paths_are_absolute() -> None:
    assert not [name for name, text in SHELL.items() if re.search(r"[\"'= ]~/", _code(text))]
    for name in ("cron", "logrotate"):
        assert "~" not in (HOST / name).read_text(encoding="utf-8")


def test_bug_50_psql_stops_at_the_first_error() -> None:
    assert "--set=ON_ERROR_STOP=1" in PYTHON["postgres.py"]
    started = {name for name, text in PYTHON.items() if re.search(r"[\"']psql[\"']", text)}
    assert started <= {"postgres.py", "preflight.py"}, "psql is started past the one place that makes it stop"


def test_bug_55_nothing_sleeps_for_readiness() -> None:
    assert not [name for name, text in SHELL.items() if re.search(r"\bsleep (?:[1-9]\d|[6-9])\b", _code(text))]
    assert "--wait" in PYTHON["application.py"]


def test_bug_57_compose_is_the_plugin() -> None:
    assert not [
        name for name, text in EVERYTHING.items() if re.search(r"\bdocker-compose (?!v2|plugin)\w", _code(text))
    ]
    assert "docker compose version" in SHELL["prepare"]


def test_bug_63_everything_is_in_utc() -> None:
    assert "TZ=UTC" in COMMON
    assert "set-timezone UTC" in SHELL["prepare"]
    assert not [
        name for name, text in PYTHON.items() if re.search(r"datetime\.now\(\)|utcnow|fromtimestamp\([^,)]*\)", text)
    ]
