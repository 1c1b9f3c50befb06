"""What `tts init` does: make the keys and secrets that a stack lacks, and never touch one that it has."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ops import keys
from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.engine import ConfigValue, Engine

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PAIRS = (
    ("sshPrivateKey", "sshPublicKey", "operator"),
    ("hostPrivateKey", "hostPublicKey", "host"),
)
_SINGLE_SECRETS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("backupPassphrase", keys.new_secret),
    ("recoveryKey", keys.new_recovery_key),
)
PURPOSE = {
    "sshPrivateKey": "lets tts and pulumi in to the hosts",
    "sshPublicKey": "its public half, on every host",
    "hostPrivateKey": "by which a host proves who it is",
    "hostPublicKey": "its public half, always checked",
    "backupPassphrase": "encrypts the backups; the host has it",
    "recoveryKey": "opens the backups without the host",
    "bucketSuffix": "makes bucket names unique in the world",
}


@dataclass(frozen=True)
class Plan:
    """Keys of the configuration: those there, and those to make (application secrets as `appSecrets.NAME`)."""

    present: tuple[str, ...]
    missing: tuple[str, ...]


def plan(config: Mapping[str, ConfigValue]) -> Plan:
    """Compare the configuration with what a stack needs.

    Raises:
        OpsError: a public key stands there without its private half, or `app.secrets` is no list of names.
    """

    def is_set(key: str) -> bool:
        return key in config and bool(config[key].value)  # the project's defaults are empty strings

    for private, public, _ in _PAIRS:
        if is_set(public) and not is_set(private):
            raise OpsError(
                f"{public} is configured and {private} is not: a new pair would overwrite your key.",
                fix=f"Give the private half: pulumi config set --secret --raw {private} < FILE",
                code=ExitCode.CONFIG,
            )
    wanted = [key for private, public, _ in _PAIRS for key in (private, public)]
    wanted += [key for key, _ in _SINGLE_SECRETS] + ["bucketSuffix"]
    there = [key for key in wanted if is_set(key)]
    names = _app_secret_names(config)
    of_app = _object(config.get("appSecrets"))
    there += [f"appSecrets.{name}" for name in names if of_app.get(name)]
    wanted += [f"appSecrets.{name}" for name in names]
    return Plan(tuple(there), tuple(key for key in wanted if key not in there))


def make(engine: Engine, config: Mapping[str, ConfigValue], todo: Plan, report: Callable[[str], None]) -> None:
    """Make what the plan calls missing. Stopped half way, the next run goes on from there.

    A public key is written after its private half, from which it can always be derived again.
    """
    plain: dict[str, str] = {}
    for private, public, role in _PAIRS:
        if private in todo.missing:
            pair = keys.new_key_pair(f"tts-{role}")
            engine.set_secret(private, pair.private)
            plain[public] = pair.public
            report(private)
        elif public in todo.missing:
            plain[public] = keys.public_half(config[private].value or "")
    for key, new in _SINGLE_SECRETS:
        if key in todo.missing:
            engine.set_secret(key, new())
            report(key)
    for key in (key for key in todo.missing if key.startswith("appSecrets.")):
        engine.set_secret(key, keys.new_secret())
        report(key)
    if "bucketSuffix" in todo.missing:
        plain["bucketSuffix"] = keys.new_suffix()
    engine.set_plain(plain)
    for key in plain:
        report(key)


def may_connect(config: Mapping[str, ConfigValue]) -> bool:
    """Whether `sshFrom` names anyone. The program refuses a stack without it."""
    return "sshFrom" in config and (config["sshFrom"].value or "[]") != "[]"


def _app_secret_names(config: Mapping[str, ConfigValue]) -> list[str]:
    app = _object(config.get("app"))
    names = app.get("secrets", [])
    if not isinstance(names, list) or not all(
        isinstance(name, str) and _ENV_NAME.fullmatch(name) for name in cast("list[object]", names)
    ):
        raise OpsError(
            "app.secrets is not a list of environment variable names.",
            fix="In the stack file, for example: tts:app: {secrets: [SECRET_KEY, POSTGRES_PASSWORD]}",
            code=ExitCode.CONFIG,
        )
    return cast("list[str]", names)


def _object(entry: ConfigValue | None) -> dict[str, Any]:
    """An object of the configuration, whether it was written as YAML or as one JSON string."""
    if entry is None:
        return {}
    value = entry.object_value
    if value is None:
        try:
            value = json.loads(entry.value or "{}")
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise OpsError(
            "app and appSecrets must be objects.",
            fix="Look at the stack file: tts:app and tts:appSecrets hold `name: value` lines.",
            code=ExitCode.CONFIG,
        )
    return cast("dict[str, Any]", value)
