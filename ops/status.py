"""Collecting what `tts status` shows: the stack's outputs, one HTTP request, one command on every host."""

import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from ops.climb import Climb, climb
from ops.errors import OpsError
from ops.hostreport import BackupKind, Drill, HostReport, decode
from ops.remote import Remote
from ops.stack import Database, Entry, Host, Media, Outputs
from ops.web import opener

_HTTP_SECONDS = 5


class Web(msgspec.Struct, frozen=True):
    """One GET of the application's URL. `code` is None when nothing answered; then `error` says why."""

    ok: bool
    code: int | None
    milliseconds: int
    error: str | None = None


class HostState(msgspec.Struct, frozen=True):
    """One host as seen now. Figures are None when it could not be asked; then `error` says why.

    `findings` are the host's own words about what it cannot read and what its last verification found.
    """

    name: str
    address: str
    size: str
    backup_owner: bool
    reachable: bool
    role: str = "web"
    load: float | None = None
    memory_used_percent: float | None = None
    disk_free_percent: float | None = None
    repository_bytes: int | None = None
    findings: tuple[str, ...] = ()
    error: str | None = None


class ServiceState(msgspec.Struct, frozen=True):
    """One container of the application on one host."""

    name: str
    host: str
    healthy: bool
    state: str
    restarts: int


class Status(msgspec.Struct, frozen=True):
    """The whole screen as data; this is the document that `tts status --json` prints, plus what `judge` finds."""

    stack: str
    rung: str
    url: str
    web: Web
    hosts: tuple[HostState, ...]
    services: tuple[ServiceState, ...]
    backups: tuple[BackupKind, ...]
    drill: Drill | None
    climb: Climb
    entry: Entry
    database: Database | None
    media: Media | None
    cost_per_month: float
    price_date: str
    notes: tuple[str, ...]


def collect(stack: str, outputs: Outputs, remote: Remote) -> Status:
    """Ask everything at once. A host that does not answer is part of the answer, not an error."""
    with ThreadPoolExecutor(max_workers=len(outputs.hosts) + 1) as pool:
        web = pool.submit(check_url, outputs.health_url)
        reports = list(pool.map(partial(_report, remote), outputs.hosts))
    return Status(
        stack=stack,
        rung=outputs.rung,
        url=outputs.url,
        web=web.result(),
        hosts=tuple(state for state, _ in reports),
        services=tuple(service for state, report in reports for service in _services(state, report)),
        backups=_backups(outputs, reports),
        drill=_drill(outputs, reports),
        climb=climb(outputs.rung, [(state.name, report.week) for state, report in reports if _serves(state)]),
        entry=outputs.entry,
        database=outputs.database,
        media=outputs.media,
        cost_per_month=outputs.cost_per_month.total,
        price_date=outputs.cost_per_month.price_date,
        notes=outputs.notes,
    )


def check_url(url: str) -> Web:
    """One GET, redirects followed; anything under 400 is an answer."""
    started = time.monotonic()
    code: int | None = None
    error: str | None = None
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "tts"})  # noqa: S310  # the stack's own URL
        with opener(url).open(request, timeout=_HTTP_SECONDS) as answer:
            code = answer.status
    except urllib.error.HTTPError as refused:
        code = refused.code
        error = f"answers {refused.code}"
        refused.close()
    except urllib.error.URLError as failed:
        error = _plain_reason(failed.reason)
    except (OSError, ValueError) as failed:
        error = _plain_reason(failed)
    return Web(error is None, code, round((time.monotonic() - started) * 1000), error)


def _plain_reason(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer in {_HTTP_SECONDS} seconds"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason)


def _serves(state: HostState) -> bool:
    """Whether the host's samples say something about the rung: it answers, and the application runs there."""
    return not state.error and state.role == "web"


def _report(remote: Remote, host: Host) -> tuple[HostState, HostReport]:
    try:
        completed = remote.run(host, ["tts-host-status"], timeout=45)
    except OpsError as error:
        return _silent(host, error, reachable=False), HostReport()
    try:
        report = decode(completed, HostReport, command="tts-host-status", host=host.name)
    except OpsError as error:
        return _silent(host, error, reachable=True), HostReport()
    return _state(host, report), report


def _silent(host: Host, error: OpsError, *, reachable: bool) -> HostState:
    text = " ".join(part for part in (error.what, error.where) if part)
    return HostState(host.name, host.address, host.size, host.backup_owner, reachable, host.role, error=text)


def _state(host: Host, report: HostReport) -> HostState:
    return HostState(
        name=host.name,
        address=host.address,
        size=host.size,
        backup_owner=host.backup_owner,
        reachable=True,
        role=host.role,
        load=report.load[0] if report.load else None,
        memory_used_percent=report.memory_used_percent,
        disk_free_percent=report.disk.free_percent if report.disk else None,
        repository_bytes=report.repository_bytes,
        findings=(*report.errors, *report.findings),
    )


def _services(state: HostState, report: HostReport) -> list[ServiceState]:
    return [ServiceState(s.name, state.name, s.healthy, s.state, s.restarts) for s in report.services]


def _backups(outputs: Outputs, reports: list[tuple[HostState, HostReport]]) -> tuple[BackupKind, ...]:
    """The backup owner's word; the other hosts run no jobs."""
    for state, report in reports:
        if state.name == outputs.backup.owner:
            return report.backups
    return ()


def _drill(outputs: Outputs, reports: list[tuple[HostState, HostReport]]) -> Drill | None:
    """The last rehearsal of a restore, by the backup owner's word."""
    return next((report.drill for state, report in reports if state.name == outputs.backup.owner), None)
