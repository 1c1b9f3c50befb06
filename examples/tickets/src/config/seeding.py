"""Made-up but reproducible content: the same seed gives the same rows in every service, without one asking another."""

import uuid
from datetime import UTC, datetime, timedelta
from random import Random

_NAMESPACE = uuid.UUID("6f1c9f0e-8a2b-5d3c-9e4f-7a6b5c4d3e2f")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_THINGS = ("printer", "laptop", "mailbox", "badge", "projector", "licence", "monitor", "phone", "share", "account")
_TROUBLES = ("is slow", "is missing", "needs a reset", "shows an error", "has to move", "cannot be reached", "is full")
_WORDS = (
    "please",
    "the",
    "a",
    "we",
    "again",
    "today",
    "before",
    "check",
    "room",
    "team",
    "and",
    "café",
    "größer",
    "票",
)
PRIORITIES = ("low", "normal", "normal", "high")


def source(seed: int, number: int, what: str) -> Random:
    """Return the random numbers of one part of one ticket; a larger seeding begins with the smaller one's tickets."""
    return Random(f"{seed}/{number}/{what}")


def ticket_id(seed: int, number: int) -> uuid.UUID:
    """Return the ticket's id."""
    return uuid.uuid5(_NAMESPACE, f"{seed}/{number}")


def created_at(number: int) -> datetime:
    """Return when the ticket was made: one every seven minutes of 2026."""
    return _EPOCH + timedelta(minutes=7 * number)


def title(seed: int, number: int) -> str:
    """Return the ticket's title, which the workflow service stores too."""
    random = source(seed, number, "title")
    return f"The {random.choice(_THINGS)} {random.choice(_TROUBLES)}"


def priority(seed: int, number: int) -> str:
    """Return the ticket's priority, on which its workflow depends."""
    return source(seed, number, "priority").choice(PRIORITIES)


def username(seed: int, number: int) -> str:
    """Return who asked: one of a tenth as many users as tickets."""
    return f"user-{seed}-{number // 10:05d}"


def prose(random: Random, words: int) -> str:
    """Return some words, not all of them ASCII."""
    return " ".join(random.choices(_WORDS, k=words))
