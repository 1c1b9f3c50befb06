"""The little that the JSON views share."""

import json
from typing import Any

from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import HttpRequest, JsonResponse

PAGE = 50


class BadRequestError(ValueError):
    """The request's body is not what the view takes; the text is for the client."""


def body(request: HttpRequest) -> dict[str, Any]:
    """Return the fields of a JSON or form body."""
    if request.content_type != "application/json":
        return request.POST.dict()
    try:
        fields = json.loads(request.body)
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadRequestError("the body must be a JSON object")
    return fields


def invalid(form: Form) -> JsonResponse:
    """Return 400 with each field's errors."""
    return JsonResponse({"errors": form.errors.get_json_data()}, status=400)


def error(status: int, message: str) -> JsonResponse:
    """Return an error that is not about one field."""
    return JsonResponse({"error": message}, status=status)


def page(request: HttpRequest, rows: "QuerySet[Any]", name: str) -> JsonResponse:
    """Return one page (`?offset=`) of rows, newest first, and how many there are."""
    try:
        offset = max(0, int(request.GET.get("offset", 0)))
    except ValueError:
        return error(400, "offset must be a number")
    return JsonResponse({"count": rows.count(), name: [row.as_json() for row in rows[offset : offset + PAGE]]})


class AsJson(Model):
    """A row that can be shown: the fields named in `shown`, in that order."""

    shown: tuple[str, ...] = ()

    class Meta:
        abstract = True

    def as_json(self) -> dict[str, Any]:
        """Return the shown fields."""
        return {name: getattr(self, name) for name in self.shown}
