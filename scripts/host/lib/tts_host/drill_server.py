"""A PostgreSQL server for one drill. It has no network, so nothing in a restored database can reach production.

A restored database may hold subscriptions, foreign servers, and functions that call out. The container is started with
no network but its own loopback; the programs of this machine run in a network namespace of their own. Where neither can
be had, there is no drill.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from tts_host import docker, placement
from tts_host.log import Failure, log
from tts_host.postgres import Server
from tts_host.process import end, run, start

if TYPE_CHECKING:
    from collections.abc import Generator

    from tts_host.config import Config

LABEL = "tts.drill"
READY_WITHIN_S = 90
PORT = "5432"
# Runs in any image that has PostgreSQL's server, whatever its entry point does; $1 is the superuser's name.
SCRIPT = """
set -e
bin=$(dirname "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
data=$(mktemp -d)
"$bin/initdb" --pgdata="$data" --username="$1" --auth=trust --encoding=UTF8 --no-sync >/dev/null
set -- -c listen_addresses= -c unix_socket_directories=/var/run/postgresql -c fsync=off -c jit=off
exec "$bin/postgres" -D "$data" "$@"
"""


@contextmanager
def throwaway(config: Config, manifest: dict[str, Any], kind: str | None, report: dict[str, Any]) -> Generator[Server]:
    """An empty server that ends with the block. `kind` None: a container where Docker has the image."""
    image = image_of(config, manifest)
    chosen = kind or ("container" if image and has_image(image) else "binaries")
    report["server"] = chosen
    log("info", throwaway_server=chosen, image=image if chosen == "container" else None)
    with KINDS[chosen](config, image) as server:
        wait_until_ready(server)
        yield server


def image_of(config: Config, manifest: dict[str, Any]) -> str | None:
    """The image of the live server when it runs in a container here, else the one that the backup came from, else the
    one that the application has for it where the database is outside.
    """
    if config.pg_mode == "container":
        with suppress(Failure):
            return docker.one_container(config.project, config.pg_service).image_id
    return manifest["server"].get("image") or placement.record(config).get("image")


def has_image(image: str) -> bool:
    if not shutil.which("docker"):
        return False
    return run(["docker", "image", "inspect", "--format", "{{.Id}}", image], timeout=60).code == 0


@contextmanager
def container(config: Config, image: str | None) -> Generator[Server]:
    """A container without a network, of an image that is here already."""
    if not image:
        raise Failure("the backup names no image: run tts-drill --server binaries")
    remove_leftovers()
    name = f"tts-drill-{token_hex(6)}"
    options = ["--detach", "--network", "none", "--pull", "never", "--label", f"{LABEL}=1", "--user", "postgres"]
    limits = ["--memory", "1g", "--pids-limit", "256", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    try:
        docker.docker(
            "run", *options, *limits, "--name", name, "--entrypoint", "sh", image, "-c", SCRIPT, "sh", config.pg_user,
            timeout=120,
        )  # fmt: skip
        refuse_a_way_out(name)
        prefix = ("docker", "exec", "--interactive", name)
        yield Server("container", prefix, config.pg_user)
    finally:
        run(["docker", "rm", "--force", "--volumes", name], timeout=120)


def refuse_a_way_out(name: str) -> None:
    """Believe what the kernel says inside, not what was asked for: no route may be there."""
    mode = json.loads(docker.docker("inspect", "--format", "{{json .HostConfig.NetworkMode}}", name))
    routes = docker.docker("exec", name, "cat", "/proc/net/route").splitlines()[1:]
    if mode != "none" or routes:
        raise Failure(
            f"the throwaway server could reach other machines (network {mode}, {len(routes)} routes): the drill was "
            "not begun"
        )


def remove_leftovers() -> None:
    """Containers of drills that were killed."""
    for name in docker.docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}=1").split():
        log("warning", warning=f"the container {name} of an unfinished drill is removed")
        docker.docker("rm", "--force", "--volumes", name)


@contextmanager
def binaries(config: Config, _image: str | None) -> Generator[Server]:
    """The programs of this machine, in a network namespace with nothing in it, on a socket in a private folder."""
    programs = find_programs()
    home = Path(tempfile.mkdtemp(prefix="tts-drill.", dir="/var/tmp"))
    data = home / "data"
    data.mkdir()
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(home, account.pw_uid, account.pw_gid)
        os.chown(data, account.pw_uid, account.pw_gid)
    process: subprocess.Popen[bytes] | None = None
    try:
        initdb = [str(programs / "initdb"), "-D", str(data), "-U", config.pg_user, "-A", "trust", "-E", "UTF8", "-N"]
        done = run(as_server_user(initdb), timeout=120, cwd="/")
        if done.code != 0:
            raise Failure(f"initdb ended with {done.code}: {done.words}")
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={home}", "-c", "fsync=off"]
        command = [*alone(), *as_server_user([str(programs / "postgres"), "-D", str(data), *options])]
        with open(home / "log", "wb") as words:
            process = start(command, stdin=subprocess.DEVNULL, stdout=words.fileno(), stderr=words)
        env = {"PGHOST": str(home), "PGPORT": PORT, "PATH": f"{programs}:{os.environ['PATH']}"}
        yield Server("host", (), config.pg_user, env=env)
    finally:
        if process:
            end(process)
        shutil.rmtree(home, ignore_errors=True)


def find_programs() -> Path:
    """The newest server programs of this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    there = shutil.which("postgres")
    if found or there:
        return found[-1].parent if found else Path(str(there)).parent
    raise Failure(
        "no throwaway server can be had: Docker has no image of the backup's server, and no PostgreSQL server programs "
        "are installed. Install one of the two (apt-get install postgresql)"
    )


def as_server_user(argv: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return argv
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--", *argv]


def alone() -> list[str]:
    """The command prefix that gives a process a network of its own, with no interface that is up."""
    prefix = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-current-user", "--net"]
    done = run([*prefix, "--", "cat", "/proc/net/route"], timeout=30)
    if done.code != 0 or len(done.out.splitlines()) > 1:
        raise Failure(
            "this machine gives no network namespace to a process, so the throwaway server could reach other machines: "
            "the drill was not begun. Use Docker, or run it as root"
        )
    return [*prefix, "--"]


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while (done := server.tool("pg_isready", "--quiet")).code != 0:
        if time.monotonic() > deadline:
            raise Failure(f"the throwaway server does not answer within {READY_WITHIN_S} s: {done.words}")
        time.sleep(0.2)


KINDS = {"container": container, "binaries": binaries}
