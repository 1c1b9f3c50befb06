"""A complete, sound configuration for tests, made as the engine makes it: defaults, the stack file, secrets."""

import asyncio
import base64
import contextvars
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from pulumi.runtime import configure, set_all_config
from pulumi.runtime.mocks import MockSettings
from pulumi.runtime.settings import SETTINGS

from deployed import Deployed
from rules import Problem
from settings import Settings, SettingsError, load

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL_SECRETS = ("brokerUrl",)
SECRET_TEXTS = ("sshPrivateKey", "hostPrivateKey", "backupPassphrase", "recoveryKey")
SECRET_OBJECTS = ("appSecrets", "destinationCredentials", "alerts")
SERVICE: dict[str, Any] = {"image": "x", "healthcheck": {"test": ["CMD", "true"]}}
VARIABLES = (
    *(f"{name}_DATABASE_URL" for name in ("AUTH", "TICKET", "WORKFLOW", "MESSAGING", "NOTIFICATION")),
    *(
        f"MEDIA_{name}"
        for name in ("BUCKET", "CA_FILE", "ENDPOINT_URL", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    ),
    *("DATABASE_CA_FILE", "BROKER_URL", "DRAIN_DIRECTORY", "RUN_MIGRATIONS", "POSTGRES_SCALE", "RABBITMQ_SCALE"),
)
COMPOSE: dict[str, Any] = {
    "services": {
        "postgres": SERVICE,
        "rabbitmq": {
            **SERVICE,
            "ports": ["${RABBITMQ_LISTEN:-127.0.0.1:}:5672"],
            "environment": {"PASSWORD": "${RABBITMQ_PASSWORD:?}"},
        },
        "ticket-service": {**SERVICE, "environment": {name: f"${{{name}:-}}" for name in VARIABLES}},
    },
    "volumes": {"media_files": None},
}


@dataclass
class StackConfig:
    """Values by key, and the keys whose values are encrypted in the stack file."""

    values: dict[str, Any]
    encrypted: set[str] = field(default_factory=lambda: {*SECRET_TEXTS, *SECRET_OBJECTS, *OPTIONAL_SECRETS})

    def install(self) -> None:
        """Make it the configuration of the current process, as the engine would."""
        texts = {
            f"tts:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in self.values.items()
        }
        set_all_config(texts, [f"tts:{key}" for key in self.encrypted])


def project_file() -> dict[str, Any]:
    """Pulumi.yaml."""
    return cast("dict[str, Any]", yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8")))


def schema() -> dict[str, dict[str, Any]]:
    """The declared keys of the project's own namespace."""
    return {key: entry for key, entry in project_file()["config"].items() if ":" not in key}


def stack_file(stack: str) -> dict[str, Any]:
    """The values of a committed stack file, without the project's prefix."""
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    return {key.removeprefix("tts:"): value for key, value in document["config"].items()}


def public_key() -> str:
    """A text of the shape of an ed25519 public key."""
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + secrets.token_bytes(32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} tts host"


def write_app(folder: Path, document: object = COMPOSE) -> Path:
    """An application's directory with `document` as its Compose file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compose.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder


def stack_config(stack: str, app: Path) -> StackConfig:
    """The configuration of `stack` after `tts init`, for the application in `app`."""
    values: dict[str, Any] = {key: entry["default"] for key, entry in schema().items()}
    values |= stack_file(stack)
    values |= {key: f"secret-{key}-{secrets.token_hex(8)}" for key in SECRET_TEXTS}
    values["app"] = {**values["app"], "path": str(app)}
    values["appSecrets"] = {name: f"secret-{secrets.token_hex(8)}" for name in values["app"]["secrets"]}
    values |= {"sshPublicKey": public_key(), "hostPublicKey": public_key(), "bucketSuffix": "x7k2m4qp"}
    return StackConfig(values)


def load_settings(config: StackConfig, *, stack: str = "prod", deployed: str | Deployed | None = None) -> Settings:
    """`settings.load` as the program calls it, in a stack of this name. Raises SettingsError."""

    async def inside() -> Settings:
        found = load(deployed if isinstance(deployed, Deployed) else Deployed(deployed))
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        return found

    def alone() -> Settings:
        config.install()
        configure(MockSettings(project="tts", stack=stack, monitor=None, engine=None, dry_run=False))
        try:
            return asyncio.run(inside())
        finally:
            SETTINGS.outputs.clear()  # pyright: ignore[reportAttributeAccessIssue] the SDK keeps its list of pending outputs for the whole process

    return contextvars.copy_context().run(alone)


def problems(config: StackConfig, *, stack: str = "prod", deployed: str | Deployed | None = None) -> dict[str, Problem]:
    """The mistakes that `settings.load` reports, by key."""
    try:
        load_settings(config, stack=stack, deployed=deployed)
    except SettingsError as error:
        return {each.key: each for each in error.problems}
    return {}
