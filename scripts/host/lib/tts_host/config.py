"""The environment file `/etc/tts/backup.env` as one frozen value. The only reader of TTS_ variables."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tts_host.log import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SAFE_VALUE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")  # what Bash's `source` and Python read alike
NAME = re.compile(r"[a-z][a-z0-9-]*")  # of a destination; its variables hold it in capitals, with _ for -
LOCAL = "local"  # the name of the repository on this host
NONE = "none"  # of TTS_PG_MODE: this host holds nothing to back up, and runs no backup jobs
PG_MODES = ("container", "host", "managed", NONE)

REQUIRED = (
    "TTS_HOST",
    "TTS_STACK",
    "TTS_COMPOSE_PROJECT",
    "TTS_PG_MODE",
    "TTS_LOCAL_REPOSITORY",
    "TTS_PASSWORD_FILE",
)
OF_BACKUPS = ("TTS_LOCAL_REPOSITORY", "TTS_PASSWORD_FILE")
"""Not required where nothing is backed up."""
OPTIONAL: dict[str, str] = {
    "TTS_APP_DIR": "/srv/app",
    "TTS_APP_ENV": "/etc/tts/app.env",
    "TTS_PG_SERVICE": "postgres",
    "TTS_PG_USER": "postgres",
    "TTS_PG_EXPECTED": "",
    # For TTS_PG_MODE=managed: a file with PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE (the one for questions about
    # the server) and PGSSLROOTCERT (a file beside it).
    "TTS_PG_CREDENTIALS": "",
    "TTS_MEDIA_VOLUME": "",
    # Media in a bucket instead: its name, the store's https:// address without the bucket, its region, and a file with
    # AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The bucket is where media are as soon as it is named.
    "TTS_MEDIA_BUCKET": "",
    "TTS_MEDIA_ENDPOINT": "",
    "TTS_MEDIA_REGION": "",
    "TTS_MEDIA_CREDENTIALS": "",
    "TTS_MEDIA_ERRORS": "10",
    "TTS_MEDIA_REFERENCES": "",
    "TTS_BROKER_SERVICE": "",
    "TTS_CONFIG_PATHS": "",
    "TTS_OFFSITE": "",
    "TTS_KEEP_DAILY": "30",
    "TTS_KEEP_WEEKLY": "12",
    "TTS_KEEP_MONTHLY": "12",
    "TTS_MIN_FREE_PERCENT": "20",
    "TTS_MAX_REPOSITORY_GB": "10",
    "TTS_LIMIT_UPLOAD_KIB": "0",
    "TTS_LOCK_TIMEOUT": "10",
    "TTS_LOCK_RETRIES": "2",
    "TTS_JOB_TIMEOUT": "14400",
    "TTS_OFFSITE_TIMEOUT": "7200",
    "TTS_STATE_DIR": "/var/lib/tts",
    "TTS_LOG_DIR": "/var/log/tts",
    "TTS_CACHE_DIR": "/var/cache/tts/restic",
    "TTS_ALERTS_FILE": "",
}
OFFSITE_KEY = re.compile(r"TTS_OFFSITE_([A-Z][A-Z0-9_]*)_(REPOSITORY|CREDENTIALS|PASSWORD_FILE)")
_NUMBERS = tuple(key for key, value in OPTIONAL.items() if value.isdigit())


@dataclass(frozen=True)
class Offsite:
    """One off-site repository."""

    name: str
    repository: str
    credentials: Path | None
    password_file: Path


@dataclass(frozen=True)
class Config:
    """All settings of this host. Sizes and times carry their unit in the name."""

    host: str
    stack: str
    project: str
    app_dir: Path
    app_env: Path
    pg_mode: str
    pg_service: str
    pg_user: str
    pg_expected: tuple[str, ...]
    pg_credentials: Path | None
    media_volume: str
    media_bucket: str
    media_endpoint: str
    media_region: str
    media_credentials: Path | None
    media_errors: int
    media_references: tuple[str, ...]
    broker_service: str
    config_paths: tuple[Path, ...]
    local_repository: Path
    password_file: Path
    offsite: tuple[Offsite, ...]
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    min_free_percent: int
    max_repository_gb: int
    limit_upload_kib: int
    lock_timeout_s: int
    lock_retries: int
    offsite_timeout_s: int
    state_dir: Path
    cache_dir: Path
    alerts_file: Path | None

    @property
    def backs_up(self) -> bool:
        """Whether the backup jobs run here; on all hosts but one they do not."""
        return self.pg_mode != NONE

    @property
    def staging(self) -> Path:
        """Where the dumps of a run stand. Constant: restic's grouping and deduplication depend on the path."""
        return self.state_dir / "staging" / "databases"

    @property
    def media_mirror(self) -> Path:
        """What is in the bucket, on this disk: restic reads folders. Constant, and kept from one run to the next."""
        return self.state_dir / "media"

    @property
    def has_media(self) -> bool:
        return bool(self.media_volume or self.media_bucket)


def problems(env: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with the TTS_ variables, one sentence each. Never repeats a value of an unknown key."""
    idle = OF_BACKUPS if env.get("TTS_PG_MODE") == NONE else ()
    found = [f"{key} is missing" for key in REQUIRED if not env.get(key) and key not in idle]
    for key, value in sorted(env.items()):
        if not SAFE_VALUE.fullmatch(value):
            found.append(f"{key} has a character outside A-Za-z0-9_@%+=:,./-")
        if key in _NUMBERS and not value.isdigit():
            found.append(f"{key} must be a whole number")
    if env.get("TTS_PG_MODE") and env["TTS_PG_MODE"] not in PG_MODES:
        found.append(f"TTS_PG_MODE must be one of {', '.join(PG_MODES)}")
    if env.get("TTS_PG_MODE") == "managed" and not env.get("TTS_PG_CREDENTIALS"):
        found.append("TTS_PG_CREDENTIALS is missing: TTS_PG_MODE=managed needs a file with PGHOST, PGUSER and the rest")
    found += [
        f"{key} is missing: TTS_MEDIA_BUCKET names {env['TTS_MEDIA_BUCKET']}"
        for key in ("TTS_MEDIA_ENDPOINT", "TTS_MEDIA_CREDENTIALS")
        if env.get("TTS_MEDIA_BUCKET") and not env.get(key)
    ]
    found += _offsite_problems(env)
    found += [
        f"TTS_CONFIG_PATHS: {path} is not an absolute path"
        for path in _paths(env.get("TTS_CONFIG_PATHS", ""))
        if not path.is_absolute()
    ]
    return found


def _offsite_problems(env: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    names = _csv(env.get("TTS_OFFSITE", ""))
    for name in names:
        if not NAME.fullmatch(name) or name == LOCAL:
            found.append(f"TTS_OFFSITE: {name!r} is not a name of small letters, digits and dashes, other than {LOCAL}")
        elif not env.get(key := offsite_key(name, "REPOSITORY")):
            found.append(f"{key} is missing: TTS_OFFSITE names {name}")
    found += [f"TTS_OFFSITE names {name} twice" for name in sorted({name for name in names if names.count(name) > 1})]
    return found


def offsite_key(name: str, part: str) -> str:
    """The variable that holds the REPOSITORY, CREDENTIALS or PASSWORD_FILE of destination `name`."""
    return f"TTS_OFFSITE_{name.upper().replace('-', '_')}_{part}"


def unknown_keys(env: Mapping[str, str]) -> list[str]:
    """Keys that no script reads: a misspelt setting would otherwise be ignored in silence."""
    known = {*REQUIRED, *OPTIONAL}
    return sorted(key for key in env if key not in known and not OFFSITE_KEY.fullmatch(key))


def load(environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings. Raises ConfigError that names every problem at once."""
    env = {
        key: value
        for key, value in (environ or os.environ).items()
        if key in REQUIRED or key in OPTIONAL or OFFSITE_KEY.fullmatch(key)
    }
    found = problems(env)
    if found:
        raise ConfigError("configuration: " + "; ".join(found))
    given = {key: value for key, value in env.items() if value}
    get = {**OPTIONAL, **dict.fromkeys(OF_BACKUPS, os.devnull), **given}.__getitem__
    return Config(
        host=get("TTS_HOST"),
        stack=get("TTS_STACK"),
        project=get("TTS_COMPOSE_PROJECT"),
        app_dir=Path(get("TTS_APP_DIR")),
        app_env=Path(get("TTS_APP_ENV")),
        pg_mode=get("TTS_PG_MODE"),
        pg_service=get("TTS_PG_SERVICE"),
        pg_user=get("TTS_PG_USER"),
        pg_expected=_csv(get("TTS_PG_EXPECTED")),
        pg_credentials=_path(get("TTS_PG_CREDENTIALS")),
        media_volume=get("TTS_MEDIA_VOLUME"),
        media_bucket=get("TTS_MEDIA_BUCKET"),
        media_endpoint=get("TTS_MEDIA_ENDPOINT"),
        media_region=get("TTS_MEDIA_REGION"),
        media_credentials=_path(get("TTS_MEDIA_CREDENTIALS")),
        media_errors=int(get("TTS_MEDIA_ERRORS")),
        media_references=_csv(get("TTS_MEDIA_REFERENCES")),
        broker_service=get("TTS_BROKER_SERVICE"),
        config_paths=_paths(get("TTS_CONFIG_PATHS")),
        local_repository=Path(get("TTS_LOCAL_REPOSITORY")),
        password_file=Path(get("TTS_PASSWORD_FILE")),
        offsite=tuple(_offsite(name, env) for name in _csv(get("TTS_OFFSITE"))),
        keep_daily=int(get("TTS_KEEP_DAILY")),
        keep_weekly=int(get("TTS_KEEP_WEEKLY")),
        keep_monthly=int(get("TTS_KEEP_MONTHLY")),
        min_free_percent=int(get("TTS_MIN_FREE_PERCENT")),
        max_repository_gb=int(get("TTS_MAX_REPOSITORY_GB")),
        limit_upload_kib=int(get("TTS_LIMIT_UPLOAD_KIB")),
        lock_timeout_s=int(get("TTS_LOCK_TIMEOUT")),
        lock_retries=int(get("TTS_LOCK_RETRIES")),
        offsite_timeout_s=int(get("TTS_OFFSITE_TIMEOUT")),
        state_dir=Path(get("TTS_STATE_DIR")),
        cache_dir=Path(get("TTS_CACHE_DIR")),
        alerts_file=_path(get("TTS_ALERTS_FILE")),
    )


def _offsite(name: str, env: Mapping[str, str]) -> Offsite:
    return Offsite(
        name=name,
        repository=env[offsite_key(name, "REPOSITORY")],
        credentials=_path(env.get(offsite_key(name, "CREDENTIALS"), "")),
        password_file=Path(env.get(offsite_key(name, "PASSWORD_FILE")) or env["TTS_PASSWORD_FILE"]),
    )


def _csv(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in text.split(":") if part)


def _path(text: str) -> Path | None:
    return Path(text) if text else None
