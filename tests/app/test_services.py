"""Runs the example's own Django tests, service by service, on SQLite: a service is chosen for a whole process."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "examples" / "tickets" / "src"
SERVICES = {
    "auth": "accounts",
    "ticket": "ticketing",
    "workflow": "workflow",
    "messaging": "messaging",
    "notification": "notification",
}


def manage(service: str, media: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"SECRET_KEY": "for-tests", "SERVICE": service, "DATABASE_URL": "sqlite://:memory:"}
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *arguments],
        cwd=SOURCE,
        env=os.environ | variables | {"MEDIA_ROOT": str(media), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("service", "app"), SERVICES.items())
def test_a_service_passes_its_own_tests(service: str, app: str, tmp_path: Path) -> None:
    done = manage(service, tmp_path, "test", app, "config")
    assert done.returncode == 0, done.stderr
    ran = re.search(r"Ran (\d+) tests", done.stderr)
    assert ran is not None
    assert int(ran[1]) > 12, "a service's tests were not found"
    assert "skipped" not in done.stderr


def test_all_services_begin_a_seed_with_the_same_tickets(tmp_path: Path) -> None:
    """The databases refer to each other by ticket; without this a restored set could not be seen to fit together."""
    program = "from config.seeding import ticket_id; print([str(ticket_id(7, n)) for n in range(3)])"
    answers = {manage(service, tmp_path, "shell", "--verbosity", "0", "-c", program).stdout for service in SERVICES}
    assert len(answers) == 1
    assert answers.pop().count("-") == 12


@pytest.mark.parametrize("service", ["", "tickets"])
def test_a_wrong_service_is_refused_with_the_ones_there_are(service: str, tmp_path: Path) -> None:
    done = manage(service, tmp_path, "check")
    assert done.returncode != 0
    assert "SERVICE must be one of auth, ticket, workflow, messaging, notification" in done.stderr


def test_media_go_to_a_bucket_when_one_is_named(tmp_path: Path) -> None:
    program = "from django.core.files.storage import default_storage; print(default_storage.bucket_name)"
    done = manage("ticket", tmp_path, "shell", "--verbosity", "0", "-c", program, MEDIA_BUCKET="media-1")
    assert done.stdout.split()[-1:] == ["media-1"], done.stderr


def test_what_is_tested_is_what_the_image_installs() -> None:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (SOURCE / "requirements.txt").read_text(), re.MULTILINE))
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]
    tested = dict(entry.split("==") for entry in groups["example"])
    assert tested
    assert {name: pinned.get(name) for name in tested} == tested
