"""Users, each with a token that nobody has."""

from collections import Counter

from django.contrib.auth.models import User

from accounts.models import Token
from config import seeding


def describe(seed: int, number: int) -> object:
    """Return all that is made for the ticket, to be hashed."""
    return seeding.username(seed, number)


def make(seed: int, number: int) -> Counter[str]:
    """Make the ticket's requester unless it is there; nobody can log in as one."""
    defaults = {"password": "!", "date_joined": seeding.created_at(number)}
    user, made = User.objects.get_or_create(username=seeding.username(seed, number), defaults=defaults)
    if not made:
        return Counter()
    # Not the hash of anything that anybody could send: knowing the seed is not knowing a token.
    digest = seeding.source(seed, number, "token").randbytes(32).hex()
    Token.objects.create(user=user, digest=digest, created_at=seeding.created_at(number))
    return Counter(users=1, tokens=1)
