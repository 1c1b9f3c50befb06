"""Tickets, their attachments, and the events that other services must hear of."""

import re
import uuid
from pathlib import PurePath

from django.db import models
from django.utils import timezone

from config.http import AsJson


class Priority(models.TextChoices):
    """How urgent."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Status(models.TextChoices):
    """How far."""

    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class Ticket(AsJson):
    """What somebody needs. Its id is the one thing the five databases share, so no sequence gives it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=20_000)
    requester = models.CharField(max_length=150, default="guest")
    priority = models.CharField(max_length=10, choices=Priority, default=Priority.NORMAL)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    shown = ("id", "title", "description", "requester", "priority", "status", "created_at")

    class Meta:
        ordering = ("-created_at", "id")

    def as_json(self) -> dict[str, object]:
        """Return the ticket with its attachments."""
        return super().as_json() | {"attachments": [attachment.as_json() for attachment in self.attachments.all()]}


_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


def upload_path(_attachment: "Attachment", name: str) -> str:
    """Return a path nobody can choose: the client's name is kept in the row only."""
    suffix = PurePath(name).suffix.lower()
    return f"uploads/{uuid.uuid4().hex}{suffix if _SUFFIX.fullmatch(suffix) else ''}"


class Attachment(AsJson):
    """A file of a ticket, with what is needed to know that it is still the same file."""

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="attachments")
    file = models.FileField(upload_to=upload_path, max_length=200, unique=True)
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)

    shown = ("id", "name", "size", "sha256")

    class Meta:
        ordering = ("id",)

    def as_json(self) -> dict[str, object]:
        """Return the row and where to download the file."""
        return super().as_json() | {"url": f"/api/tickets/{self.ticket_id}/attachments/{self.pk}/"}


class Event(models.Model):
    """A task for another service, stored with the change it tells of: neither is ever there without the other."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.CharField(max_length=50)
    queue = models.CharField(max_length=50)
    arguments = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at",)
        indexes = (models.Index("created_at", condition=models.Q(sent_at=None), name="unsent_events"),)
