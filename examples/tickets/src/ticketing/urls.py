"""/api/tickets/."""

from django.urls import path

from ticketing import views

urlpatterns = [
    path("tickets/", views.tickets),
    path("tickets/<uuid:ticket_id>/", views.ticket),
    path("tickets/<uuid:ticket_id>/attachments/", views.attachments),
    path("tickets/<uuid:ticket_id>/attachments/<int:attachment_id>/", views.download),
]
