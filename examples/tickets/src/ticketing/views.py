"""The API of tickets and their attachments."""

import uuid

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_http_methods

from config.http import BadRequestError, body, error, invalid, page
from config.identity import IdentityError, requester
from ticketing.forms import StatusForm, TicketForm, attach, too_large
from ticketing.models import Attachment, Ticket
from ticketing.outbox import announce_created, announce_status


@require_http_methods(["GET", "POST"])
def tickets(request: HttpRequest) -> JsonResponse:
    """List tickets, newest first; or create one, with any files named `attachment` of a multipart body."""
    if request.method == "GET":
        return page(request, Ticket.objects.prefetch_related("attachments"), "tickets")
    try:
        form = TicketForm(body(request))
        author = requester(request)
    except BadRequestError as problem:
        return error(400, str(problem))
    except IdentityError as problem:
        return error(problem.status, str(problem))
    files = request.FILES.getlist("attachment")
    if not form.is_valid():
        return invalid(form)
    if names := too_large(files):
        return error(413, f"over {settings.ATTACHMENT_MAX_BYTES} bytes: {', '.join(names)}")
    form.instance.requester = author
    ticket = form.save()
    for file in files:
        attach(ticket, file)
    announce_created(ticket)
    return JsonResponse(ticket.as_json(), status=201)


@require_http_methods(["GET", "PATCH"])
def ticket(request: HttpRequest, ticket_id: uuid.UUID) -> JsonResponse:
    """Show one ticket, or change its status."""
    found = get_object_or_404(Ticket, pk=ticket_id)
    if request.method == "PATCH":
        try:
            form = StatusForm(body(request), instance=found)
        except BadRequestError as problem:
            return error(400, str(problem))
        if not form.is_valid():
            return invalid(form)
        announce_status(form.save())
    return JsonResponse(found.as_json())


@require_http_methods(["POST"])
def attachments(request: HttpRequest, ticket_id: uuid.UUID) -> JsonResponse:
    """Add one file, named `attachment`, to a ticket."""
    found = get_object_or_404(Ticket, pk=ticket_id)
    file = request.FILES.get("attachment")
    if file is None:
        return error(400, "send one file named `attachment` as multipart/form-data")
    if too_large([file]):
        return error(413, f"over {settings.ATTACHMENT_MAX_BYTES} bytes: {file.name}")
    return JsonResponse(attach(found, file).as_json(), status=201)


@require_GET
def download(_request: HttpRequest, ticket_id: uuid.UUID, attachment_id: int) -> HttpResponseBase:
    """Send a file back, always as a download."""
    found = get_object_or_404(Attachment, pk=attachment_id, ticket_id=ticket_id)
    response = FileResponse(found.file.open("rb"), as_attachment=True, filename=found.name)
    response["ETag"] = f'"{found.sha256}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
