"""What the machine itself must offer: room on the disk, certificates, packages of the distribution, a Docker engine."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from toolchain.console import FailureError, Log, capture
from toolchain.layout import Layout, cache_directory

MINIMUM_FREE_GB = 10.0
GB = 1_000_000_000
DOCKER_DIRECTORY = Path("/var/lib/docker")
DOCKER_START_SECONDS = 60
BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Arch
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora
)
# A command that is needed -> the package of Debian and Ubuntu that has it.
PACKAGES = {
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "ssh": "openssh-client",
    "shellcheck": "shellcheck",
    "shfmt": "shfmt",
    "postgres": "postgresql",
    "logrotate": "logrotate",
    "rclone": "rclone",
}
BESIDE = {"debootstrap": ["debian-archive-keyring"], "docker.io": ["iptables", "ca-certificates"]}
BEYOND_PATH = ("usr/sbin", "sbin", "usr/lib/postgresql/*/bin")  # where a plain user's PATH does not look
# Debian starts a server on port 5432 when the package is installed; the tests start their own, on ports of their own.
NO_SERVER = (Path("/etc/postgresql-common/createcluster.d/tts.conf"), "create_main_cluster = false\n")


def existing(path: Path) -> Path:
    """Give the path, or the nearest folder above it that exists."""
    return path if path.exists() else existing(path.parent)


def free_space(layout: Layout) -> str:
    """Raise FailureError where less than 10 GB is free: state, cache, Docker's own directory. Returns what to show."""
    minimum = float(os.environ.get("TTS_MIN_FREE_GB") or MINIMUM_FREE_GB)
    places = [layout.root, cache_directory(), Path(os.environ.get("TTS_DOCKER_DIRECTORY") or DOCKER_DIRECTORY)]
    free = {place: shutil.disk_usage(existing(place)).free / GB for place in places}
    tightest = min(places, key=lambda place: free[place])
    if free[tightest] < minimum:
        raise FailureError(
            f"{free[tightest]:.1f} GB is free under {tightest}, {minimum:g} GB is needed for tools, images and hosts.",
            "free some space (`docker system df` shows what Docker holds), or set XDG_CACHE_HOME and TTS_LOCAL_DIR "
            "to a bigger disk; TTS_MIN_FREE_GB changes the limit",
        )
    return f"{free[tightest]:.1f} GB free"


def certificates() -> Path | None:
    """Find the CA bundle that this machine trusts: a network may inspect TLS with an authority of its own."""
    named = os.environ.get("SSL_CERT_FILE")
    return next((path for path in ([Path(named)] if named else []) + list(BUNDLES) if path.is_file()), None)


def is_root() -> bool:
    return os.geteuid() == 0


def missing(commands: Iterable[str]) -> list[str]:
    """Give those commands that are not there, looking also where a plain user's PATH does not."""
    beyond = [str(directory) for pattern in BEYOND_PATH for directory in Path("/").glob(pattern)]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *beyond])
    return [command for command in commands if not shutil.which(command, path=path)]


def install_packages(packages: list[str], log: Log) -> None:
    """Install packages of the distribution, as root; else say what root must type."""
    packages = packages + [extra for package in packages for extra in BESIDE.get(package, [])]
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    fix = f"as root: apt-get update && {' '.join(command)}"
    if not is_root() or not shutil.which("apt-get"):
        raise FailureError(f"Missing on this machine: {', '.join(packages)}.", fix)
    if PACKAGES["postgres"] in packages:
        path, text = NO_SERVER
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        log.run(command, env=env, problem="")
    except FailureError:  # package lists may be absent or old; a foreign list that cannot be read is no obstacle
        capture(["apt-get", "update"], env=env, timeout=300)
        log.run(command, env=env, problem=f"{', '.join(packages)} could not be installed.", fix=fix)


def docker_answers() -> str | None:
    """Give the version of the Docker engine that answers, or None."""
    return capture(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20) or None


def why_docker_is_silent() -> FailureError:
    """Say why the engine does not answer a user who is not root."""
    user = os.environ.get("USER") or str(os.geteuid())
    if missing(["docker"]):
        return FailureError("Docker is not installed.", f"as root: apt-get install docker.io && adduser {user} docker")
    said = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False).stderr
    if "permission denied" in said:
        return FailureError(
            f"Docker runs, but {user} may not use it.", f"as root: adduser {user} docker; then log in again"
        )
    return FailureError("The Docker daemon is not running.", "as root: systemctl start docker")


def start_docker(log: Log) -> str:
    """Install the engine if it is not there, start it and wait until it answers; as root. Returns its version."""
    if not is_root():
        raise why_docker_is_silent()
    if missing(["dockerd", "docker"]):
        install_packages([PACKAGES["dockerd"]], log)
    if docker_answers() is None:
        start_engine(log)
    fix = "look at the log; `dockerd` in a shell shows more"
    deadline = time.monotonic() + DOCKER_START_SECONDS
    while time.monotonic() < deadline:
        if version := docker_answers():
            return version
        time.sleep(0.5)
    raise FailureError(f"The Docker engine did not answer within {DOCKER_START_SECONDS} s.", fix, log.path)


def start_engine(log: Log) -> None:
    """Start the engine by the init system, else as a process of its own that outlives this one (/run/docker.pid)."""
    if Path("/run/systemd/system").is_dir():
        log.run(["systemctl", "start", "docker"], problem="The Docker engine could not be started.")
        return
    with log.path.open("a") as output:
        command = ["setsid", "--fork", "dockerd"]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True)
