"""What workflow-worker does."""

from celery import shared_task
from django.db import DatabaseError, transaction

from workflow.models import Run


@shared_task(
    name="workflow.start", autoretry_for=(DatabaseError,), retry_backoff=True, retry_backoff_max=30, max_retries=None
)
def start(event: str, ticket: str, title: str, priority: str) -> None:  # noqa: ARG001 - the event's id is the task's
    """Begin a ticket's workflow; the second time does nothing."""
    with transaction.atomic():
        Run.begin(ticket, title, priority)
