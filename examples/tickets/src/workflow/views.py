"""The API of workflows."""

import uuid

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from config.http import page
from workflow.models import Run


@require_GET
def workflows(request: HttpRequest) -> JsonResponse:
    """List runs, newest first."""
    return page(request, Run.objects.prefetch_related("steps"), "workflows")


@require_GET
def workflow(_request: HttpRequest, ticket_id: uuid.UUID) -> JsonResponse:
    """Show the run of one ticket."""
    return JsonResponse(get_object_or_404(Run, ticket=ticket_id).as_json())
