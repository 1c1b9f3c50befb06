"""The Celery application of workflow-worker and notification-worker; the ticket service only sends to it."""

import os
from pathlib import Path

from celery import Celery
from celery.signals import heartbeat_sent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("tickets")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

HEARTBEAT = Path("/tmp/worker-heartbeat")  # noqa: S108 - a private file system of the container


@heartbeat_sent.connect
def touch_heartbeat(**_: object) -> None:
    """Show the health check a live worker: sent every two seconds by its main loop while the broker is connected."""
    HEARTBEAT.touch()
