"""Workflows."""

import uuid

from django.test import TestCase

from workflow.models import STEPS, Run, Step
from workflow.tasks import start

TICKET = str(uuid.UUID(int=1))


class WorkflowTest(TestCase):
    """The task and the API of the workflow service."""

    def test_a_repeated_task_makes_one_run(self):
        for _ in range(2):
            start(event=TICKET, ticket=TICKET, title="x", priority="high")
        self.assertEqual((Run.objects.count(), Step.objects.count()), (1, len(STEPS["high"])))

    def test_a_run_is_shown_by_its_ticket_with_the_first_step_done(self):
        start(event=TICKET, ticket=TICKET, title="x", priority="low")
        steps = self.client.get(f"/api/workflows/{TICKET}/").json()["steps"]
        self.assertEqual(steps, [{"name": "triage", "done": True}, {"name": "answer", "done": False}])

    def test_the_list_is_paged(self):
        for number in range(60):
            start(event=TICKET, ticket=str(uuid.UUID(int=number)), title="x", priority="low")
        page = self.client.get("/api/workflows/?offset=50").json()
        self.assertEqual((page["count"], len(page["workflows"])), (60, 10))
        self.assertEqual(self.client.get("/api/workflows/?offset=x").status_code, 400)

    def test_a_ticket_without_a_run_is_a_404(self):
        self.assertEqual(self.client.get(f"/api/workflows/{TICKET}/").status_code, 404)
