"""The PostgreSQL server, wherever it runs: in a container, on this host, or managed. Tools are always the server's
own.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tts_host import docker, inside
from tts_host.log import Failure
from tts_host.process import Done, run, start
from tts_host.restic import read_env_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tts_host.config import Config

APPLICATION = "tts-backup"  # how our sessions are named in pg_stat_activity
PSQL = ("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1")
RESTORE_MARK = "tts: unfinished restore"  # comment of a database that a restore is still filling
RESTORE_NAME = "tts_unfinished__"  # begins the name of a database that a restore has made and not marked yet

# Databases to back up: those that accept connections, without templates and unfinished restores; `postgres` only
# with tables.
CATALOG = f"""
select d.datname as name, r.rolname as owner, pg_encoding_to_char(d.encoding) as encoding, d.datcollate as collate,
       d.datctype as ctype, to_jsonb(d) ->> 'datlocprovider' as provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
       pg_database_size(d.oid) as bytes, d.datallowconn and has_database_privilege(d.oid, 'connect') as connectable,
       (select coalesce(json_agg(json_build_object('role', coalesce(nullif(a.grantee, 0)::regrole::text, 'public'),
                                                   'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]')
          from aclexplode(d.datacl) a) as acl,
       (select coalesce(json_agg(json_build_object('role', s.rolname, 'setting', c)), '[]')
          from pg_db_role_setting x left join pg_roles s on s.oid = x.setrole, unnest(x.setconfig) c
         where x.setdatabase = d.oid) as settings
  from pg_database d join pg_roles r on r.oid = d.datdba
 where not d.datistemplate and coalesce(shobj_description(d.oid, 'pg_database'), '') <> '{RESTORE_MARK}'
   and not starts_with(d.datname, '{RESTORE_NAME}')
 order by d.datname
"""
USER_TABLES = """
select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
"""
# Exact row counts: one statement per table, each run by \gexec; tables of extensions are the extension's own.
COUNTS = """
select format('select json_build_object(''schema'', %L, ''name'', %L, ''rows'', count(*)) from only %I.%I',
              n.nspname, c.relname, n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
   and not exists (select 1 from pg_depend e
                    where e.objid = c.oid and e.classid = 'pg_class'::regclass and e.deptype = 'e')
 order by 1
"""


@dataclass(frozen=True)
class Server:
    """How to reach one server: a command prefix and, for a managed one, a libpq environment."""

    mode: str
    prefix: tuple[str, ...]
    user: str
    container: docker.Container | None = None
    maintenance: str = "postgres"  # the database for questions about the server
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    def command(self, program: str, *args: str, database: str | None = None) -> list[str]:
        """The command line of a PostgreSQL tool. There is no TTY: it would damage a dump."""
        target = ["--dbname", conninfo(database)] if database is not None else []
        user = ["--username", self.user] if self.user else []
        return [*self.prefix, program, *user, *target, *args]

    def tool(
        self,
        program: str,
        *args: str,
        database: str | None = None,
        stdin: str | None = None,
        timeout: float | None = None,
    ) -> Done:
        return run(self.command(program, *args, database=database), env=self.env, stdin=stdin, timeout=timeout)

    def stream(self, program: str, *args: str, database: str | None = None, **pipes: Any) -> subprocess.Popen[bytes]:
        return start(self.command(program, *args, database=database), env=dict(self.env), **pipes)

    def shell(self, script: str, program: str, *args: str, database: str | None = None) -> Done:
        """Run a shell script where the server's tools run; the tool with its options is `"$@"` in it."""
        argv = self.command(program, *args, database=database)[len(self.prefix) :]
        return run([*self.prefix, "sh", "-c", script, "sh", *argv], env=self.env)

    def tool_output(self, *argv: str, stdin: str | None = None) -> str:
        """Run an ordinary command where the server's tools run."""
        done = run([*self.prefix, *argv], env=self.env, stdin=stdin, timeout=300)
        if done.code != 0:
            raise Failure(f"{argv[0]} on the database server ended with {done.code}: {done.words}")
        return done.out

    def writer(self, path: str) -> subprocess.Popen[bytes]:
        """A process that writes its input to a new private file where the server's tools run."""
        argv = [*self.prefix, "sh", "-c", 'umask 077; cat > "$1"', "sh", path]
        return start(
            argv, env=dict(self.env), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def sql(self, database: str, text: str, *, timeout: float | None = 600, **variables: str) -> str:
        """Run statements, stopping at the first error. `variables` reach SQL as psql variables, so names are never
        pasted.
        """
        sets = [f"--set={key}={value}" for key, value in variables.items()]
        done = run(self.command(*PSQL, *sets, database=database), env=self.env, stdin=text, timeout=timeout)
        if done.code != 0:
            raise Failure(f"SQL in database {database} failed: {done.words}")
        return done.out

    def rows(self, database: str, select: str) -> list[dict[str, Any]]:
        """The rows of a select, as dictionaries."""
        return json.loads(self.sql(database, f"select coalesce(json_agg(q), '[]') from ({select}) q"))

    def count_rows(self, database: str) -> list[dict[str, Any]]:
        """Exact row count of every table, now."""
        return [
            json.loads(line)
            for line in self.sql(database, COUNTS.rstrip() + " \\gexec\n", timeout=None).splitlines()
            if line
        ]

    def databases(self) -> list[dict[str, Any]]:
        """All databases that belong in a backup, with what is needed to create them again."""
        found: list[dict[str, Any]] = []
        for item in self.rows(self.maintenance, CATALOG):
            if not item.pop("connectable"):
                continue
            if item["name"] != self.maintenance or int(self.sql(self.maintenance, USER_TABLES)):
                found.append(item)
        return found

    def drop(self, database: str) -> None:
        """Drop a database of ours, if it is there. By force where we may end every session: an administrator who is no
        superuser may not end an autovacuum, while the server does so by itself for a plain drop.
        """
        force = "" if self.mode == "managed" else " with (force)"
        self.sql(self.maintenance, f"drop database if exists {identifier(database)}{force}")

    def version(self) -> tuple[int, str]:
        """Number (150018) and text (15.18) of the server's version."""
        number, text = self.sql(self.maintenance, "show server_version_num; show server_version;").split("\n")[:2]
        return int(number), text

    def end_own_sessions(self) -> int:
        """Terminate sessions that a killed run of ours left behind; returns how many."""
        ended = self.sql(
            self.maintenance,
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = :'app' and pid "
            "<> pg_backend_pid()",
            app=APPLICATION,
        )
        return int(ended)


def connect(config: Config) -> Server:
    """Find the server and prove that it answers."""
    server = _find(config)
    done = run(server.command(*PSQL, database=server.maintenance), env=server.env, stdin="select 1", timeout=30)
    if done.code != 0:
        raise Failure(f"PostgreSQL ({config.pg_mode}) does not answer: {done.words}")
    return server


def _find(config: Config) -> Server:
    names = {"PGAPPNAME": APPLICATION, "PGCONNECT_TIMEOUT": "10"}
    if config.pg_mode == "container":
        container = docker.one_container(config.project, config.pg_service)
        if entered := inside.prefix(container):
            env = {**inside.environment(container), **names}
            return Server("container", entered, config.pg_user, container, env=env)
        words = [word for key, value in names.items() for word in ("--env", f"{key}={value}")]
        return Server("container", ("docker", "exec", "-i", *words, container.id), config.pg_user, container)
    if config.pg_mode == "host":
        return Server("host", ("runuser", "-u", "postgres", "--"), config.pg_user, env=names)
    env = {**read_env_file(config.pg_credentials), **names}
    if env.get("PGSSLMODE", "verify-full") != "verify-full":
        raise Failure(
            f"{config.pg_credentials} sets PGSSLMODE={env['PGSSLMODE']}: a managed server is only reached with "
            "verify-full"
        )
    return Server(
        "managed", (), "", maintenance=env.get("PGDATABASE", "defaultdb"), env={"PGSSLMODE": "verify-full", **env}
    )


def conninfo(database: str) -> str:
    """A connection string for a database of any name; a bare name with `=` in it would be read as one."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def literal(text: str) -> str:
    """An SQL string literal."""
    return (
        "'" + text.replace("'", "''") + "'"
        if "\\" not in text
        else " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    )


def identifier(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
