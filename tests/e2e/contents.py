"""What is in a platform, wherever it lives: rows on the host or in the cluster, files in a volume or a bucket."""

from __future__ import annotations

import hashlib
import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

PSQL = "psql -AtX -v ON_ERROR_STOP=1"
TABLES = (
    "FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace "
    "WHERE c.relkind = 'r' AND s.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
)
# The host's own jobs know where the databases are; the answer is looked up there, not at the stack.
ON_HOST = f"docker exec -i tts-postgres {PSQL} -U postgres -d {{database}}"
OUTSIDE = f"set -a; . /etc/tts/secrets/database; {PSQL} -d {{database}}"
WHEREVER = "if grep -q '^TTS_PG_MODE=managed$' /etc/tts/backup.env; then {outside}; else {on_host}; fi"
# The services' own notes, which change as they work: who is logged in, which messages are on their way.
PASSING = ("django_session", "outbox")


@dataclass(frozen=True)
class Fingerprint:
    """What must be equal before and after: rows of every table by database, sha256 of every attachment by path."""

    rows: dict[str, dict[str, int]]
    attachments: dict[str, str]


class Contents(ABC):
    """The questions, for whatever answers them."""

    @abstractmethod
    def host(self, name: str, command: str, stdin: str | None = None) -> str:
        """Run a command on a host."""

    @abstractmethod
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""

    @abstractmethod
    def s3(self, account: str) -> Any:
        """A client of the account's object store."""

    def psql(self, sql: str, database: str = "") -> list[str]:
        """Run SQL as the administrator, in the server's own database if none is named."""
        name = database and shlex.quote(database)
        outside, on_host = OUTSIDE.format(database=name or "$PGDATABASE"), ON_HOST.format(database=name or "postgres")
        return self.host("web-1", WHEREVER.format(outside=outside, on_host=on_host), stdin=sql).splitlines()

    def databases(self) -> list[str]:
        return self.psql(
            "SELECT datname FROM pg_database "
            "WHERE NOT datistemplate AND datallowconn AND datname NOT IN ('postgres', 'defaultdb', '_dodb') ORDER BY 1"
        )

    def rows(self) -> dict[str, dict[str, int]]:
        return {database: self._rows_of(database) for database in self.databases() if "__" not in database}

    def _rows_of(self, database: str) -> dict[str, int]:
        counted = self.psql(
            "SELECT format('%s=%s', c.oid::regclass, (xpath('/row/n/text()', query_to_xml("
            f"format('SELECT count(*) AS n FROM %s', c.oid::regclass), false, true, '')))[1]) {TABLES}",
            database,
        )
        return {table: int(count) for table, count in (line.split("=") for line in counted)}

    def row_hashes(self) -> set[str]:
        """Every row of every table of the application, as `database table hash`."""
        return {
            f"{database} {line}"
            for database in self.databases()
            if "__" not in database
            for line in self._hashes(database)
        }

    def lasting_rows(self) -> set[str]:
        """The hashes of the rows that the services do not change by themselves."""
        return {row for row in self.row_hashes() if not any(word in row for word in PASSING)}

    def _hashes(self, database: str) -> list[str]:
        return self.psql(
            f"SELECT format('SELECT %L, md5(t::text) FROM %s t', c.oid::regclass, c.oid::regclass) {TABLES} \\gexec\n",
            database,
        )

    def tickets(self) -> set[str]:
        """Ids of all tickets."""
        return set(self.psql("SELECT id FROM ticketing_ticket", "ticket_db"))

    def attachments(self) -> dict[str, str]:
        if self.outputs()["rung"] in ("externalised", "balanced"):
            store, bucket = self.s3("spaces"), self.outputs()["media"]["bucket"]
            pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
            return {
                f"./{key}": hashlib.sha256(store.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()
                for key in keys
            }
        listed = self.host(
            "web-1", "docker exec tts-ticket sh -c 'cd /app/media && find . -type f -exec sha256sum {} +' || true"
        )
        return {path: digest for digest, path in (line.split(maxsplit=1) for line in listed.splitlines())}

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.rows(), self.attachments())
