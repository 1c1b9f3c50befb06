"""A droplet's own script for its network: what happens when a boot and a change meet."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "localcloud/droplet/files/usr/local/lib/localcloud/network"
RESERVED = "198.18.0.200"
# `ip` keeps the reserved addresses in a file; the filter of the first run waits for a sign.
FAKES = {
    "ip": """case "$*" in
  "address add"*) echo "${3%/32}" >>"$HERE/reserved" ;;
  "address del"*) sed -i "/^${3%/32}$/d" "$HERE/reserved" ;;
  *"label eth0:rsv") sed 's|.*|1: eth0 inet &/32|' "$HERE/reserved" ;;
  *) echo '1: eth0 inet' ;;
esac""",
    "iptables-restore": """cat >/dev/null
if mkdir "$HERE/first" 2>/dev/null; then until [[ -e $HERE/go ]]; do sleep 0.02; done; fi""",
    "iptables": "",
    "arping": "",
    "openssl": "echo feed",
    "ln": "",
}


def test_the_address_that_came_while_it_booted_is_there_in_the_end(tmp_path: Path) -> None:
    state, programs = tmp_path / "state", tmp_path / "bin"
    for folder in (state, programs):
        folder.mkdir()
    for name, text in FAKES.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    for file in (state / "rules", state / "ca.crt", tmp_path / "reserved"):
        file.touch()
    script = tmp_path / "network"
    text = SCRIPT.read_text().replace("/var/lib/localcloud", str(state)).replace("/run/localcloud", f"{tmp_path}/lock")
    script.write_text(text.replace("  trust\n}", "}"))
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "HERE": str(tmp_path)}

    def run(reserved: str) -> subprocess.Popen[bytes]:
        (state / "network.env").write_text(f"PUBLIC=198.18.0.10\nPRIVATE=10.0.0.2\nRESERVED='{reserved}'\n")
        return subprocess.Popen(["bash", str(script)], env=environment)

    boot = run("")
    deadline = time.monotonic() + 20
    while not (tmp_path / "first").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    change = run(RESERVED)
    waiting = Path(f"/proc/{change.pid}/task/{change.pid}/children")
    while change.poll() is None and "flock" not in _commands(waiting):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (tmp_path / "go").touch()
    assert boot.wait(20) == change.wait(20) == 0
    assert (tmp_path / "reserved").read_text().split() == [RESERVED]


def _commands(children: Path) -> str:
    """The command lines of the processes of that list, as long as they are there."""
    try:
        return "".join(Path(f"/proc/{number}/cmdline").read_text() for number in children.read_text().split())
    except OSError:
        return ""
