"""Django settings of every service; SERVICE chooses. All configuration comes from the environment."""

import os
import ssl
from pathlib import Path
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from config.database import database
from config.services import SERVICES

_environ = os.environ

if _environ.get("SERVICE") not in SERVICES:
    raise ImproperlyConfigured(f"SERVICE must be one of {', '.join(SERVICES)}, not {_environ.get('SERVICE')!r}")
SERVICE = SERVICES[_environ["SERVICE"]]

try:
    SECRET_KEY = _environ["SECRET_KEY"]
except KeyError:
    raise ImproperlyConfigured("SECRET_KEY must be set, to the same value for all services") from None

DEBUG = False
# nginx is the only way in, and nothing is built from the Host header: links use PUBLIC_HOST.
ALLOWED_HOSTS = ["*"]
PUBLIC_HOST = _environ.get("PUBLIC_HOST") or "localhost"

INSTALLED_APPS = [*SERVICE.apps, SERVICE.app, "config"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "config.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

# One transaction per request, committed before the answer leaves: what was answered 2xx is stored.
DATABASES = {"default": database(SERVICE, _environ) | {"ATOMIC_REQUESTS": True}}

# Attachments: the volume at /app/media, or any S3 bucket once MEDIA_BUCKET is set.
MEDIA_ROOT = Path(_environ.get("MEDIA_ROOT") or "/app/media")
ATTACHMENT_MAX_BYTES = 10 * 1024 * 1024
if _environ.get("MEDIA_BUCKET"):
    _media = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": _environ["MEDIA_BUCKET"],
            "endpoint_url": _environ.get("MEDIA_ENDPOINT_URL") or None,
            "region_name": _environ.get("MEDIA_REGION") or None,
            "access_key": _environ.get("MEDIA_ACCESS_KEY_ID") or None,
            "secret_key": _environ.get("MEDIA_SECRET_ACCESS_KEY") or None,
            "verify": _environ.get("MEDIA_CA_FILE") or None,
            "file_overwrite": False,
            "default_acl": None,
        },
    }
else:
    _media = {"BACKEND": "config.media.DurableFileSystemStorage"}
STORAGES = {"default": _media, "staticfiles": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}

# The broker beside the services, or any other by BROKER_URL (amqps:// verifies the server's certificate).
_broker_password = quote(_environ.get("RABBITMQ_PASSWORD", ""), safe="")
CELERY_BROKER_URL = _environ.get("BROKER_URL") or f"amqp://tickets:{_broker_password}@rabbitmq:5672/tickets"
if CELERY_BROKER_URL.startswith("amqps://"):
    CELERY_BROKER_USE_SSL = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": "/etc/ssl/certs/ca-certificates.crt"}
CELERY_BROKER_CONNECTION_TIMEOUT = 4
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
CELERY_TASK_IGNORE_RESULT = True
# A task is done when it is done, not when it was fetched: a killed worker's tasks go to another.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # Django says every 4xx and 5xx twice otherwise; nginx has the access log.
    "loggers": {"django": {"handlers": [], "level": "WARNING", "propagate": True}},
}
