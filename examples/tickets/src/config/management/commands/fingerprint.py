"""`manage.py fingerprint`: what this service holds, to compare before and after."""

import json
import sys
from hashlib import file_digest, sha256
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.db.models import FileField, Model


class Command(BaseCommand):
    """Count and hash every row and every file. Exits with 1 when a file is not what its row says."""

    help = "Prints JSON: rows of every table, a hash over all rows, and a hash over all files as they are stored."

    def handle(self, *_: object, **__: object) -> None:
        """Read everything in one transaction."""
        with transaction.atomic():
            if connection.vendor == "postgresql":
                connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            models = [model for model in apps.get_models(include_auto_created=True) if not model._meta.proxy]
            files = [_files(model) for model in models if any(isinstance(f, FileField) for f in model._meta.fields)]
            report = {
                "service": settings.SERVICE.name,
                "database": connection.settings_dict["NAME"],
                "tables": _counts(),
                "rows": {model._meta.db_table: _rows(model) for model in models},
                "files": files[0] if files else None,
            }
        self.stdout.write(json.dumps(report, sort_keys=True))
        if files and files[0]["damaged"]:
            sys.exit(1)


def _counts() -> dict[str, int]:
    with connection.cursor() as cursor:
        counts = {}
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608 - the server's own names
            counts[table] = cursor.fetchone()[0]
    return counts


def _rows(model: type[Model]) -> str:
    digest = sha256()
    for row in model._default_manager.order_by("pk").values_list():
        digest.update(json.dumps(row, default=str).encode() + b"\n")
    return digest.hexdigest()


def _files(model: type[Model]) -> dict[str, Any]:
    digest, count, size, damaged = sha256(), 0, 0, []
    for row in model._default_manager.order_by("file"):
        try:
            with row.file.open("rb") as stored:
                actual = file_digest(stored, "sha256").hexdigest()
        except OSError as problem:
            actual = type(problem).__name__
        if actual != row.sha256:
            damaged.append({"path": row.file.name, "expected": row.sha256, "actual": actual})
        digest.update(f"{row.file.name} {row.size} {actual}\n".encode())
        count, size = count + 1, size + row.size
    return {"count": count, "bytes": size, "sha256": digest.hexdigest(), "damaged": damaged}
