"""Every service: its own API, its health."""

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from config import health
from config.http import error

urlpatterns = [
    path("health/", health.service),
    path("health/system/", health.system),
    path("api/", include(f"{settings.SERVICE.app}.urls")),
]


def handler404(_request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001 - Django passes it by name
    """Answer in JSON."""
    return error(404, "there is nothing here")


def handler500(_request: HttpRequest) -> JsonResponse:
    """Answer in JSON; the log has the reason."""
    return error(500, "the service failed; nothing was stored")
