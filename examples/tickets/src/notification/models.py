"""What was told to whom."""

from django.db import models
from django.utils import timezone

from config.http import AsJson


class Notification(AsJson):
    """One notice; `event` makes a repeated task harmless."""

    event = models.UUIDField(unique=True)
    ticket = models.UUIDField(db_index=True)
    recipient = models.CharField(max_length=150)
    subject = models.CharField(max_length=250)
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    shown = ("id", "ticket", "recipient", "subject", "body", "created_at")

    class Meta:
        ordering = ("-created_at", "-id")
