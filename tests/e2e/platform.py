"""One deployed platform on a local cloud of its own, as its operator sees it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from msgspec import convert

from bench.site import Site
from ops.remote import connect
from ops.stack import Host
from tests.e2e.contents import Contents, Fingerprint
from tests.e2e.waiting import wait_for
from toolchain.environment import local_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REPOSITORY = Path(__file__).parents[2]
COMPOSE = "docker compose -p tts-docker --env-file /etc/tts/app.env -f /srv/app/compose.yaml"
SERVICES_WITH_A_DATABASE = ("auth", "ticket", "workflow-api", "messaging", "notification")


_AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Platform(Contents):
    """The stack `stack` on the local cloud below `local`."""

    local: Path
    stack: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **local_environment(self.local), "TTS_STACK": self.stack, "COLUMNS": "120"}

    # --- the operator's two commands -------------------------------------------------------------

    def tts(self, *words: str, stdin: str | None = None) -> str:
        return self._run([str(self.local / "bin/tts"), *words], stdin)

    def tts_json(self, *words: str) -> Any:
        return json.loads(self.tts(*words, "--json"))

    def pulumi(self, *words: str) -> str:
        return self._run(self._pulumi_command(words))

    def pulumi_fails(self, *words: str) -> str:
        """Everything that a failing command printed, on either stream."""
        result = self._execute(self._pulumi_command(words))
        assert result.returncode != 0, f"pulumi {shlex.join(words)} was expected to fail\n{result.stdout}"
        return result.stdout + result.stderr

    def _pulumi_command(self, words: tuple[str, ...]) -> list[str]:
        return [str(self.local / "bin/pulumi"), *words, "--stack", self.stack, "--non-interactive"]

    def _run(self, command: list[str], stdin: str | None = None) -> str:
        result = self._execute(command, stdin)
        assert result.returncode == 0, (
            f"{shlex.join(command)} exited {result.returncode}\n{result.stdout[-6000:]}\n{result.stderr[-6000:]}"
        )
        return result.stdout

    def _execute(self, command: list[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=REPOSITORY,
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
        )

    # --- what Pulumi knows -----------------------------------------------------------------------

    def outputs(self) -> dict[str, Any]:
        return json.loads(self.pulumi("stack", "output", "--json"))

    def exported(self) -> str:
        return self.pulumi("stack", "export")

    def resources(self) -> set[str]:
        """The URN of every resource in the state. Inputs are no measure: secrets are encrypted anew each time."""
        return {entry["urn"] for entry in json.loads(self.exported())["deployment"]["resources"]}

    def secrets(self) -> dict[str, str]:
        """Every secret value of the stack's configuration and state, by name; parts of multi-line ones by line."""
        config = json.loads(self.pulumi("config", "--json", "--show-secrets"))
        named = {key: entry.get("value", "") for key, entry in config.items() if entry.get("secret")}
        state = json.loads(self.pulumi("stack", "export", "--show-secrets"))
        for resource in state["deployment"]["resources"]:
            if resource["type"] in ("aws:iam/accessKey:AccessKey", "digitalocean:index/spacesKey:SpacesKey"):
                outputs = resource["outputs"]
                secret = outputs.get("secret") or outputs.get("secretKey")
                named[resource["urn"]] = json.loads(secret["plaintext"]) if isinstance(secret, dict) else secret
        return dict(_searchable(named))

    # --- the host --------------------------------------------------------------------------------

    def host(self, name: str, command: str, stdin: str | None = None) -> str:
        """Run a command as `tts ssh NAME --` does, with its key and pinned host key, but without asking the engine.

        Where the hosts are stands in the state's file; the key is the same for the life of the stack.
        """
        file = self.local / f"state/.pulumi/stacks/tts/{self.stack}.json"
        outputs = json.loads(file.read_text())["checkpoint"]["latest"]["resources"][0]["outputs"]
        (host,) = (convert(each, Host) for each in outputs["hosts"] if each["name"] == name)
        key = _ssh_key(self)
        with connect(outputs["sshUser"], key, outputs["hostPublicKey"], [host]) as remote:
            done = remote.run(host, ["bash", "-c", command], stdin=stdin or "", timeout=1800)
        assert done.code == 0, f"{name}: {command} exited {done.code}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    def wait_until_healthy(self) -> None:
        def sick() -> list[str]:
            status = json.loads(self._execute([str(self.local / "bin/tts"), "status", "--json"]).stdout)
            return [service["name"] for service in status["services"] if not service["healthy"]] or (
                [] if status["services"] else ["no service is reported"]
            )

        wait_for(lambda: not sick(), "every service to be healthy", seconds=180)

    def broker_users(self) -> list[str]:
        listed = self.host("web-1", "docker exec tts-rabbitmq rabbitmqctl --quiet --no-table-headers list_users")
        return [line.split()[0] for line in listed.splitlines()]

    def get(self, path: str) -> str:
        url = self.outputs()["url"].rstrip("/") + path
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()

    def site(self) -> Site:
        """The application as the world finds it, with or without a name."""
        about = json.loads((self.local / "cloud/cloud.json").read_text())
        host = self.outputs()["url"].split("//")[1].strip("/")
        named = not host.replace(".", "").isdigit()
        authority = str(self.local / "cloud/web-ca.crt")
        return Site(host, about["gateway"] if named else "", authority, timeout=5)

    # --- content ---------------------------------------------------------------------------------

    def seed(self, tickets: int) -> None:
        """The same tickets, users, messages, workflow steps and notifications each time, in all five databases."""
        for service in SERVICES_WITH_A_DATABASE:
            self.host("web-1", f"docker exec tts-{service} python manage.py seed --tickets {tickets} --seed 42")

    def in_each_database(self, statements: Mapping[str, str]) -> None:
        for database, statement in statements.items():
            self.psql(statement, database)

    def settled(self) -> Fingerprint:
        """The fingerprint once the workers have nothing left to do: two readings in a row that are equal."""
        readings = [self.fingerprint()]

        def unchanged() -> bool:
            readings.append(self.fingerprint())
            return readings[-1] == readings[-2]

        wait_for(unchanged, "the workers to finish", seconds=120, pause=3)
        return readings[-1]

    # --- damage ----------------------------------------------------------------------------------

    def lose_the_media(self) -> None:
        self.host("web-1", "docker exec tts-ticket find /app/media -mindepth 1 -type f -delete")

    def lose_the_postgres_volume(self) -> None:
        """As after a lost disk: the container and its volume are gone; Compose starts an empty server."""
        mounts = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
        volumes = self.host("web-1", f"docker inspect tts-postgres --format '{mounts}'").strip()
        self.host("web-1", f"docker rm -f tts-postgres && docker volume rm {volumes}")
        self.host("web-1", f"{COMPOSE} up -d --wait postgres")

    def delete_droplet(self, droplet: str) -> None:
        """The host and its disk are gone, without a word to Pulumi."""
        self.api("DELETE", f"/v2/droplets/{droplet}")
        wait_for(lambda: not self._is_there(droplet), "the droplet to be gone")

    def _is_there(self, droplet: str) -> bool:
        try:
            self.api("GET", f"/v2/droplets/{droplet}")
        except urllib.error.HTTPError as missing:
            with missing:
                return missing.code != 404
        return True

    def power_cycle(self, host: str) -> None:
        """Power off without a shutdown, and on again, by the API as the console would."""
        self.power(host, "power_off", "off")
        self.power(host, "power_on", "active")

    def droplet(self, host: str) -> dict[str, Any]:
        """The droplet as the provider's API shows it."""
        number = next(entry for entry in self.outputs()["hosts"] if entry["name"] == host)["dropletId"]
        return self.api("GET", f"/v2/droplets/{number}")["droplet"]

    def actions(self, word: str) -> int:
        """How many actions of a type the provider has completed."""
        done = self.api("GET", "/v2/actions?per_page=200")["actions"]
        return sum(each["type"] == word and each["status"] == "completed" for each in done)

    def snapshots(self) -> list[str]:
        """Names of the snapshots of droplets."""
        return [each["name"] for each in self.api("GET", "/v2/snapshots?resource_type=droplet")["snapshots"]]

    def next_action_fails(self, word: str) -> None:
        """The provider's next action of that type ends as errored."""
        self.api("POST", "/_localcloud/faults", {"action": word, "times": 1})

    def kill_the_engine_when(self, moment: Callable[[], bool], what: str, *words: str) -> None:
        """Run `pulumi`, send the engine SIGKILL as soon as `moment` holds, and take the lock away that it leaves."""
        self._spoil(self._pulumi_command(words), moment, what)
        self.pulumi("cancel", "--yes")

    def interrupt_when(self, moment: Callable[[], bool], what: str, damage: Callable[[], object], *words: str) -> None:
        """Run `pulumi`, do the damage as soon as `moment` holds, and see the command fail of it."""
        self._spoil(self._pulumi_command(words), moment, what, damage)

    def kill_tts_when(self, moment: Callable[[], bool], what: str, *words: str) -> None:
        """Run `tts`, and send it SIGKILL as soon as `moment` holds."""
        self._spoil([str(self.local / "bin/tts"), *words], moment, what)

    def _spoil(
        self, command: list[str], moment: Callable[[], bool], what: str, damage: Callable[[], object] | None = None
    ) -> None:
        """Without a damage to something else, the command itself is killed."""
        with tempfile.TemporaryFile() as said:
            nowhere = subprocess.DEVNULL
            with subprocess.Popen(
                command, env=self.environment, cwd=REPOSITORY, stdin=nowhere, stdout=said, stderr=said
            ) as running:
                try:
                    wait_for(lambda: running.poll() is not None or moment(), what, seconds=600, pause=0.2)
                    if running.poll() is not None:
                        said.seek(0)
                        raise AssertionError(f"it ended before: {what}\n{said.read().decode()[-6000:]}")
                    (damage or running.kill)()
                    assert running.wait(300) != 0, f"nobody noticed what happened during: {what}"
                finally:
                    running.kill()

    def power(self, host: str, action: str, status: str) -> None:
        """One action of the provider on a host, and what its status is then."""
        droplet = next(entry for entry in self.outputs()["hosts"] if entry["name"] == host)["dropletId"]
        self.api("POST", f"/v2/droplets/{droplet}/actions", {"type": action})
        wait_for(
            lambda: self.api("GET", f"/v2/droplets/{droplet}")["droplet"]["status"] == status,
            f"the droplet to be {status}",
        )

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        environment = self.environment
        request = urllib.request.Request(
            environment["DIGITALOCEAN_API_URL"].rstrip("/") + path,
            method=method,
            data=json.dumps(body).encode() if body else None,
            headers={
                "Authorization": f"Bearer {environment['DIGITALOCEAN_TOKEN']}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")

    @contextmanager
    def broken_docker(self, host: str) -> Iterator[None]:
        """A host whose Docker client cannot be run, as after a broken upgrade."""
        client = self.host(host, "command -v docker").strip()
        self.host(host, f"chmod a-x {client}")
        try:
            yield
        finally:
            self.host(host, f"chmod a+x {client}")

    def kill_the_cloud(self) -> None:
        """SIGKILL: the daemon has no chance to save anything."""
        pid = int(json.loads((self.local / "cloud/cloud.json").read_text())["pid"])
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), "the daemon to be gone")

    def start_the_cloud(self) -> None:
        self._run([sys.executable, "-m", "toolchain.local", "up", "--stack", self.stack])

    # --- the places of secrets -------------------------------------------------------------------

    def places_where_a_secret_must_not_be(self) -> dict[str, str]:
        places = {"state": self.exported(), "outputs": self.pulumi("stack", "output", "--json")}
        for log in sorted((self.local / "logs").glob("*.log")):
            places[log.name] = log.read_text(errors="replace")
        places["daemon log"] = "".join(log.read_text(errors="replace") for log in (self.local / "cloud").glob("*.log"))
        for name, command in (
            ("process list", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
            ("cron files", "cat /etc/cron.d/*"),
            ("host logs", "cat /var/log/tts/*.log"),
            ("journal", "journalctl --no-pager -q"),
            ("scripts", "cat /usr/local/lib/tts/* /usr/local/lib/tts/*/* 2>/dev/null || true"),
        ):
            places[name] = self.host("web-1", command)
            assert places[name], f"{name} is empty: the search would prove nothing"
        return places

    # --- buckets ---------------------------------------------------------------------------------

    def s3(self, account: str) -> Any:
        environment = self.environment
        prefix = _AWS_KEYS
        if account == "spaces":
            prefix = ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY")
        return boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=environment[prefix[0]],
            aws_secret_access_key=environment[prefix[1]],
        )

    def restic_snapshots(self, offsite: dict[str, str]) -> list[dict[str, Any]]:
        """What plain restic, with nothing of this project, lists in an off-site repository."""
        environment, account = self.environment, offsite["name"]
        keys = ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY") if account == "spaces" else _AWS_KEYS
        path = offsite["repository"].split("://", 1)[1].split("/", 1)[1]
        environment |= {
            "AWS_ACCESS_KEY_ID": environment[keys[0]],
            "AWS_SECRET_ACCESS_KEY": environment[keys[1]],
            "RESTIC_PASSWORD": self.pulumi("config", "get", "backupPassphrase").strip(),
        }
        command = [str(self.local / "bin/restic"), "-r", f"s3:{environment['AWS_ENDPOINT_URL']}/{path}", "--no-lock"]
        command += ["-o", "s3.bucket-lookup=path", "snapshots", "--json"]
        listed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(listed.stdout)

    def buckets(self) -> set[str]:
        return {
            bucket["Name"] for account in ("aws", "spaces") for bucket in self.s3(account).list_buckets()["Buckets"]
        }


@lru_cache
def _ssh_key(platform: Platform) -> str:
    return platform.pulumi("config", "get", "sshPrivateKey")


def _searchable(named: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Long enough pieces to be found only where they do not belong; armour lines of keys are not secret."""
    for name, value in named.items():
        pieces = list(json.loads(value).values()) if value.startswith("{") else value.splitlines()
        for number, piece in enumerate(pieces):
            if len(piece) >= 12 and not piece.startswith("-----"):
                yield f"{name}#{number}", piece


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
