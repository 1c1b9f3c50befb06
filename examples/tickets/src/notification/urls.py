"""/api/notifications/."""

from django.urls import path

from notification import views

urlpatterns = [
    path("notifications/", views.notifications),
    path("notifications/<uuid:ticket_id>/", views.notifications),
]
