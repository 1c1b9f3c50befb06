"""/api/messages/."""

from django.urls import path

from messaging import views

urlpatterns = [path("messages/<uuid:ticket_id>/", views.messages)]
