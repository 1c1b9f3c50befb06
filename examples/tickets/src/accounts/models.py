"""Tokens of Django's own users."""

import hashlib
import secrets

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone


class Token(models.Model):
    """A login. Only its hash is stored: who reads a backup cannot log in with it."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    @classmethod
    def issue(cls, user: User) -> str:
        """Store a new token of the user and return it, this once."""
        value = secrets.token_urlsafe(32)
        cls.objects.create(user=user, digest=cls.hashed(value))
        return value

    @staticmethod
    def hashed(value: str) -> str:
        """Return what is stored of a token (random and long, so a plain hash does)."""
        return hashlib.sha256(value.encode()).hexdigest()
