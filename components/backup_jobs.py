"""The backup jobs on their one owner host: env file, secrets, scripts, schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi

from components import remote
from components.base import Component
from components.bundle import Bundle
from components.offsite import SECRETS_DIRECTORY, Offsite, credentials

ALERTS: Final = "alerts.json"
DATABASE, DATABASE_CA, MEDIA = "database", "database-ca", "media"


@dataclass(frozen=True)
class DatabaseSource:
    """PostgreSQL in a container of the host; `expected` must all be in every backup, wherever the databases are."""

    service: str
    user: str
    expected: tuple[str, ...]


@dataclass(frozen=True)
class Outside:
    """The state outside the host, as a move knows it: the managed database and the bucket of the media. Secrets."""

    database: pulumi.Output[Mapping[str, Any]]
    media: pulumi.Output[Mapping[str, Any]]


@dataclass(frozen=True)
class Keep:
    """Snapshots kept by count, least free disk in percent, largest local repository in GB, upload limit (0: none)."""

    daily: int
    weekly: int
    monthly: int
    min_free_percent: int
    max_repository_gb: int
    upload_limit_kib: int


@dataclass(frozen=True)
class BackupJobsArgs:
    """`owner` is the host's role name: it labels every snapshot and stays the same when the droplet is replaced.

    `outside` is where databases and media are, or None while they are on the host; `broker_service` is empty when the
    broker is elsewhere. `alerts` are the channels that hear of every job's end, or None for none.
    """

    host: remote.Access
    after: Sequence[pulumi.Resource]
    scripts: Bundle
    stack: str
    owner: str
    compose_project: str
    app_directory: str
    app_env_file: str
    media_volume: str
    media_references: tuple[str, ...]
    broker_service: str
    database: DatabaseSource
    outside: Outside | None
    keep: Keep
    offsite: Sequence[Offsite]
    alerts: pulumi.Output[Mapping[str, Any]] | None
    passphrase: pulumi.Output[str]
    recovery_key: pulumi.Output[str]


class BackupJobs(Component):
    """Everything that makes the owner host back up. `installed` resolves after the installer's self-test has passed."""

    def __init__(self, name: str, args: BackupJobsArgs) -> None:
        super().__init__("backup_jobs:BackupJobs", name)
        stdin = {"env": environment(args), "secrets": _secrets(args)}
        install = remote.Task("install", [args.scripts], stdin, minutes=30)
        after = [*args.after, *(each.guard for each in args.offsite if each.guard)]
        command = remote.run(f"{name}-install", args.host, install, parent=self, after=after)
        self.installed: pulumi.Output[str] = command.id
        self.finish(owner=args.owner)


@dataclass(frozen=True)
class HostToolsArgs:
    """A host that holds nothing: what it is called, and the application that it runs."""

    host: remote.Access
    after: Sequence[pulumi.Resource]
    scripts: Bundle
    stack: str
    name: str
    compose_project: str
    app_directory: str
    app_env_file: str


class HostTools(Component):
    """The commands and the watch of a host that backs nothing up: it says how it is, stops and starts cleanly."""

    def __init__(self, name: str, args: HostToolsArgs) -> None:
        super().__init__("backup_jobs:HostTools", name)
        values = {
            "TTS_HOST": args.name,
            "TTS_STACK": args.stack,
            "TTS_COMPOSE_PROJECT": args.compose_project,
            "TTS_APP_DIR": args.app_directory,
            "TTS_APP_ENV": args.app_env_file,
            "TTS_PG_MODE": "none",
        }
        install = remote.Task("install", [args.scripts], {"env": values, "secrets": {}})
        command = remote.run(f"{name}-install", args.host, install, parent=self, after=args.after)
        self.installed: pulumi.Output[str] = command.id
        self.finish(host=args.name)


def environment(args: BackupJobsArgs) -> dict[str, pulumi.Input[str]]:
    """The contents of /etc/tts/backup.env, the only parameters the host's scripts have."""
    config_paths = (args.app_directory, args.app_env_file, "/etc/tts/backup.env", "/etc/cron.d/tts")
    values: dict[str, pulumi.Input[str]] = {
        "TTS_HOST": args.owner,
        "TTS_STACK": args.stack,
        "TTS_COMPOSE_PROJECT": args.compose_project,
        "TTS_APP_DIR": args.app_directory,
        "TTS_APP_ENV": args.app_env_file,
        "TTS_PG_MODE": "managed" if args.outside else "container",
        "TTS_PG_SERVICE": args.database.service,
        "TTS_PG_USER": args.database.user,
        "TTS_PG_EXPECTED": ",".join(args.database.expected),
        "TTS_MEDIA_VOLUME": args.media_volume,
        "TTS_MEDIA_REFERENCES": ",".join(args.media_references),
        "TTS_BROKER_SERVICE": args.broker_service,
        "TTS_CONFIG_PATHS": ":".join(config_paths),
        "TTS_LOCAL_REPOSITORY": "/var/backups/tts/restic",
        "TTS_PASSWORD_FILE": f"{SECRETS_DIRECTORY}/backup-passphrase",
        "TTS_OFFSITE": ",".join(each.name for each in args.offsite),
        "TTS_KEEP_DAILY": str(args.keep.daily),
        "TTS_KEEP_WEEKLY": str(args.keep.weekly),
        "TTS_KEEP_MONTHLY": str(args.keep.monthly),
        "TTS_MIN_FREE_PERCENT": str(args.keep.min_free_percent),
        "TTS_MAX_REPOSITORY_GB": str(args.keep.max_repository_gb),
        "TTS_LIMIT_UPLOAD_KIB": str(args.keep.upload_limit_kib),
    }
    if args.outside:
        values |= _outside_environment(args.outside)
    if args.alerts:
        values["TTS_ALERTS_FILE"] = f"{SECRETS_DIRECTORY}/{ALERTS}"
    for each in args.offsite:
        prefix = f"TTS_OFFSITE_{each.name.replace('-', '_').upper()}"
        values[f"{prefix}_REPOSITORY"] = each.repository
        if each.credentials:
            values[f"{prefix}_CREDENTIALS"] = f"{SECRETS_DIRECTORY}/{_credentials_file(each)}"
    return values


def _outside_environment(outside: Outside) -> dict[str, pulumi.Input[str]]:
    media = outside.media
    return {
        "TTS_PG_CREDENTIALS": f"{SECRETS_DIRECTORY}/{DATABASE}",
        "TTS_MEDIA_BUCKET": media["bucket"],
        "TTS_MEDIA_ENDPOINT": media["endpoint"],
        "TTS_MEDIA_REGION": media["region"],
        "TTS_MEDIA_CREDENTIALS": f"{SECRETS_DIRECTORY}/{MEDIA}",
    }


def _outside_secrets(outside: Outside) -> dict[str, pulumi.Input[str]]:
    """Credentials and the database's CA; backups go past the pools, as the user that may read everything."""
    database, media = outside.database, outside.media
    return {
        DATABASE: pulumi.Output.format(
            "PGHOST={0}\nPGPORT={1}\nPGUSER={2}\nPGPASSWORD={3}\nPGDATABASE={4}\nPGSSLMODE=verify-full\nPGSSLROOTCERT={5}\n",
            database["host"],
            database["port"],
            database["user"],
            database["password"],
            database["maintenance"],
            f"{SECRETS_DIRECTORY}/{DATABASE_CA}",
        ),
        DATABASE_CA: database["ca"],
        MEDIA: credentials(media["access_key"], media["secret_key"], media["region"]),
    }


def _secrets(args: BackupJobsArgs) -> pulumi.Output[dict[str, str]]:
    """The secret files by name. The recovery key is used by the installer and does not stay."""
    found: dict[str, pulumi.Input[str]] = {"backup-passphrase": args.passphrase, "recovery-key": args.recovery_key}
    found |= {_credentials_file(each): each.credentials for each in args.offsite if each.credentials}
    if args.outside:
        found |= _outside_secrets(args.outside)
    if args.alerts:
        found[ALERTS] = pulumi.Output.json_dumps(args.alerts)
    key_files = [each.files for each in args.offsite if each.files]
    return pulumi.Output.all(pulumi.Output.all(**found), *key_files).apply(_joined)


def _joined(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {name: text for part in parts for name, text in part.items()}


def _credentials_file(offsite: Offsite) -> str:
    return f"offsite-{offsite.name}"
