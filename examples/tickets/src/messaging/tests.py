"""Messages."""

import uuid

from django.test import TestCase

from messaging.models import Message

URL = f"/api/messages/{uuid.UUID(int=1)}/"
OTHER = f"/api/messages/{uuid.UUID(int=2)}/"


class MessagesTest(TestCase):
    """The API of the messaging service."""

    def test_a_message_stays_with_its_ticket(self):
        self.assertEqual(self.client.post(URL, {"text": "größer\n票"}).status_code, 201)
        self.assertEqual(self.client.get(URL).json()["messages"][0]["text"], "größer\n票")
        self.assertEqual(self.client.get(OTHER).json()["count"], 0)

    def test_a_message_without_text_is_refused(self):
        self.assertEqual(self.client.post(URL, {"text": " "}).status_code, 400)
        self.assertFalse(Message.objects.exists())
