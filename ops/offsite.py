"""The off-site repositories as the operator opens them: address, passphrase, key; and the bucket, where it is ours."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from ops.errors import ExitCode, OpsError
from ops.restic import Repository, check_version
from ops.vault import open_vault, read_keys

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ops.engine import ConfigValue, Engine
    from ops.stack import OffSite, Outputs
    from ops.vault import Vault

ALL = "all"
MAINTENANCE = "maintenance"
_GOOGLE = "GOOGLE_APPLICATION_CREDENTIALS"
_PASSPHRASE = "backupPassphrase"  # noqa: S105  # the name of a key of the configuration


@dataclass(frozen=True)
class Destination:
    """One off-site repository, opened. `vault` is None for one that this program did not make."""

    name: str
    repository: Repository
    vault: Vault | None


@contextmanager
def opened(engine: Engine, outputs: Outputs, wanted: str) -> Generator[list[Destination]]:
    """The off-site repositories of that name, or `all`, each with the key for maintenance.

    A destination of somebody else's is opened with the credentials that the configuration has for it. Key files of
    theirs are on the disk, in a private folder, only while the block runs.

    Raises:
        OpsError: no such destination, no key for it, no passphrase, no restic.
    """
    chosen = choose(outputs, wanted)
    check_version()
    keys = read_keys(engine, MAINTENANCE) if any(item.bucket for item in chosen) else {}
    password = engine.secret(_PASSPHRASE).strip()
    others = further_credentials(engine.config()) if any(not item.bucket for item in chosen) else {}
    with ExitStack() as stack:
        found: list[Destination] = []
        for item in chosen:
            vault = open_vault(item, keys)
            if vault:
                repository = Repository(item.name, vault.location, password, vault.environment())
            else:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="tts-")))
                repository = Repository(
                    item.name, item.repository, password, key_files(others.get(item.name, {}), folder)
                )
            found.append(Destination(item.name, repository, vault))
        yield found


def choose(outputs: Outputs, wanted: str) -> tuple[OffSite, ...]:
    """The destinations of that name, or all.

    Raises:
        OpsError: the stack has none of that name; the message lists those it has.
    """
    offsite = outputs.backup.offsite
    chosen = tuple(item for item in offsite if wanted in {ALL, item.name})
    if chosen:
        return chosen
    names = ", ".join(item.name for item in offsite) or "none"
    raise OpsError(f"There is no off-site destination {wanted}.", fix=f"This stack has: {names}", code=ExitCode.USAGE)


def further_credentials(config: Mapping[str, ConfigValue]) -> dict[str, dict[str, str]]:
    """The variables of the destinations that are somebody else's, by name of the destination."""
    entry = config.get("destinationCredentials")
    if entry is None:
        return {}
    value = entry.object_value if entry.object_value is not None else msgspec.json.decode(entry.value or "{}")
    return msgspec.convert(value, dict[str, dict[str, str]])


def key_files(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables as restic wants them: a key that is a file's content becomes a file in `folder`."""
    found = dict(variables)
    content = found.pop(f"{_GOOGLE}_JSON", None)
    if content is not None:
        path = folder / "google.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
        found[_GOOGLE] = str(path)
    return found
