"""One notice per ticket."""

from collections import Counter

from config import seeding
from notification.models import Notification


def describe(seed: int, number: int) -> object:
    """Return all that is made for the ticket, to be hashed."""
    return [seeding.ticket_id(seed, number), seeding.title(seed, number), seeding.username(seed, number)]


def make(seed: int, number: int) -> Counter[str]:
    """Make the ticket's notice unless it is there."""
    ticket = seeding.ticket_id(seed, number)
    _, made = Notification.objects.get_or_create(
        event=ticket,  # any id that is the same next time
        defaults={
            "ticket": ticket,
            "recipient": seeding.username(seed, number),
            "subject": f"New ticket: {seeding.title(seed, number)}",
            "body": f"/#{ticket}",
            "created_at": seeding.created_at(number),
        },
    )
    return Counter(notifications=1) if made else Counter()
