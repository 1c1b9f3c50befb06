"""The Python environment of the clone, made by uv from the lock file."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from toolchain.console import FailureError, Log, capture
from toolchain.layout import PYTHON, REPOSITORY, cache_directory
from toolchain.machine import certificates, install_packages
from toolchain.tools import parse_version

UV_MINIMUM = (0, 9, 0)  # reads this revision of uv.lock
UV_PACKAGE = REPOSITORY / "toolchain" / "requirements" / "uv.txt"
VENV = PYTHON.parent.parent
STAMP = VENV / ".made-from"


def fingerprint() -> str:
    """Give what an environment is made from: the lock, the project file and this Python."""
    parts = [(REPOSITORY / name).read_bytes() for name in ("uv.lock", "pyproject.toml")]
    return hashlib.sha256(b"".join(parts) + sys.version.encode()).hexdigest()


def is_current() -> bool:
    """Say whether the environment there is was made from the present lock file and its interpreter still exists."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == fingerprint()


def find_uv(log: Log) -> Path:
    """Give uv from PATH, else one of our own in the cache, installed by pip by checksum."""
    found = shutil.which("uv")
    if found and (parse_version(capture([found, "--version"])) or ()) >= UV_MINIMUM:
        return Path(found)
    folder = cache_directory() / ("uv-" + hashlib.sha256(UV_PACKAGE.read_bytes()).hexdigest()[:12])
    if not (folder / "bin" / "uv").exists():
        make_uv(folder, log)
    return folder / "bin" / "uv"


def make_uv(folder: Path, log: Log) -> None:
    """Install uv into a virtual environment of its own."""
    if capture([sys.executable, "-c", "import ensurepip"]) is None:  # Debian keeps it in a package of its own
        install_packages(["python3-venv"], log)
    shutil.rmtree(folder, ignore_errors=True)
    log.run(
        [sys.executable, "-m", "venv", folder], problem="python3 -m venv does not work.", fix="install python3-venv"
    )
    try:
        log.run(
            [folder / "bin" / "pip", "install", "--require-hashes", "--requirement", UV_PACKAGE],
            problem="uv could not be installed from PyPI.",
            fix="install uv, or set PIP_CERT or PIP_INDEX_URL for this network",
        )  # fmt: skip
    except FailureError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def uv_environment() -> dict[str, str]:
    """Give uv's environment: the machine's certificates, the machine's Python, no other configuration."""
    bundle = certificates()
    return os.environ | ({"SSL_CERT_FILE": str(bundle)} if bundle else {}) | {
        "UV_SYSTEM_CERTS": "true",
        "UV_NATIVE_TLS": "true",  # the same, for a uv from PATH that is older
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_TIMEOUT": "120",
    }  # fmt: skip


def make(log: Log) -> str:
    """Make the environment exactly as locked. Returns what to show."""
    uv = find_uv(log)
    log.run(
        [uv, "sync", "--frozen", "--python", sys.executable],
        cwd=REPOSITORY, env=uv_environment(),
        problem="The Python environment could not be made from uv.lock.",
        fix="look at the log; SSL_CERT_FILE names the CA bundle of this network, UV_DEFAULT_INDEX its index",
    )  # fmt: skip
    STAMP.write_text(fingerprint())
    return describe()


def describe() -> str:
    return f"{sys.version.split()[0]}, environment as locked"
