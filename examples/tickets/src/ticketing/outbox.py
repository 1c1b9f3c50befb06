"""From the database to the broker: at least once, whatever restarts in between. Receivers ignore what they did."""

import logging
import threading

from django.conf import settings
from django.db import close_old_connections, transaction
from django.utils import timezone

from config.celery import app as celery
from ticketing.models import Event, Ticket

_BATCH = 100
_PAUSE = 2.0  # seconds between looks when nobody calls; another host may have left something
_log = logging.getLogger(__name__)
_wake = threading.Event()


def announce_created(ticket: Ticket) -> None:
    """Tell workflow and notification of a new ticket, once the transaction is committed."""
    _store("workflow.start", "workflow", ticket=str(ticket.id), title=ticket.title, priority=ticket.priority)
    _notify(ticket, f"New ticket: {ticket.title}")


def announce_status(ticket: Ticket) -> None:
    """Tell notification of a changed status, once the transaction is committed."""
    _notify(ticket, f"Ticket is {ticket.status}: {ticket.title}")


def relay() -> int:
    """Hand unsent events to the broker, which confirms each; return how many. Several hosts may do this at once."""
    with transaction.atomic():
        events = Event.objects.select_for_update(skip_locked=True).filter(sent_at=None)[:_BATCH]
        for event in events:
            key = str(event.id)
            arguments = {"event": key, **event.arguments}
            celery.send_task(event.task, kwargs=arguments, queue=event.queue, task_id=key, retry=False)
            event.sent_at = timezone.now()
        Event.objects.bulk_update(events, ["sent_at"])
        return len(events)


def start_relay() -> None:
    """Start the thread that relays, in a process that serves requests."""
    threading.Thread(target=_relay_forever, name="relay", daemon=True).start()


def _notify(ticket: Ticket, subject: str) -> None:
    link = f"http://{settings.PUBLIC_HOST}/#{ticket.id}"
    arguments = {"ticket": str(ticket.id), "recipient": ticket.requester, "subject": subject, "body": link}
    _store("notification.send", "notification", **arguments)


def _store(task: str, queue: str, **arguments: str) -> None:
    Event.objects.create(task=task, queue=queue, arguments=arguments)
    transaction.on_commit(_wake.set)


def _relay_forever() -> None:
    while True:
        try:
            close_old_connections()
            if relay() < _BATCH:
                _wake.wait(_PAUSE)
                _wake.clear()
        except Exception as problem:  # noqa: BLE001 - the thread must outlive every failure
            _log.warning("events wait for the broker: %s", type(problem).__name__)
            _wake.wait(_PAUSE)
            _wake.clear()
