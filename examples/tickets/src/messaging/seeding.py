"""Up to four messages per ticket."""

from collections import Counter
from datetime import timedelta

from config import seeding
from messaging.models import Message


def _texts(seed: int, number: int) -> list[str]:
    random = seeding.source(seed, number, "messages")
    return [seeding.prose(random, random.randrange(3, 60)) for _ in range(random.randrange(5))]


def describe(seed: int, number: int) -> object:
    """Return all that is made for the ticket, to be hashed."""
    return [seeding.ticket_id(seed, number), _texts(seed, number)]


def make(seed: int, number: int) -> Counter[str]:
    """Make the ticket's messages unless it has some."""
    ticket, author = seeding.ticket_id(seed, number), seeding.username(seed, number)
    if Message.objects.filter(ticket=ticket).exists():
        return Counter()
    texts = _texts(seed, number)
    for minutes, text in enumerate(texts, start=1):
        moment = seeding.created_at(number) + timedelta(minutes=minutes)
        Message.objects.create(ticket=ticket, author=author, text=text, created_at=moment)
    return Counter(messages=len(texts))
