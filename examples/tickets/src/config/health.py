"""Honest health: a service is healthy when it can do its work, not when its process exists."""

import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from urllib.error import HTTPError
from urllib.request import urlopen

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from config.celery import app as celery
from config.services import SERVICES, Service

_log = logging.getLogger(__name__)
_PEER_TIMEOUT = 6  # seconds


class UnhealthyError(Exception):
    """A check failed; the text says how."""


def database() -> None:
    """Answer a query, on the schema that this code expects."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    _migrated()


def broker() -> None:
    """Greet the broker and log in."""
    with celery.connection_for_write() as link:
        link.connect()


def media() -> None:
    """Be able to write attachments to the volume, or have reached the bucket once: afterwards it answers for itself."""
    if settings.STORAGES["default"]["BACKEND"].startswith("storages."):
        _reached()
    elif not os.access(settings.MEDIA_ROOT, os.W_OK):
        raise UnhealthyError(f"{settings.MEDIA_ROOT} is not writable")


@cache
def _reached() -> None:
    """Remembered once true: a bucket that is away for a while must not take every host with it."""
    default_storage.exists("health")


@cache
def _migrated() -> None:
    """Remembered once true: code and schema of a running process do not part again."""
    executor = MigrationExecutor(connection)
    if waiting := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise UnhealthyError(f"{len(waiting)} migrations are not applied; RUN_MIGRATIONS=1 on one host applies them")


def _checks() -> dict[str, Callable[[], None]]:
    checks = {"database": database}
    if settings.SERVICE.broker:
        checks["broker"] = broker
    if settings.SERVICE.name == "ticket":
        checks["media"] = media
    return checks


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is unhealthy
        _log.warning("health check %s failed: %s", check.__name__, problem)
        return str(problem) if isinstance(problem, UnhealthyError) else type(problem).__name__
    return "ok"


def _report() -> dict[str, object]:
    checks = {name: _outcome(check) for name, check in _checks().items()}
    healthy = all(outcome == "ok" for outcome in checks.values())
    return {"service": settings.SERVICE.name, "healthy": healthy, "checks": checks}


def _ask(peer: Service) -> dict[str, object]:
    if peer == settings.SERVICE:
        return _report()
    try:
        with urlopen(f"http://{peer.host}:8000/health/", timeout=_PEER_TIMEOUT) as answer:
            return json.load(answer)
    except HTTPError as refusal:
        return json.load(refusal)
    except (OSError, ValueError) as problem:
        return {"service": peer.name, "healthy": False, "checks": {"answer": type(problem).__name__}}


@transaction.non_atomic_requests
def service(_request: HttpRequest) -> JsonResponse:
    """200 when every check of this service passes, else 503; the body has them all."""
    report = _report()
    return JsonResponse(report, status=200 if report["healthy"] else 503)


@transaction.non_atomic_requests
def system(_request: HttpRequest) -> JsonResponse:
    """200 when all five services are healthy, else 503."""
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        reports = list(pool.map(_ask, SERVICES.values()))
    healthy = all(report.get("healthy") for report in reports)
    return JsonResponse({"healthy": healthy, "services": reports}, status=200 if healthy else 503)
