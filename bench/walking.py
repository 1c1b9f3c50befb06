"""What the walking skeleton costs, measured on the running local cloud: `make bench`.

    python -m bench.walking [--local DIR] [--page docs/reference/performance.md]

Every figure that depends on the machine is a ratio whose two sides were measured in this run; the few absolute ones
(a boot, a second `make up`, memory) are limits that a person feels, printed with the machine they were measured on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from bench.report import Figure, machine, table, write_section
from toolchain.environment import complete_environment
from toolchain.layout import ENGINE, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 3


def seconds(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def run(command: list[str], environment: dict[str, str], cwd: Path = REPOSITORY) -> str:
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def second_up(environment: dict[str, str]) -> Figure:
    """`make up` with nothing to change; the engine's own summary must say so."""
    took = seconds(lambda: run(["make", "up"], environment))
    run(["pulumi", "preview", "--stack", "local", "--expect-no-changes"], environment)
    return Figure("a second `make up`", took, "s", 20, "`time make up`")


def flat_resources(environment: dict[str, str]) -> list[dict[str, Any]]:
    """The inputs of every resource in the deployed stack that a provider manages."""
    exported = json.loads(run(["pulumi", "stack", "export", "--stack", "local"], environment))
    return [
        {"type": entry["type"], "name": entry["urn"].split("::")[-1], "inputs": _plain(entry.get("inputs", {}))}
        for entry in exported["deployment"]["resources"]
        if entry.get("custom") and not entry["type"].startswith("pulumi:")
    ]


def _plain(value: Any) -> Any:
    """Inputs without the engine's envelopes: a secret becomes a word, an asset is left to the flat program."""
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value:
            return "secret"
        return {key: _plain(item) for key, item in value.items() if key != "__defaults"}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def preview_ratio(environment: dict[str, str], scratch: Path) -> Figure:
    """Preview of a first deployment: this program against the same resources declared flat, in turns."""
    flat = scratch / "flat"
    shutil.copytree(REPOSITORY / "bench/flat", flat)
    (scratch / "resources.json").write_text(json.dumps(flat_resources(environment)))
    both = {**environment, "FLAT_RESOURCES": str(scratch / "resources.json"), "PULUMI_BACKEND_URL": f"file://{scratch}"}
    project = scratch / "project"
    shutil.copytree(Path(environment["TTS_PROJECT_DIR"]), project)
    built = ENGINE / "pulumi"
    engine = str(built) if built.exists() else "pulumi"
    commands = {
        name: [engine, "-C", str(folder), "preview", "--stack", stack, "--non-interactive"]
        for name, folder, stack in (("program", project, "local"), ("flat", flat, "flat"))
    }
    for name, folder, stack in (("program", project, "local"), ("flat", flat, "flat")):
        run([engine, "-C", str(folder), "stack", "init", stack], both)
        run(commands[name], both)
    times = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            times[name].append(seconds(lambda command=command: run(command, both)))
    ratio = statistics.median(times["program"]) / statistics.median(times["flat"])
    return Figure("`pulumi preview`, program ÷ flat", ratio, "x", 1.5, f"medians of {ROUNDS}, in turns")


def memory(environment: dict[str, str]) -> Figure:
    """Memory of what the rung `single` keeps running: droplets' cgroups without page cache, and the daemon."""
    cloud = json.loads((Path(environment["TTS_LOCAL_DIR"]) / "cloud/cloud.json").read_text())
    daemon = _resident(int(cloud["pid"]))
    listed = run(["docker", "ps", "-q", "--no-trunc", "--filter", f"network={_public_network(cloud)}"], environment)
    droplets = sum(_cgroup_bytes(container) for container in listed.split())
    return Figure("memory of the rung `single`", (daemon + droplets) / 2**30, "GiB", 4, "cgroups' rss + daemon's rss")


def _public_network(cloud: dict[str, Any]) -> str:
    networks = run(["docker", "network", "ls", "--format", "{{.Name}}"], dict(os.environ)).split()
    for network in networks:
        described = json.loads(run(["docker", "network", "inspect", network], dict(os.environ)))[0]
        if cloud["subnet"] in [entry["Subnet"] for entry in described["IPAM"]["Config"] or []]:
            return network
    raise SystemExit(f"no Docker network has the subnet {cloud['subnet']}: is the local cloud up?")


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def _cgroup_bytes(container: str) -> int:
    v1 = Path(f"/sys/fs/cgroup/memory/docker/{container}/memory.stat")
    if v1.exists():
        return _field(v1, "total_rss")
    return _field(Path(f"/sys/fs/cgroup/system.slice/docker-{container}.scope/memory.stat"), "anon")


def _field(path: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name} "))


def droplet_boot(environment: dict[str, str], scratch: Path) -> Figure:
    """From the POST of a droplet to an SSH login that finds cloud-init done."""
    key = scratch / "key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], environment)
    api = Api(environment)
    ssh_key = api("POST", "/v2/account/keys", {"name": "bench", "public_key": (scratch / "key.pub").read_text()})[
        "ssh_key"
    ]["id"]
    body = {
        "name": "bench",
        "region": "fra1",
        "size": "s-1vcpu-1gb",
        "image": "ubuntu-24-04-x64",
        "ssh_keys": [ssh_key],
    }
    start = time.monotonic()
    droplet = api("POST", "/v2/droplets", body)["droplet"]["id"]
    try:
        took = _wait_for_login(api, droplet, key, environment) - start
    finally:
        api("DELETE", f"/v2/droplets/{droplet}")
        api("DELETE", f"/v2/account/keys/{ssh_key}")
    return Figure("a droplet is up", took, "s", 15, "POST to `cloud-init status --wait` over SSH")


def _wait_for_login(api: Api, droplet: int, key: Path, environment: dict[str, str]) -> float:
    """The moment of the first login that finds cloud-init done. The host is new, so its key cannot be known."""
    options = ["BatchMode=yes", "ConnectTimeout=1", "StrictHostKeyChecking=no", f"UserKnownHostsFile={key}.hosts"]
    login = ["ssh", "-i", str(key), *(word for option in options for word in ("-o", option))]
    end = time.monotonic() + 120
    while time.monotonic() < end:
        addresses = api("GET", f"/v2/droplets/{droplet}")["droplet"]["networks"].get("v4", [])
        for address in (entry["ip_address"] for entry in addresses if entry["type"] == "public"):
            command = [*login, f"root@{address}", "cloud-init", "status", "--wait"]
            if subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0:
                return time.monotonic()
        time.sleep(0.1)
    raise SystemExit("the droplet did not come up in two minutes")


class Api:
    """The local cloud's API, called as DigitalOcean's."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._base = environment["DIGITALOCEAN_API_URL"].rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {environment['DIGITALOCEAN_TOKEN']}"

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._session.request(method, self._base + path, json=body, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--local", type=Path, default=REPOSITORY / ".local")
    parser.add_argument("--page", type=Path, default=REPOSITORY / "docs/reference/performance.md")
    words = parser.parse_args()
    environment = complete_environment(Layout(words.local.absolute()))
    with tempfile.TemporaryDirectory() as scratch:
        figures = [
            second_up(environment),
            preview_ratio(environment, Path(scratch)),
            droplet_boot(environment, Path(scratch)),
            memory(environment),
        ]
    write_section(
        words.page, "walking skeleton", "The walking skeleton", f"`make bench`, on {machine()}.\n\n{table(figures)}"
    )
    print("\n".join(figure.row for figure in figures))


if __name__ == "__main__":
    main()
