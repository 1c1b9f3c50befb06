"""What the guide does by hand, as one line of Bash each. It is mended where it would not work at all, no more."""

from __future__ import annotations

from bench.host import PLACE

OUT = f"{PLACE}/guide"
POSTGRES = "tts-postgres"
DATABASES = ("auth_db", "ticket_db", "workflow_db", "notification_db", "messaging_db")
COMPOSE = "docker compose -p tts-docker --env-file /etc/tts/app.env -f /srv/app/compose.yaml"
# All that is connected to a database: `dropdb` refuses as long as one is.
SERVICES = (
    "auth-service ticket-service messaging-service notification-service"
    " workflow-api workflow-worker notification-worker"
)
USABLE = "until curl -fs -m 5 -o /dev/null http://127.0.0.1/health/; do sleep 0.2; done"


def _each(command: str) -> str:
    return f"mkdir -p {OUT} && for db in {' '.join(DATABASES)}; do {command} || exit 1; done"


DUMP = _each(f'docker exec {POSTGRES} pg_dump -U postgres "$db" | gzip > {OUT}/$db.sql.gz')
BARE_DUMP = _each(f'docker exec {POSTGRES} pg_dump -U postgres -Fc -Z0 "$db" > {OUT}/$db.dump')
_LOAD = _each(
    f'docker exec {POSTGRES} dropdb -U postgres "$db"'
    f' && docker exec {POSTGRES} createdb -U postgres -O "${{db%_db}}_service" "$db"'
    f' && gunzip < {OUT}/$db.sql.gz | docker exec -i {POSTGRES} psql -q -U postgres "$db"'
)
RESTORE = f"{COMPOSE} stop {SERVICES} && {_LOAD} && {COMPOSE} up -d --no-build && {USABLE}"
# The guide's image for tar comes from a registry; any image with tar does the same work.
MEDIA = (
    f"mkdir -p {OUT} && docker run --rm -v tts-docker_media_files:/media:ro -v {OUT}:/backup --entrypoint tar"
    " --user root tickets/postgres:15 czf /backup/media.tar.gz -C /media ."
)
