"""What people say about a ticket."""

from django.db import models
from django.utils import timezone

from config.http import AsJson


class Message(AsJson):
    """One message."""

    ticket = models.UUIDField(db_index=True)
    author = models.CharField(max_length=150, default="guest")
    text = models.TextField(max_length=10_000)
    created_at = models.DateTimeField(default=timezone.now)

    shown = ("id", "ticket", "author", "text", "created_at")

    class Meta:
        ordering = ("-created_at", "-id")
