-- Passwords follow the environment at every start: the administrator's is POSTGRES_PASSWORD, a service's is derived from
-- SECRET_KEY and its role's name (src/config/database.py does the same). So a rotated secret, or roles restored from
-- another host, need a restart and nothing else. Read from the environment: never in a command line or a log.
\getenv admin_password POSTGRES_PASSWORD
\getenv key SECRET_KEY
SET log_min_error_statement = panic;
SELECT format('ALTER ROLE %I PASSWORD %L', 'postgres', :'admin_password')
UNION ALL
SELECT format('ALTER ROLE %I PASSWORD %L', rolname, encode(sha256(convert_to(rolname || ':' || :'key', 'UTF8')), 'hex'))
FROM pg_roles
WHERE rolname = ANY (string_to_array('auth_service,ticket_service,workflow_service,messaging_service,notification_service', ','))
\gexec
