"""The parts of the configuration that are objects. A field with a default here may be left out in the object."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class App:
    """The Compose application: where its files are and what its parts are called.

    What has a default is needed only where the state lives outside the web hosts: the variables by which the
    application takes it, and the services that then have nothing to do there.
    """

    path: str
    compose_file: str
    project: str
    secrets: tuple[str, ...]
    health_path: str
    database_service: str
    database_user: str
    databases: tuple[str, ...]
    media_volume: str
    media_references: tuple[str, ...]
    database_urls: Mapping[str, str] = field(default_factory=dict[str, str])
    database_ca_variable: str = ""
    media_variables: Mapping[str, str] = field(default_factory=dict[str, str])
    media_ca_variable: str = ""
    broker_service: str = ""
    broker_url: str = ""
    broker_variable: str = ""
    broker_listen_variable: str = ""
    drain_variable: str = ""
    migrations_variable: str = ""
    scale_variables: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Database:
    """Managed PostgreSQL: the plan of a node, how many standbys, and connections of each database's pool."""

    size: str
    standbys: int
    pool_size: int


@dataclass(frozen=True)
class Thresholds:
    """When the backup's disk is too full: least free share in percent, largest local repository in GB."""

    min_free_percent: int
    max_repository_gb: int


@dataclass(frozen=True)
class Retention:
    """How many daily, weekly and monthly snapshots are kept, by count."""

    daily: int
    weekly: int
    monthly: int


@dataclass(frozen=True)
class Vault:
    """Object lock (mode and days), days until data moves to cold storage, days that overwritten versions are kept."""

    lock_mode: str
    lock_days: int
    cold_after_days: int
    noncurrent_days: int


@dataclass(frozen=True)
class Destination:
    """A further off-site repository, by any of restic's addresses."""

    name: str
    repository: str
