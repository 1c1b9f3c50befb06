"""What notification-worker does."""

from celery import shared_task
from django.db import DatabaseError

from notification.models import Notification


@shared_task(
    name="notification.send", autoretry_for=(DatabaseError,), retry_backoff=True, retry_backoff_max=30, max_retries=None
)
def send(event: str, ticket: str, recipient: str, subject: str, body: str) -> None:
    """Record a notice; the second time does nothing. Delivery by mail or chat would hang on the row."""
    fields = {"ticket": ticket, "recipient": recipient, "subject": subject, "body": body}
    Notification.objects.get_or_create(event=event, defaults=fields)
