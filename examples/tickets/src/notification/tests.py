"""Notices."""

import uuid

from django.test import TestCase

from notification.models import Notification
from notification.tasks import send

EVENT, TICKET = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


class NotificationTest(TestCase):
    """The task and the API of the notification service."""

    def test_a_repeated_task_records_one_notice(self):
        for _ in range(2):
            send(event=EVENT, ticket=TICKET, recipient="guest", subject="s", body="b")
        self.assertEqual(Notification.objects.count(), 1)

    def test_notices_are_listed_by_ticket(self):
        send(event=EVENT, ticket=TICKET, recipient="guest", subject="s", body="b")
        self.assertEqual(self.client.get(f"/api/notifications/{TICKET}/").json()["count"], 1)
        self.assertEqual(self.client.get(f"/api/notifications/{EVENT}/").json()["count"], 0)
        self.assertEqual(self.client.get("/api/notifications/").json()["count"], 1)
