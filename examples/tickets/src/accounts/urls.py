"""/api/auth/."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("auth/users/", views.users),
    path("auth/tokens/", views.tokens),
    path("auth/me/", views.me),
]
