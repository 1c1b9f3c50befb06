"""/api/workflows/."""

from django.urls import path

from workflow import views

urlpatterns = [
    path("workflows/", views.workflows),
    path("workflows/<uuid:ticket_id>/", views.workflow),
]
