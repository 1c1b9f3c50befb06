"""A hundred thousand rows in each of the five databases, made by the server itself in a second or two."""

from __future__ import annotations

ROWS = 100_000
MARK = "bulk"  # by which they are found again
_OF = f"from generate_series(1, {ROWS}) n"
_TEXT = "repeat('text of ticket ' || n || ' ', 1 + n % 8)"

ADD = {
    "auth_db": "insert into auth_user"
    " (password, is_superuser, username, first_name, last_name, email, is_staff, is_active,"
    f" date_joined) select '!', false, '{MARK}-' || n, '', '', '', false, true, now() {_OF}",
    "ticket_db": "insert into ticketing_ticket (id, title, description, requester, priority, status, created_at)"
    f" select gen_random_uuid(), 'ticket ' || n, {_TEXT}, '{MARK}', 'normal', 'open', now() {_OF}",
    "workflow_db": "insert into workflow_run (ticket, title, created_at)"
    f" select gen_random_uuid(), '{MARK} ' || n, now() {_OF}",
    "messaging_db": "insert into messaging_message (ticket, author, text, created_at)"
    f" select gen_random_uuid(), '{MARK}', {_TEXT}, now() {_OF}",
    "notification_db": "insert into notification_notification (event, ticket, recipient, subject, body, created_at)"
    f" select gen_random_uuid(), gen_random_uuid(), '{MARK}', 'ticket ' || n, {_TEXT}, now() {_OF}",
}
REMOVE = {
    "auth_db": f"delete from auth_user where username like '{MARK}-%'",
    "ticket_db": f"delete from ticketing_ticket where requester = '{MARK}'",
    "workflow_db": f"delete from workflow_run where title like '{MARK} %'",
    "messaging_db": f"delete from messaging_message where author = '{MARK}'",
    "notification_db": f"delete from notification_notification where recipient = '{MARK}'",
}
