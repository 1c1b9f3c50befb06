"""The environment of programs that work on the local cloud, and the commands in `.local/bin` that set it.

Standard library only: each `pulumi` and `tts` on the local cloud starts with this module.
"""

import json
import os
import secrets
import shlex
import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from toolchain.layout import ENGINE, PYTHON, Layout

# What a person has set for real accounts must never reach a program that works on the local cloud.
FOREIGN = ("AWS_", "DIGITALOCEAN_", "PULUMI_", "SPACES_")
NO_PROXY = ("127.0.0.1", "localhost")
USAGE = 64  # exit code of a command line that makes no sense (sysexits.h)


class NotRunningError(Exception):
    """The local cloud does not answer; the message says what to do."""


def read_cloud(layout: Layout) -> dict[str, str]:
    """Read what the daemon wrote about itself; empty if it has not run yet."""
    try:
        return json.loads((layout.cloud / "cloud.json").read_text())
    except FileNotFoundError:
        return {}


def local_environment(local_dir: Path) -> dict[str, str]:
    """Compute the variables that point Pulumi, the providers and `tts` at the local cloud under `local_dir`.

    The cloud's addresses and keys are left out as long as its daemon has not run.
    """
    layout = Layout(local_dir)
    result = {
        "PATH": os.pathsep.join([str(layout.bin), os.environ.get("PATH", os.defpath)]),
        "TTS_LOCAL_DIR": str(layout.root),
        "TTS_PROJECT_DIR": str(layout.project),
        "PULUMI_HOME": str(layout.pulumi_home),
        "PULUMI_BACKEND_URL": f"file://{layout.state}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(layout.passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # A provider plugin of the machine's own must not be taken for a stand-in, nor the other way round.
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
    }
    if cloud := read_cloud(layout):
        bypass = [*NO_PROXY, cloud["subnet"], *filter(None, [os.environ.get("NO_PROXY")])]
        result |= _names(layout, cloud)
        result |= {
            "DIGITALOCEAN_API_URL": cloud["api"],
            "DIGITALOCEAN_TOKEN": cloud["token"],
            "SPACES_ENDPOINT_URL": cloud["s3"],
            "SPACES_ACCESS_KEY_ID": cloud["spaces_access_key"],
            "SPACES_SECRET_ACCESS_KEY": cloud["spaces_secret_key"],
            "AWS_ENDPOINT_URL": cloud["s3"],
            "AWS_ACCESS_KEY_ID": cloud["aws_access_key"],
            "AWS_SECRET_ACCESS_KEY": cloud["aws_secret_key"],
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": ",".join(bypass),
            "no_proxy": ",".join(bypass),
        }
    return result


def _names(layout: Layout, cloud: Mapping[str, str]) -> dict[str, str]:
    """Let programs find the cloud's own domains, and believe the certificates of its balancers beside all others."""
    if "dns" not in cloud:  # of a daemon of an earlier version
        return {}
    trust = layout.root / "trust.pem"
    named = os.environ.get("SSL_CERT_FILE")
    usual = Path(named or ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    if usual != trust:
        texts = [path.read_text() for path in (usual, Path(cloud["web_ca_cert"])) if path.exists()]
        _replace(trust, "\n".join(texts))
    return {"TTS_NAME_SERVER": cloud["dns"], "SSL_CERT_FILE": str(trust)}


def _replace(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def complete_environment(layout: Layout, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Give the whole environment of a program on the local cloud: `base` without foreign credentials, then ours."""
    kept = {name: value for name, value in base.items() if not name.startswith(FOREIGN)}
    return kept | local_environment(layout.root)


def require_running(layout: Layout) -> None:
    """Raise NotRunningError unless the daemon of this layout accepts connections."""
    cloud = read_cloud(layout)
    if not cloud:
        raise NotRunningError("There is no local cloud yet. Fix: make up")
    address = urlsplit(cloud["api"])
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=2).close()
    except OSError as error:
        raise NotRunningError(
            f"The local cloud is not running: nothing answers on {cloud['api']}. Fix: make up (state is kept)"
        ) from error


def ensure_passphrase(layout: Layout) -> None:
    """Make the passphrase of local stacks if there is none; only its owner can read it."""
    layout.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    if layout.passphrase.exists():
        return
    with os.fdopen(os.open(layout.passphrase, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))


def write_executable(path: Path, text: str) -> None:
    """Write a script so that a reader sees the old one or the new one, and leave an equal one alone."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.replace(path)


def write_commands(layout: Layout, pulumi: Path, restic: Path, compose: Path) -> None:
    """Write the commands of `.local/bin`: the real program behind each, started in the local cloud's environment."""
    commands = {
        "pulumi": [str(pulumi), "-C", str(layout.project)],
        "tts": [str(PYTHON.with_name("tts"))],
    }
    for name, argv in commands.items():
        line = shlex.join([str(PYTHON), "-P", "-m", "toolchain.environment", str(layout.root), *argv])
        write_executable(
            layout.bin / name, f'#!/bin/sh\n# {name} on the local cloud, for `make shell`.\nexec {line} "$@"\n'
        )
    for name, program in {"restic": restic, "docker-compose": compose}.items():
        write_executable(layout.bin / name, f'#!/bin/sh\nexec {shlex.quote(str(program))} "$@"\n')


def write_language_host() -> None:
    """Put the language host beside an engine that was built here: there the engine looks before it looks on PATH."""
    line = shlex.join([str(PYTHON), "-P", "-m", "toolchain.language_host"])
    write_executable(ENGINE / "pulumi-language-python", f'#!/bin/sh\nexec {line} "$@"\n')


def main(arguments: list[str]) -> None:
    """Run `DIRECTORY COMMAND...`: become the command, in the environment of the local cloud in the directory."""
    if len(arguments) < 2:
        print("usage: python -m toolchain.environment DIRECTORY COMMAND...", file=sys.stderr)
        sys.exit(USAGE)
    layout = Layout(Path(arguments[0]))
    try:
        require_running(layout)
    except NotRunningError as error:
        sys.exit(str(error))
    os.execve(arguments[1], arguments[1:], complete_environment(layout))  # noqa: S606 the program is named in full


if __name__ == "__main__":
    main(sys.argv[1:])
