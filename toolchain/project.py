"""The Pulumi project of the local cloud: a copy under `.local/project`, so that tracked stack files never get dirty.

The engine writes the encryption salt and each secret into the stack file beside Pulumi.yaml. Here that is the copy. At
each run the tracked file's keys are written over it; what only the copy has (salt, secrets, keys that `tts init` made)
stays.
"""

import copy
import os
from pathlib import Path
from typing import Any

import yaml

from toolchain.console import FailureError
from toolchain.layout import PYTHON, REPOSITORY

Document = dict[str, Any]
# How a stack's secrets are encrypted is the copy's own: the tracked file's passphrase is not on this machine.
ENCRYPTION = ("encryptionsalt", "encryptedkey", "secretsprovider")
NAMESPACE = "tts"
OVERRIDES = "overrides.yaml"


def is_secret(value: object) -> bool:
    """Say whether a value of a stack file is encrypted, or an object with an encrypted part."""
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(map(is_secret, value.values()))
    return isinstance(value, list) and any(map(is_secret, value))


def merge_stack(tracked: Document, local: Document, before: Document) -> Document:
    """Give the local copy of a stack file.

    tracked: the file in the repository; local: the copy as it is; before: the tracked file as it was at the last merge,
    by which a key that was taken out of the repository is told from one that was added here.
    """
    config = {key: value for key, value in (tracked.get("config") or {}).items() if not is_secret(value)}
    dropped = set(before.get("config") or {}) - set(config)
    kept = {key: value for key, value in (local.get("config") or {}).items() if key not in dropped or is_secret(value)}
    merged = {key: value for key, value in tracked.items() if key not in (*ENCRYPTION, "config")}
    merged |= {key: local[key] for key in ENCRYPTION if key in local}
    return merged | {"config": {**kept, **config}}


def local_project(tracked: Document) -> Document:
    """Give the copy of Pulumi.yaml: the program stays in the repository, and so does its environment."""
    project = copy.deepcopy(tracked)
    runtime = project["runtime"]
    name = runtime if isinstance(runtime, str) else runtime["name"]
    options = {} if isinstance(runtime, str) else runtime.get("options") or {}
    # The environment is there already: an installed engine's language host must not make it again by another tool.
    options = {key: value for key, value in options.items() if key != "toolchain"}
    options["virtualenv"] = str(PYTHON.parent.parent)
    return project | {"main": str(REPOSITORY), "runtime": {"name": name, "options": options}}


def read(path: Path) -> Document:
    """Read a YAML file; empty if it is absent. FailureError with the place if it is no YAML."""
    try:
        return yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise FailureError(f"{path} is not valid YAML: {error}") from error


def write(path: Path, document: Document) -> None:
    """Write a YAML file for its owner only, whole or not at all, and leave an equal one alone."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def stacks() -> list[str]:
    """Give the names of the stacks that have a file in the repository."""
    return sorted(path.name.split(".")[1] for path in REPOSITORY.glob("Pulumi.*.yaml"))


def check_stack(name: str) -> None:
    """Raise FailureError unless the repository has a file for the stack."""
    if name not in stacks():
        raise FailureError(f"There is no stack {name!r}: Pulumi.{name}.yaml is missing.", f"STACK={'|'.join(stacks())}")


def last_overrides(directory: Path) -> Document:
    """Give the overrides of the last `prepare` by stack; empty before the first."""
    return read(directory / ".tracked" / OVERRIDES)


def prepare(directory: Path, overrides: Document) -> None:
    """Bring the copies under `directory` up to date; `overrides` are configuration values by stack, for this run."""
    write(directory / ".tracked" / OVERRIDES, overrides)
    write(directory / "Pulumi.yaml", local_project(read(REPOSITORY / "Pulumi.yaml")))
    for name in stacks():
        tracked = read(REPOSITORY / f"Pulumi.{name}.yaml")
        tracked["config"] = (tracked.get("config") or {}) | {
            f"{NAMESPACE}:{key}": value for key, value in overrides.get(name, {}).items()
        }
        target, last = directory / f"Pulumi.{name}.yaml", directory / ".tracked" / f"{name}.yaml"
        write(target, merge_stack(tracked, read(target), read(last)))
        write(last, tracked)
