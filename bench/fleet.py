"""The stack that climbs, as its operator, its provider and its users see it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import requests

from bench.host import REPOSITORY, Host
from bench.onhost.content import DATABASES, HASH, TABLES
from bench.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

ZONE = "tickets.example"
PSQL = "psql -AtX -v ON_ERROR_STOP=1"
# The host's own jobs know where the databases are.
SQL = (
    f"if grep -q '^TTS_PG_MODE=managed$' /etc/tts/backup.env; then set -a; . /etc/tts/secrets/database; {PSQL} -d %s; "
    f"else docker exec -i tts-postgres {PSQL} -U postgres -d %s; fi"
)


@dataclass(frozen=True)
class Fleet:
    """One stack on a local cloud, with a name in a zone of its own, so that its entry can move under its users."""

    stack: str
    environment: dict[str, str]

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.environment['DIGITALOCEAN_TOKEN']}"
        return session

    def host(self, name: str = "web-1") -> Host:
        return Host(name, self.stack, self.environment)

    def pulumi(self, *words: str) -> str:
        command = ["pulumi", *words, "--stack", self.stack, "--non-interactive"]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done.stdout

    def climb(self, rung: str) -> None:
        self.pulumi("config", "set", "rung", rung)
        self.pulumi("up", "--yes", "--skip-preview")

    def name_it(self) -> None:
        """Give the application a name that its users look up."""
        if ZONE not in [each["name"] for each in self.api("GET", "/v2/domains")["domains"]]:
            self.api("POST", "/v2/domains", {"name": ZONE})
        self.pulumi("config", "set", "domain", ZONE)
        self.pulumi("config", "set", "dnsZone", ZONE)
        self.pulumi("up", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        return json.loads(self.pulumi("stack", "output", "--json"))

    def site(self) -> Site:
        """The application by its name, or by its address where it has none."""
        cloud = Path(self.environment["TTS_LOCAL_DIR"]) / "cloud"
        host = self.outputs()["url"].split("//")[1].strip("/")
        named = not host.replace(".", "").isdigit()
        gateway = json.loads((cloud / "cloud.json").read_text())["gateway"]
        return Site(host, gateway if named else "", str(cloud / "web-ca.crt"))

    # --- the provider ----------------------------------------------------------------------------

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._session.request(
            method, self.environment["DIGITALOCEAN_API_URL"].rstrip("/") + path, json=body, timeout=60
        )
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def droplet(self, name: str) -> dict[str, Any]:
        number = next(entry for entry in self.outputs()["hosts"] if entry["name"] == name)["dropletId"]
        return self.api("GET", f"/v2/droplets/{number}")["droplet"]

    def act(self, name: str, action: dict[str, Any], seconds: float = 300) -> None:
        """One action of the provider on a droplet, to its end."""
        number = self.droplet(name)["id"]
        begun = self.api("POST", f"/v2/droplets/{number}/actions", action)["action"]["id"]
        until(
            lambda: self.api("GET", f"/v2/actions/{begun}")["action"]["status"] != "in-progress", str(action), seconds
        )

    def resize_by_hand(self, size: str) -> None:
        """Power off, resize, power on: the provider's own three steps, without a care for what runs on the host."""
        self.act("web-1", {"type": "power_off"})
        self.act("web-1", {"type": "resize", "size": size, "disk": False})
        self.act("web-1", {"type": "power_on"})

    def primary(self) -> str:
        """The container of the database node that takes writes; empty while there is none."""
        (cluster,) = self.api("GET", "/v2/databases")["databases"]
        shown = ["docker", "ps", "--format", "{{.Names}}", "--filter", f"name=database-{cluster['id']}-"]
        ask = ["psql", "-h", "/run/postgresql", "-p", "25060", "-U", "postgres", "-AtXc", "SELECT pg_is_in_recovery()"]
        return next((name for name in _out(shown).split() if _out(["docker", "exec", name, *ask]).strip() == "f"), "")

    def kill(self, node: str) -> None:
        """A database node loses its power."""
        subprocess.run(["docker", "kill", node], stdout=subprocess.DEVNULL, check=True)

    # --- what is there ---------------------------------------------------------------------------

    def psql(self, sql: str, database: str) -> list[str]:
        """Run SQL wherever the databases are."""
        return self.host().run(SQL.replace("%s", database), sql.encode()).splitlines()

    def tickets(self) -> set[str]:
        return set(self.psql("SELECT id FROM ticketing_ticket", "ticket_db"))

    def rows(self) -> dict[str, Any]:
        """Rows and a hash of each table of the benchmark, as onhost/content.py says them of a database on the host."""
        return {
            f"{database}.{table}": json.loads("".join(self.psql(HASH.format(table=table), database)))
            for database in DATABASES
            for table in TABLES
        }

    def bucket_files(self) -> dict[str, Any]:
        """Number and a hash of all files in the media bucket, as onhost/content.py says them of a volume."""
        store = boto3.client(
            "s3",
            endpoint_url=self.environment["SPACES_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=self.environment["SPACES_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["SPACES_SECRET_ACCESS_KEY"],
        )
        bucket = self.outputs()["media"]["bucket"]
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = sorted((item["Key"] for page in pages for item in page.get("Contents", [])), key=Path)
        digest = hashlib.sha256()
        for key in keys:
            content = store.get_object(Bucket=bucket, Key=key)["Body"].read()
            digest.update(f"{key}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        return {"files": len(keys), "hash": digest.hexdigest()}


def until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Return as soon as the condition holds; the benchmark ends when it does not within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.5)


def _out(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
