"""`manage.py seed`: reproducible content for this service's database."""

import json
from argparse import ArgumentParser
from collections import Counter
from hashlib import sha256
from importlib import import_module

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

_BATCH = 100  # tickets a transaction


class Command(BaseCommand):
    """Make tickets, or what this service keeps of them. Interrupted or repeated, it ends with the same rows."""

    help = "Makes the same N tickets (or what this service keeps of them) for the same seed; prints JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the number of tickets and the seed."""
        parser.add_argument("--tickets", type=int, required=True, help="how many tickets, from 0 to 100000")
        parser.add_argument("--seed", type=int, default=1, help="which ones")

    def handle(self, *_: object, tickets: int, seed: int, **__: object) -> None:
        """Make what is missing."""
        if not 0 <= tickets <= 100_000:
            raise CommandError(f"--tickets must be from 0 to 100000, not {tickets}")
        content = import_module(f"{settings.SERVICE.app}.seeding")
        made: Counter[str] = Counter()
        digest = sha256()
        for first in range(0, tickets, _BATCH):
            with transaction.atomic():
                for number in range(first, min(first + _BATCH, tickets)):
                    made += content.make(seed, number)
                    digest.update(json.dumps(content.describe(seed, number), default=str).encode())
        report = {"service": settings.SERVICE.name, "tickets": tickets, "seed": seed, "made": made}
        self.stdout.write(json.dumps(report | {"digest": digest.hexdigest()}))
