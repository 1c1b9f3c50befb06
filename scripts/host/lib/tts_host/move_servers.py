"""The two database servers of a move, both reached from the container of this host's own: its tools fit both."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tts_host import docker, inside
from tts_host.log import Failure
from tts_host.move_transfer import SPOOL, give
from tts_host.postgres import Server

if TYPE_CHECKING:
    from collections.abc import Generator

    from tts_host.docker import Container
    from tts_host.sides import HostSide, OutsideSide

APPLICATION = "tts-move"  # how our sessions are named in pg_stat_activity
OPTIONS = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"


@contextmanager
def servers(project: str, host: HostSide, outside: OutsideSide) -> Generator[tuple[Server, Server]]:
    """This host's server and the one outside, both proven to answer. What a killed attempt left in it is removed."""
    container = docker.one_container(project, host.database)
    near = reached(container, "container", host.user, {"PGAPPNAME": APPLICATION, "PGOPTIONS": OPTIONS})
    near.tool_output("sh", "-c", f"rm -rf {SPOOL}.*")
    place = near.tool_output("mktemp", "-d", f"{SPOOL}.XXXXXX").strip()
    try:
        near.tool_output("tee", f"{place}/ca", stdin=outside.ca)
        far = reached(container, "managed", "", environment(outside, f"{place}/ca"), outside.maintenance)
        for server, where in ((near, f"service {host.database}"), (far, f"{outside.host}:{outside.port}")):
            answers(server, where)
        yield near, far
    finally:
        # A move that does not come about may have stopped the container by now: that must not hide why.
        with suppress(Failure):
            near.tool_output("rm", "-rf", place)


def reached(container: Container, mode: str, user: str, env: dict[str, str], maintenance: str = "postgres") -> Server:
    """A server that the tools of the container reach with these variables: no password is in an argument."""
    if entered := inside.prefix(container):
        return Server(mode, entered, user, container, maintenance, {**inside.environment(container), **env})
    words = (word for key in env for word in ("--env", key))
    return Server(mode, ("docker", "exec", "--interactive", *words, container.id), user, container, maintenance, env)


def environment(outside: OutsideSide, ca: str) -> dict[str, str]:
    """By its private name, over TLS, with the name and the certificate verified."""
    return {
        "PGAPPNAME": APPLICATION,
        "PGHOST": outside.host,
        "PGPORT": str(outside.port),
        "PGUSER": outside.user,
        "PGPASSWORD": outside.password,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": ca,
        "PGCONNECT_TIMEOUT": "10",
        "PGOPTIONS": OPTIONS,
    }


def give_databases(outside: OutsideSide) -> None:
    """Each database outside belongs to its service's user, which may then make tables in it. With this host's tools."""
    with tempfile.NamedTemporaryFile("w", prefix="tts-ca.") as ca:
        ca.write(outside.ca)
        ca.flush()
        server = Server("managed", (), "", maintenance=outside.maintenance, env=environment(outside, ca.name))
        answers(server, f"{outside.host}:{outside.port}")
        give(server, outside.owners)


def answers(server: Server, where: str) -> None:
    try:
        server.sql(server.maintenance, "select 1;", timeout=60)
    except Failure as failure:
        raise Failure(f"PostgreSQL at {where} does not answer: {failure}") from None
