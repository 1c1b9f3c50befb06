"""The API of messages."""

import uuid

from django import forms
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_http_methods

from config.http import BadRequestError, body, error, invalid, page
from config.identity import IdentityError, requester
from messaging.models import Message


class MessageForm(forms.ModelForm):
    """A new message."""

    class Meta:
        model = Message
        fields = ("text",)


@require_http_methods(["GET", "POST"])
def messages(request: HttpRequest, ticket_id: uuid.UUID) -> JsonResponse:
    """List a ticket's messages, newest first; or add one."""
    if request.method == "GET":
        return page(request, Message.objects.filter(ticket=ticket_id), "messages")
    try:
        author = requester(request)
        form = MessageForm(body(request), instance=Message(ticket=ticket_id, author=author))
    except BadRequestError as problem:
        return error(400, str(problem))
    except IdentityError as problem:
        return error(problem.status, str(problem))
    if not form.is_valid():
        return invalid(form)
    return JsonResponse(form.save().as_json(), status=201)
