"""`manage.py drained`: whether work waits anywhere between the database and the workers."""

import time
from argparse import ArgumentParser

from amqp.exceptions import NotFound
from django.core.management.base import BaseCommand, CommandError

from config.celery import app as celery
from ticketing.models import Event

_PAUSE = 0.5  # seconds between looks


class Command(BaseCommand):
    """Events that are not sent, and tasks that no worker has done, are work that would be lost with the broker."""

    help = "Ends with 0 as soon as no event waits to be sent and no task waits in a queue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take how long to wait."""
        parser.add_argument("--within", type=float, default=0.0, help="seconds to wait for that (default: look once)")

    def handle(self, *_: object, within: float, **__: object) -> None:
        """Look until nothing waits; say what does when the time is over."""
        deadline = time.monotonic() + within
        while waiting := _waiting():
            if time.monotonic() > deadline:
                raise CommandError(", ".join(f"{count} {what}" for what, count in waiting.items()))
            time.sleep(_PAUSE)


def _waiting() -> dict[str, int]:
    queues = list(Event.objects.order_by().values_list("queue", flat=True).distinct())
    counts = {"events not sent": Event.objects.filter(sent_at=None).count()}
    with celery.connection_for_read() as link:
        counts |= {f"tasks in queue {queue}": _tasks(link, queue) for queue in queues}
    return {what: count for what, count in counts.items() if count}


def _tasks(link, queue: str) -> int:
    """Tasks that no worker has; of a queue that was never used, none."""
    with link.channel() as channel:
        try:
            return channel.queue_declare(queue, passive=True).message_count
        except NotFound:
            return 0
