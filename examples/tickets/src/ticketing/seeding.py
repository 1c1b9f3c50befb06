"""Tickets with attachments of many sizes, of text and of bytes that do not compress."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from config import seeding
from ticketing.models import Attachment, Status, Ticket

LARGEST = 200_000  # bytes


def files(seed: int, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the ticket's attachments: none to three."""
    random = seeding.source(seed, number, "files")
    for position in range(random.choice((0, 1, 1, 2, 3))):
        if random.random() < 0.5:
            yield f"notes {position}.txt", seeding.prose(random, random.randrange(2_000)).encode()
        else:
            # Squared: many small files, some large ones.
            yield f"dump-{position}.bin", random.randbytes(int(LARGEST * random.random() ** 2))


def content(seed: int, number: int) -> dict[str, object]:
    """Return the ticket's fields."""
    random = seeding.source(seed, number, "ticket")
    return {
        "id": seeding.ticket_id(seed, number),
        "title": seeding.title(seed, number),
        "description": seeding.prose(random, random.randrange(5, 120)),
        "requester": seeding.username(seed, number),
        "priority": seeding.priority(seed, number),
        "status": random.choice(Status.values),
        "created_at": seeding.created_at(number),
    }


def describe(seed: int, number: int) -> object:
    """Return all that is made of the ticket, to be hashed."""
    return [content(seed, number), [(name, len(data), sha256(data).hexdigest()) for name, data in files(seed, number)]]


def make(seed: int, number: int) -> Counter[str]:
    """Make the ticket and its files unless it is there; return what was made."""
    ticket, made = Ticket.objects.get_or_create(id=seeding.ticket_id(seed, number), defaults=content(seed, number))
    if not made:
        return Counter()
    count = Counter(tickets=1)
    for position, (name, data) in enumerate(files(seed, number)):
        path = f"uploads/seed-{ticket.id.hex}-{position}"
        default_storage.delete(path)  # left by a seeding that was interrupted
        Attachment.objects.create(
            ticket=ticket,
            file=default_storage.save(path, ContentFile(data)),
            name=name,
            size=len(data),
            sha256=sha256(data).hexdigest(),
        )
        count.update(attachments=1, bytes=len(data))
    return count
