"""Tickets, attachments, and the way of events to the broker."""

import io
import json
import os
from hashlib import sha256
from unittest.mock import MagicMock, Mock, patch
from urllib.error import HTTPError, URLError

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import TestCase, override_settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from config.celery import app as celery
from ticketing import outbox, seeding
from ticketing.models import Attachment, Event, Ticket

URL = "/api/tickets/"


def upload(content: bytes = b"\x00\xffcontent", name: str = "a.BIN") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


class TicketsTest(TestCase):
    """The API of the ticket service."""

    def test_a_ticket_comes_back_as_it_was_sent(self):
        made = self.client.post(URL, {"title": "Größe", "priority": "high"}, content_type="application/json")
        self.assertEqual(made.status_code, 201)
        self.assertEqual(self.client.get(f"{URL}{made.json()['id']}/").json(), made.json())
        self.assertEqual(self.client.get(URL).json()["count"], 1)

    def test_an_attachment_comes_back_byte_for_byte(self):
        made = self.client.post(URL, {"title": "x", "attachment": [upload(), upload(b"", "empty")]}).json()
        first, second = made["attachments"]
        self.assertEqual((first["size"], first["sha256"]), (9, sha256(b"\x00\xffcontent").hexdigest()))
        self.assertEqual(second["size"], 0)
        answer = self.client.get(first["url"])
        self.assertEqual(b"".join(answer.streaming_content), b"\x00\xffcontent")
        self.assertIn("attachment", answer["Content-Disposition"])

    def test_the_client_cannot_choose_where_a_file_lands(self):
        self.client.post(URL, {"title": "x", "attachment": upload(name="../../etc/cron.d/job.sh;x")})
        self.assertRegex(Attachment.objects.get().file.name, r"^uploads/[0-9a-f]{32}$")

    def test_a_bad_request_stores_nothing(self):
        for fields in ({"title": ""}, {"title": "x", "priority": "extreme"}, {"title": "x" * 201}):
            self.assertEqual(self.client.post(URL, fields | {"attachment": upload()}).status_code, 400)
        for text in ("{", "[1]"):
            self.assertEqual(self.client.post(URL, text, content_type="application/json").status_code, 400)
        self.assertFalse(Ticket.objects.exists() or Attachment.objects.exists() or Event.objects.exists())

    @override_settings(ATTACHMENT_MAX_BYTES=5)
    def test_a_file_over_the_limit_is_refused_by_name(self):
        answer = self.client.post(URL, {"title": "x", "attachment": upload()})
        self.assertEqual(answer.status_code, 413)
        self.assertIn("a.BIN", answer.json()["error"])
        self.assertFalse(Ticket.objects.exists())

    def test_a_failure_half_way_stores_nothing_and_says_so(self):
        self.client.raise_request_exception = False
        with patch("ticketing.views.announce_created", side_effect=RuntimeError):
            answer = self.client.post(URL, {"title": "x", "attachment": upload()})
        self.assertEqual((answer.status_code, answer["Content-Type"]), (500, "application/json"))
        self.assertFalse(Ticket.objects.exists() or Attachment.objects.exists())

    def test_a_file_is_flushed_to_the_disk_with_its_directory(self):
        with patch("config.media.os.fsync", wraps=os.fsync) as fsync:
            self.client.post(URL, {"title": "x", "attachment": upload()})
        self.assertEqual(fsync.call_count, 2)

    def test_a_file_can_be_added_later(self):
        ticket = Ticket.objects.create(title="x")
        url = f"{URL}{ticket.id}/attachments/"
        self.assertEqual(self.client.post(url, {"attachment": upload()}).status_code, 201)
        self.assertEqual(self.client.post(url).status_code, 400)

    def test_a_status_can_change_to_a_known_one_only(self):
        ticket = Ticket.objects.create(title="x")
        send = lambda status: self.client.patch(  # noqa: E731
            f"{URL}{ticket.id}/", {"status": status}, content_type="application/json"
        )
        self.assertEqual(send("closed").json()["status"], "closed")
        self.assertEqual(send("lost").status_code, 400)
        ticket.refresh_from_db()
        self.assertEqual(ticket.status, "closed")

    def test_what_is_not_there_is_a_404_in_json(self):
        for path in (f"{URL}{seeding.seeding.ticket_id(1, 1)}/", f"{URL}x/", "/api/none/"):
            answer = self.client.get(path)
            self.assertEqual((answer.status_code, answer["Content-Type"]), (404, "application/json"))

    def test_a_token_names_the_requester_and_a_bad_one_is_refused(self):
        token = {"Authorization": "Bearer t"}
        answer = io.BytesIO(json.dumps({"username": "reader"}).encode())
        with patch("config.identity.urlopen", return_value=answer):
            self.assertEqual(self.client.post(URL, {"title": "x"}, headers=token).json()["requester"], "reader")
        for problem, status in ((HTTPError("", 401, "", Mock(), None), 401), (URLError("down"), 503)):
            with patch("config.identity.urlopen", side_effect=problem):
                self.assertEqual(self.client.post(URL, {"title": "x"}, headers=token).status_code, status)
        self.assertEqual(Ticket.objects.count(), 1)


class OutboxTest(TestCase):
    """Events reach the broker, whatever it does."""

    def setUp(self):
        self.client.post(URL, {"title": "x", "priority": "low"})

    def test_a_ticket_tells_workflow_and_notification(self):
        with patch.object(celery, "send_task") as send:
            self.assertEqual(outbox.relay(), 2)
        sent = {call.args[0]: call.kwargs["queue"] for call in send.call_args_list}
        self.assertEqual(sent, {"workflow.start": "workflow", "notification.send": "notification"})

    def test_what_was_sent_is_not_sent_again(self):
        with patch.object(celery, "send_task"):
            outbox.relay()
            self.assertEqual(outbox.relay(), 0)

    def test_what_the_broker_refused_is_sent_later(self):
        with patch.object(celery, "send_task", side_effect=OperationalError), self.assertRaises(OperationalError):
            outbox.relay()
        self.assertEqual(Event.objects.filter(sent_at=None).count(), 2)

    def test_resend_hands_recent_events_over_again(self):
        with patch.object(celery, "send_task"):
            outbox.relay()
            call_command("resend", hours=1, stdout=io.StringIO())
            self.assertEqual(outbox.relay(), 2)


class SeededFilesTest(TestCase):
    """`seed` and `fingerprint` of what is on the disk."""

    def run_command(self, *arguments: str) -> dict[str, object]:
        out = io.StringIO()
        call_command(*arguments, stdout=out)
        return json.loads(out.getvalue())

    def test_files_have_many_sizes_up_to_the_limit(self):
        sizes = [len(data) for number in range(200) for _, data in seeding.files(3, number)]
        self.assertLess(min(sizes), 1_000)
        self.assertGreater(max(sizes), 150_000)
        self.assertLessEqual(max(sizes), seeding.LARGEST)

    def test_a_file_left_by_an_interrupted_seeding_is_replaced(self):
        self.run_command("seed", "--tickets", "5", "--seed", "4")
        Ticket.objects.all().delete()
        self.run_command("seed", "--tickets", "5", "--seed", "4")
        self.assertEqual(self.run_command("fingerprint")["files"]["damaged"], [])
        self.assertRegex(Attachment.objects.first().file.name, r"-\d$")

    def test_fingerprint_sees_one_changed_byte_and_one_lost_file(self):
        self.run_command("seed", "--tickets", "8", "--seed", "5")
        before = self.run_command("fingerprint")
        changed, lost = Attachment.objects.filter(size__gt=0)[:2]
        with open(default_storage.path(changed.file.name), "r+b") as stored:  # noqa: PTH123
            first = stored.read(1)
            stored.seek(0)
            stored.write(bytes([first[0] ^ 1]))
        default_storage.delete(lost.file.name)
        out = io.StringIO()
        with self.assertRaises(SystemExit):
            call_command("fingerprint", stdout=out)
        after = json.loads(out.getvalue())
        self.assertEqual({entry["path"] for entry in after["files"]["damaged"]}, {changed.file.name, lost.file.name})
        self.assertNotEqual(before["files"]["sha256"], after["files"]["sha256"])
        self.assertEqual(before["rows"], after["rows"])


class DrainedTest(TestCase):
    """What must not wait any more when the broker changes."""

    def drained(self, **tasks: int) -> None:
        link = MagicMock()
        channel = link.__enter__().channel().__enter__()
        channel.queue_declare = lambda queue, **_: Mock(message_count=tasks[queue])
        with patch.object(celery, "connection_for_read", return_value=link):
            call_command("drained")

    def test_an_event_that_is_not_sent_and_a_task_that_nobody_did_are_told(self):
        Event.objects.create(task="x", queue="workflow", arguments={}, sent_at=timezone.now())
        self.drained(workflow=0)
        with self.assertRaisesMessage(CommandError, "2 tasks in queue workflow"):
            self.drained(workflow=2)
        Event.objects.create(task="x", queue="notification", arguments={})
        with self.assertRaisesMessage(CommandError, "1 events not sent"):
            self.drained(workflow=0, notification=0)
