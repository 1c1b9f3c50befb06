"""Put the plugins where the engine looks for them."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

NAMES = ("digitalocean", "aws", "command")
_ROOT = Path(__file__).resolve().parents[2]


def install(pulumi_home: Path, python: Path, plugin_dir: Path | None = None) -> dict[str, Path]:
    """Make `plugins/resource-NAME-vVERSION/pulumi-resource-NAME` below `pulumi_home` for each plugin.

    The version is that of the SDK installed for `python`, since that is what programs ask for. A file
    `pulumi-resource-NAME` in `plugin_dir` is started in the stand-in's place. Returns what each plugin's entry starts:
    the real binary or the stand-in. Can be run again at any time.

    Raises FileNotFoundError if `plugin_dir` does not exist, RuntimeError if `python` has no SDK.
    """
    if plugin_dir is not None and not plugin_dir.is_dir():
        raise FileNotFoundError(f"the plugin directory {plugin_dir} does not exist")
    versions = _versions(python)
    return {name: _install_one(name, versions[name], pulumi_home, python, plugin_dir) for name in NAMES}


def _install_one(name: str, version: str, pulumi_home: Path, python: Path, plugin_dir: Path | None) -> Path:
    binary = f"pulumi-resource-{name}"
    target = pulumi_home / "plugins" / f"resource-{name}-v{version}" / binary
    target.parent.mkdir(parents=True, exist_ok=True)
    real = plugin_dir / binary if plugin_dir is not None else None
    new = target.with_name(f".{binary}.{os.getpid()}")
    new.unlink(missing_ok=True)
    if real is not None and real.is_file():
        if not os.access(real, os.X_OK):
            raise PermissionError(f"{real} is not executable: chmod +x it")
        if name == "digitalocean":
            _write(new, _BUCKET_NAMES.format(binary=shlex.quote(str(real.resolve()))))
        else:
            new.symlink_to(real.resolve())
    else:
        real = None
        _write(new, _wrapper(name, python))
    new.replace(target)
    return real or target


# HTTP's own way to a name that no name server knows: the client hands the whole request to a proxy, here the store.
# `.test` is nobody's domain, so without the store these names lead nowhere. Loopback addresses never go by proxy.
_BUCKET_NAMES = """#!/bin/sh
# The real plugin speaks to BUCKET.REGION.<endpoint>, and nothing resolves that here: the object store is its proxy.
export HTTP_PROXY="${{SPACES_ENDPOINT_URL:?is the address of the local object store and is missing}}" NO_PROXY=
export http_proxy="$HTTP_PROXY" no_proxy= SPACES_ENDPOINT_URL='http://{{{{.Region}}}}.spaces.test'
exec {binary} "$@"
"""


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _wrapper(name: str, python: Path) -> str:
    """The start script; warnings are off because the engine shows every line of a plugin's standard error."""
    root, interpreter = shlex.quote(str(_ROOT)), shlex.quote(str(python.absolute()))
    return f'#!/bin/sh\nPYTHONPATH={root} exec {interpreter} -W ignore -m localcloud.plugins {name} "$@"\n'


def _versions(python: Path) -> dict[str, str]:
    code = "import importlib.metadata as m, sys\nfor n in sys.argv[1:]: print(m.version('pulumi-' + n))"
    done = subprocess.run([python, "-c", code, *NAMES], capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"{python} cannot tell the versions of Pulumi's SDKs: {last[0]}")
    return dict(zip(NAMES, done.stdout.split(), strict=True))
