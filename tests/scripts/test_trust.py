"""`trust`: certificates where containers find them, and nothing else anywhere."""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from localcloud import tls

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/host/trust"
FILE = "/etc/tts/database-ca.crt"


def trust(root: Path, stdin: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT)],
        input=stdin if isinstance(stdin, str) else json.dumps(stdin),
        env={"PATH": "/usr/bin:/bin", "DESTDIR": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> str:
    certificate, *_ = tls.ensure(tmp_path_factory.mktemp("tls"), IPv4Address("127.0.0.1"))
    return certificate.read_text(encoding="ascii")


def test_the_file_is_readable_for_containers_and_written_once(tmp_path: Path, authority: str) -> None:
    done = trust(tmp_path, {"path": FILE, "certificates": authority})
    target = tmp_path / FILE[1:]
    assert done.returncode == 0, done.stderr
    assert target.read_text(encoding="ascii") == authority
    assert target.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    before = target.stat().st_ino
    assert "unchanged" in trust(tmp_path, {"path": FILE, "certificates": authority}).stderr
    assert target.stat().st_ino == before


@pytest.mark.parametrize(
    "wrong",
    [
        "no JSON",
        {"path": FILE},
        {"path": FILE, "certificates": ""},
        {"path": FILE, "certificates": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {"path": "/etc/cron.d/x", "certificates": "AUTHORITY"},
        {"path": "/etc/tts/../cron.d/x", "certificates": "AUTHORITY"},
    ],
)
def test_wrong_input_changes_nothing(wrong: object, tmp_path: Path, authority: str) -> None:
    if isinstance(wrong, dict) and wrong.get("certificates") == "AUTHORITY":
        wrong = {**wrong, "certificates": authority}
    done = trust(tmp_path, wrong)
    assert done.returncode == 78
    assert "Nothing was changed" in done.stderr
    assert list(tmp_path.rglob("*.crt")) == []
