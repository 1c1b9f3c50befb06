"""A platform of many hosts: what the upper rungs are made of, and what can happen to it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from localcloud.servers import PORT, SOCKET
from ops.errors import OpsError
from tests.e2e.platform import REPOSITORY, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator


# The steps of a move as far as it can be taken back: scripts/host/lib/tts_host/move_journal.py.
MOVE = ("checking", "copying", "closing", "closed", "drained", "stopped", "copied", "switching")


class Fleet(Platform):
    """The same platform, asked and hurt as a whole."""

    # --- what there is ---------------------------------------------------------------------------

    def protected(self) -> set[str]:
        """URNs of what the engine refuses to delete."""
        resources = json.loads(self.exported())["deployment"]["resources"]
        return {each["urn"] for each in resources if each.get("protect")}

    def clusters(self) -> list[dict[str, Any]]:
        """The managed databases of the account."""
        return self.api("GET", "/v2/databases")["databases"]

    def owns_record(self) -> bool:
        """Whether the state has the record of the domain."""
        resources = json.loads(self.exported())["deployment"]["resources"]
        return any(each["type"] == "digitalocean:index/dnsRecord:DnsRecord" for each in resources)

    def steps(self, work: str) -> list[str]:
        """Which steps of the operator's long work have begun."""
        file = self.local / f"journal/{work}.json"
        return [step["name"] for step in json.loads(file.read_bytes())["steps"]] if file.exists() else []

    def containers(self, host: str) -> list[str]:
        return self.host(host, "docker ps --format '{{.Names}}'").split()

    def volumes(self, host: str) -> str:
        return self.host(host, "docker volume ls --format '{{.Name}}'")

    def open_to_the_world(self, address: str, port: int) -> bool:
        """Whether this machine, which is neither the balancer nor in the VPC, can connect."""
        try:
            socket.create_connection((address, port), 3).close()
        except OSError:
            return False
        return True

    def serves(self, host: str) -> bool:
        """Whether the readers' requests reached a host in the last seconds."""
        return '"GET /index.html"' in self.host(host, "docker logs --since 10s tts-nginx 2>&1")

    def primary(self) -> str:
        """The container of the database node that takes writes; empty while there is none."""
        (cluster,) = self.clusters()
        listed = _docker("ps", "--format", "{{.Names}}", "--filter", f"name=database-{cluster['id']}-").split()
        ask = ("psql", "-h", SOCKET, "-p", str(PORT), "-U", "postgres", "-AtXc", "SELECT pg_is_in_recovery()")
        return next((name for name in listed if _docker("exec", name, *ask).strip() == "f"), "")

    # --- what happens to it ----------------------------------------------------------------------

    def make_zone(self, name: str) -> None:
        """A zone in the account, which is not the program's."""
        if name not in [each["name"] for each in self.api("GET", "/v2/domains")["domains"]]:
            self.api("POST", "/v2/domains", {"name": name})

    def kill_the_primary(self) -> str:
        """Its power is cut, to say it of a droplet."""
        name = self.primary()
        assert name, "no node takes writes"
        _docker("kill", name)
        return name

    def remove_strays(self) -> None:
        """Delete what a killed engine has left at the provider and the stack does not know: docs/how-to/climb.md."""
        resources = json.loads(self.exported())["deployment"]["resources"]
        known = {str(each.get("id")) for each in resources}
        for kind in ("databases", "droplets", "load_balancers"):
            for each in self.api("GET", f"/v2/{kind}")[kind]:
                if str(each["id"]) not in known:
                    self.api("DELETE", f"/v2/{kind}/{each['id']}")
        self.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates")

    def moves(self, past: str = "checking") -> bool:
        """Whether web-1 moves its state, and comes past that step within seconds. The host itself waits for it: a step
        lasts less long than a connection takes on a busy machine.
        """
        steps = "|".join(MOVE[MOVE.index(past) + 1 :])
        look = f"""grep -Eqs '"step": "({steps})"' /var/lib/tts/state/move.json"""
        try:
            self.host("web-1", f"for n in {{1..100}}; do {look} && exit 0; sleep 0.05; done; exit 1")
        except (OpsError, AssertionError):
            return False  # not yet, or it boots
        return True

    def cut_the_installation(self) -> None:
        """The SSH session dies in which the deployment installs the application on web-1."""
        up = "pid=$(awk '/^PPid/ {print $2}' /proc/$pid/status)"
        self.host(
            "web-1",
            f"pid=$(pgrep -o -f '[t]ts_host.install_app'); until grep -qx sshd /proc/$pid/comm; do {up}; done; "
            "kill -9 $pid",
        )

    @contextmanager
    def another_release(self) -> Iterator[None]:
        """The stack deploys a copy of the application in which every Django service starts with other settings."""
        file = self.local / "project" / f"Pulumi.{self.stack}.yaml"
        before = file.read_text()
        defaults = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]["app"]["default"]
        with tempfile.TemporaryDirectory(prefix="tts-release-") as name:
            copy = Path(name) / "tickets"
            shutil.copytree(REPOSITORY / defaults["path"], copy)
            compose = copy / defaults["composeFile"]
            changed = compose.read_text().replace("WEB_THREADS:-6", "WEB_THREADS:-5")
            assert changed != compose.read_text()
            compose.write_text(changed)
            document = yaml.safe_load(before)
            document["config"]["tts:app"] = {**defaults, "path": str(copy)}
            file.write_text(yaml.safe_dump(document, sort_keys=False))
            try:
                yield
            finally:
                document = yaml.safe_load(file.read_text())
                del document["config"]["tts:app"]
                file.write_text(yaml.safe_dump(document, sort_keys=False))


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    return done.stdout
