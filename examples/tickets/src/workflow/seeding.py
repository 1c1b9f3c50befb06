"""The workflow of each ticket."""

from collections import Counter

from config import seeding
from workflow.models import STEPS, Run


def describe(seed: int, number: int) -> object:
    """Return all that is made for the ticket, to be hashed."""
    return [seeding.ticket_id(seed, number), seeding.title(seed, number), STEPS[seeding.priority(seed, number)]]


def make(seed: int, number: int) -> Counter[str]:
    """Make the run and its steps unless it is there."""
    level = seeding.priority(seed, number)
    made = Run.begin(
        str(seeding.ticket_id(seed, number)), seeding.title(seed, number), level, created_at=seeding.created_at(number)
    )
    return Counter(runs=1, steps=len(STEPS[level])) if made else Counter()
