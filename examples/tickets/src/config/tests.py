"""What holds for each service; run once per SERVICE."""

import gc
import io
import json
from collections import Counter
from unittest.mock import patch

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, transaction
from django.test import SimpleTestCase, TestCase

from config import gunicorn, health
from config.database import database, derived_password
from config.services import SERVICES

ON_HOST = {"SECRET_KEY": "k"}


def answer(*arguments: str) -> dict[str, object]:
    """Return what a command prints."""
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return json.loads(out.getvalue())


class HealthTest(TestCase):
    """/health/ is honest."""

    def setUp(self):
        self.enterContext(patch("config.celery.app.connection_for_write"))
        health._migrated.cache_clear()

    def test_a_service_that_can_work_is_healthy(self):
        response = self.client.get("/health/")
        self.assertEqual(response.status_code, 200)
        self.assertEqual("broker" in response.json()["checks"], settings.SERVICE.broker)

    def test_each_failed_check_makes_it_unhealthy_and_is_named(self):
        for name in self.client.get("/health/").json()["checks"]:
            with patch(f"config.health.{name}", side_effect=OperationalError("secret"), __name__=name):
                response = self.client.get("/health/")
            self.assertEqual((response.status_code, response.json()["checks"][name]), (503, "OperationalError"))
            self.assertNotIn(b"secret", response.content)

    def test_a_schema_that_is_behind_the_code_is_unhealthy(self):
        with patch("config.health.MigrationExecutor") as executor:
            executor.return_value.migration_plan.return_value = ["one"]
            response = self.client.get("/health/")
        self.assertEqual(response.status_code, 503)
        self.assertIn("RUN_MIGRATIONS", response.json()["checks"]["database"])

    def test_a_bucket_has_to_be_reached_once_and_may_be_away_later(self):
        bucket = {"default": {"BACKEND": "storages.backends.s3.S3Storage"}}
        with self.settings(STORAGES=settings.STORAGES | bucket), patch("config.health.default_storage") as storage:
            storage.exists.side_effect = OSError("certificate verify failed")
            self.addCleanup(health._reached.cache_clear)
            with self.assertRaises(OSError):
                health.media()
            storage.exists.side_effect = None
            health.media()
            storage.exists.side_effect = OSError
            health.media()

    def test_the_system_is_healthy_when_all_five_are(self):
        healthy = lambda *_, **__: io.BytesIO(b'{"healthy": true}')  # noqa: E731
        with patch("config.health.urlopen", healthy), patch("config.health._report", return_value={"healthy": True}):
            response = self.client.get("/health/system/")
        self.assertEqual((response.status_code, len(response.json()["services"])), (200, 5))

    def test_one_service_that_does_not_answer_makes_the_system_unhealthy(self):
        with (
            patch("config.health.urlopen", side_effect=TimeoutError),
            patch("config.health._report", return_value={"healthy": True}),
        ):
            self.assertEqual(self.client.get("/health/system/").status_code, 503)


class CommandsTest(TestCase):
    """Seed and fingerprint."""

    def test_the_models_have_their_migrations(self):
        call_command("makemigrations", "--check", "--dry-run", stdout=io.StringIO())

    def test_the_same_seed_gives_the_same_rows_and_another_seed_others(self):
        first = answer("seed", "--tickets", "30", "--seed", "1")
        rows = answer("fingerprint")["rows"]
        again = answer("seed", "--tickets", "30", "--seed", "1")
        self.assertEqual((again["made"], again["digest"]), ({}, first["digest"]))
        self.assertEqual(answer("fingerprint")["rows"], rows)
        other = answer("seed", "--tickets", "30", "--seed", "2")
        self.assertNotEqual(other["digest"], first["digest"])
        self.assertEqual(set(other["made"]), set(first["made"]))

    def test_an_interrupted_seeding_is_finished_by_the_next(self):
        with transaction.atomic():
            whole = Counter(answer("seed", "--tickets", "30")["made"])
            transaction.set_rollback(True)
        first = Counter(answer("seed", "--tickets", "10")["made"])
        rest = Counter(answer("seed", "--tickets", "30")["made"])
        self.assertEqual(first + rest, whole)
        self.assertTrue(first and rest)

    def test_fingerprint_counts_every_table(self):
        tables = answer("fingerprint")["tables"]
        self.assertIn("django_migrations", tables)
        self.assertTrue(all(isinstance(count, int) for count in tables.values()))

    def test_a_senseless_number_of_tickets_is_refused(self):
        with self.assertRaises(CommandError):
            call_command("seed", "--tickets", "-1")


class DatabaseTest(SimpleTestCase):
    """Which database a service uses."""

    def test_without_a_url_it_is_the_one_beside_the_service(self):
        for service in SERVICES.values():
            found = database(service, ON_HOST)
            self.assertEqual(
                (found["HOST"], found["NAME"], found["USER"]), ("postgres", service.database, service.role)
            )
            self.assertEqual(found["PASSWORD"], derived_password(service.role, "k"))

    def test_no_two_services_share_a_password(self):
        self.assertEqual(len({database(service, ON_HOST)["PASSWORD"] for service in SERVICES.values()}), len(SERVICES))

    def test_a_url_goes_before_it_and_a_ca_makes_the_server_prove_its_name(self):
        elsewhere = {"DATABASE_URL": "postgresql://u:p@db.example:25060/pool", "DATABASE_CA_FILE": "/ca.crt"}
        found = database(SERVICES["auth"], ON_HOST | elsewhere)
        self.assertEqual((found["HOST"], found["PORT"], found["NAME"]), ("db.example", 25060, "pool"))
        self.assertEqual((found["OPTIONS"]["sslmode"], found["OPTIONS"]["sslrootcert"]), ("verify-full", "/ca.crt"))

    def test_connection_pools_are_supported(self):
        self.assertTrue(database(SERVICES["auth"], ON_HOST)["DISABLE_SERVER_SIDE_CURSORS"])


class CollectionTest(SimpleTestCase):
    """A full garbage collection leaves out what Django has loaded before the first request."""

    def test_what_is_loaded_before_the_worker_is_frozen(self):
        self.addCleanup(gc.unfreeze)
        gunicorn.when_ready(None)
        self.assertGreater(gc.get_freeze_count(), 10_000)
