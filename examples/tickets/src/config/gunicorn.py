"""One process with threads: the services wait for the database most of the time, and memory is what the host lacks."""

import gc
import os

bind = "0.0.0.0:8000"
workers = int(os.environ.get("WEB_WORKERS") or 1)
threads = int(os.environ.get("WEB_THREADS") or 6)
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn's heartbeat file must not wait for a disk
control_socket_disable = True
preload_app = True  # Django starts once, for the migrations and for the worker
timeout = 60
graceful_timeout = 25
keepalive = 75  # longer than nginx keeps an idle connection


def on_starting(_server) -> None:
    """Migrate, before anything listens. Several hosts share one database: exactly one of them has RUN_MIGRATIONS=1, and
    the others report unhealthy until it is done.
    """
    if os.environ.get("RUN_MIGRATIONS") != "1":
        return
    from django.core.management import call_command  # noqa: PLC0415 - after Django is ready
    from django.db import connections  # noqa: PLC0415

    call_command("migrate", interactive=False)
    connections.close_all()  # a connection must not be shared with a worker


def when_ready(_server) -> None:
    """What Django has loaded by now stays for good. Frozen, it is left out of full garbage collections, in which every
    request waits (17 ms for 70,000 objects, most of them loaded by now), and its memory stays shared with the worker.
    """
    gc.collect()
    gc.freeze()


def post_worker_init(worker) -> None:
    """In the ticket service: start the thread that hands stored events to the broker."""
    if os.environ.get("SERVICE") == "ticket":
        from ticketing.outbox import start_relay  # noqa: PLC0415 - after Django is ready

        start_relay()
    worker.log.info("serving %s", os.environ.get("SERVICE"))
