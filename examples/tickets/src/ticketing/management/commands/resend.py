"""`manage.py resend`: for a broker that lost its queues."""

from argparse import ArgumentParser
from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils import timezone

from ticketing.models import Event


class Command(BaseCommand):
    """Hand events to the broker once more; workers ignore what they have done already."""

    help = "Sends the events of the last hours again, after the broker was lost or replaced."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take how far to go back."""
        parser.add_argument("--hours", type=float, default=24.0, help="how far to go back (default: 24)")

    def handle(self, *_: object, hours: float, **__: object) -> None:
        """Mark them unsent: the running service relays them."""
        recent = Event.objects.filter(created_at__gte=timezone.now() - timedelta(hours=hours))
        self.stdout.write(f"{recent.update(sent_at=None)} events will be sent again")
