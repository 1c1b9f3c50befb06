"""The API of notifications."""

import uuid

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from config.http import page
from notification.models import Notification


@require_GET
def notifications(request: HttpRequest, ticket_id: uuid.UUID | None = None) -> JsonResponse:
    """List notices, newest first, of one ticket or of all."""
    rows = Notification.objects.all()
    return page(request, rows.filter(ticket=ticket_id) if ticket_id else rows, "notifications")
