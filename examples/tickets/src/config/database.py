"""Where a service's database is: the host's own PostgreSQL, or any other by DATABASE_URL."""

import hashlib
from collections.abc import Mapping
from typing import Any

import dj_database_url

from config.services import Service

# A server or host that dies in the middle of a query must not hold a request longer than these few seconds.
_NETWORK = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}


def database(service: Service, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return Django's settings of the service's database.

    Without DATABASE_URL it is the PostgreSQL beside the service. With DATABASE_CA_FILE the server must prove its name
    with a certificate of that CA; a URL may say the same in its own `sslmode` and `sslrootcert`.
    """
    password = derived_password(service.role, environ["SECRET_KEY"])
    url = environ.get("DATABASE_URL") or f"postgresql://{service.role}:{password}@postgres:5432/{service.database}"
    settings: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    if settings["ENGINE"].endswith("postgresql"):
        # Connection pools in transaction mode (PgBouncer, managed pools) lose server-side cursors between queries.
        settings["DISABLE_SERVER_SIDE_CURSORS"] = True
        settings["OPTIONS"] = _NETWORK | _tls(environ) | settings.get("OPTIONS", {})
    return settings


def derived_password(role: str, secret_key: str) -> str:
    """Return the password that images/postgres/passwords.sql gives to the role."""
    return hashlib.sha256(f"{role}:{secret_key}".encode()).hexdigest()


def _tls(environ: Mapping[str, str]) -> dict[str, str]:
    ca_file = environ.get("DATABASE_CA_FILE")
    return {"sslmode": "verify-full", "sslrootcert": ca_file} if ca_file else {}
