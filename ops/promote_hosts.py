"""What a promotion does on the hosts of either stack: hold them, let them go, measure them."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from ops import jobs
from ops.errors import OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.engine import Engine
    from ops.journal import Journal
    from ops.session import Session
    from ops.stack import Host

T = TypeVar("T")
_ENTRY_SECONDS: Final = 300


@dataclass(frozen=True)
class Work:
    """What every step may use: both stacks, the way in to both, and a word for the person who waits."""

    journal: Journal
    source: Engine
    target: Engine
    leaving: Session
    coming: Session
    now: Callable[[str], None]

    @property
    def plan(self) -> dict[str, Any]:
        """What was agreed to."""
        return self.journal.record.choices["plan"]

    def patiently(self, act: Callable[[], T]) -> T:
        """Wait while a host works on something else."""
        return jobs.patiently(self.now, act)


def hold(work: Work, session: Session) -> list[str]:
    """The other web hosts first: they write into the same data."""
    hosts = [*_others(session), session.outputs.owner]
    for host in hosts:
        _hold(work, session, host, "on")
    return [host.name for host in hosts]


def release(work: Work, session: Session) -> None:
    """The owner first: it migrates."""
    for host in (session.outputs.owner, *_others(session)):
        _hold(work, session, host, "off")


def take_measure(work: Work, session: Session) -> dict[str, Any]:
    work.now(f"counting rows and files of {session.stack}")
    return json.loads(jobs.ask(session, ["tts-handover", "measure"], "Measuring", timeout=3600))


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """One phrase for each table or sum that is not the same; databases that only the target has are no difference."""
    wrong: list[str] = []
    for name, tables in wanted["databases"].items():
        there = found["databases"].get(name)
        if there is None:
            wrong.append(f"database {name} is missing")
            continue
        for table in sorted({*tables, *there}):
            before, after = tables.get(table, "no table"), there.get(table, "no table")
            if before != after:
                wrong.append(f"{name} {table}: {before} and {after} rows")
    if wanted["media"] != found["media"]:
        wrong.append(f"media: {_files(wanted['media'])} and {_files(found['media'])}")
    return wrong


def answers(address: str, url: str) -> str:
    """Why an entry does not answer for a page, whoever is led there by now; empty when it does."""
    parts = urlsplit(url)
    host, _, port = address.partition(":")
    secure = parts.scheme == "https"
    name = parts.hostname or host
    connection = http.client.HTTPConnection(host, int(port or (443 if secure else 80)), timeout=10)
    try:
        if secure:
            plain = socket.create_connection((connection.host, connection.port), 10)
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=name)
        connection.request("GET", parts.path or "/", headers={"Host": name, "User-Agent": "tts"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if status < HTTPStatus.BAD_REQUEST else f"answers {status}"


def await_answer(work: Work, address: str, url: str) -> None:
    """Wait until an entry answers for a page.

    Raises:
        OpsError: it does not in five minutes.
    """
    deadline = time.monotonic() + _ENTRY_SECONDS
    while problem := answers(address, url):
        if time.monotonic() > deadline:
            raise OpsError(f"{address} does not answer.", where=problem, fix="See what is wrong: tts status")
        work.now(f"waiting for {address}: {problem}")
        time.sleep(jobs.PAUSE)


def _hold(work: Work, session: Session, host: Host, verb: str) -> None:
    def act() -> None:
        done = session.remote.run(host, ["tts-hold", verb], timeout=900)
        if done.code:
            raise jobs.failed(session, done, f"tts-hold {verb} on {host.name}")

    work.now(f"tts-hold {verb} on {host.name} of {session.stack}")
    work.patiently(act)


def _others(session: Session) -> tuple[Host, ...]:
    return tuple(host for host in session.outputs.hosts if host.role == "web" and not host.backup_owner)


def _files(media: Mapping[str, Any] | None) -> str:
    return f"{media['files']} files, sum {media['sum'][:12]}" if media else "none"
