"""What in a status needs a person, most urgent first, each with the command that comes next."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from ops.climb import DISK_FREE_PERCENT, MEMORY_PERCENT, command
from ops.hostreport import BackupKind, Drill
from ops.stack import deploy_command
from ops.status import Status

_HOUR = 3600
# Period of the schedule on the host plus two hours for the run itself (seconds); the host's own verification agrees.
MAX_AGE = {"databases": 26 * _HOUR, "media": 26 * _HOUR, "config": (7 * 24 + 2) * _HOUR}
MAX_DRILL_AGE = timedelta(days=33)  # the schedule's month and two days
MIN_DISK_FREE_PERCENT = DISK_FREE_PERCENT
MAX_MEMORY_PERCENT = MEMORY_PERCENT


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be. `urgent` ones make `tts status` exit with 3; others are advice."""

    urgent: bool
    text: str
    next_step: str


def judge(status: Status) -> tuple[Finding, ...]:
    """All findings of a status, urgent ones first; within that, the cause before what follows from it."""
    found = [*_hosts(status), *_services(status), *_web(status), *_backups(status), *_room(status), *_climb(status)]
    return tuple(sorted(found, key=lambda finding: not finding.urgent))


def next_step(findings: tuple[Finding, ...]) -> str:
    """The one command to type now."""
    return findings[0].next_step if findings else "tts snapshots"


def _hosts(status: Status) -> Iterator[Finding]:
    for host in status.hosts:
        if not host.reachable:
            yield Finding(True, host.error or f"{host.name} does not answer", f"tts ssh {host.name}")
        elif host.error:
            yield Finding(True, host.error, deploy_command(status.stack))


def _services(status: Status) -> Iterator[Finding]:
    for service in status.services:
        if not service.healthy:
            yield Finding(
                True,
                f"{service.name} on {service.host} is {service.state}",
                f"tts ssh {service.host} -- docker logs --tail 50 {service.name}",
            )
    yield from _held(status)
    silent = {host.name for host in status.hosts if host.error}
    serving = {service.host for service in status.services}
    for host in status.hosts:
        if host.name not in serving | silent:
            yield Finding(True, f"{host.name} runs no service", deploy_command(status.stack))


def _held(status: Status) -> Iterator[Finding]:
    """What a step down left is the way back, and is paid for."""
    if status.database and not status.database.in_use:
        text = f"The database cluster {status.database.name} is held and not in use"
        yield Finding(False, text, "tts release-old --dry-run")


def _web(status: Status) -> Iterator[Finding]:
    if not status.web.ok:
        host = status.hosts[0].name if status.hosts else ""
        yield Finding(True, f"{status.url}: {status.web.error}", f"tts ssh {host} -- docker ps")


def _backups(status: Status) -> Iterator[Finding]:
    owner = next((host for host in status.hosts if host.backup_owner), None)
    if owner is None or not (owner.error or status.backups):
        yield Finding(True, "No host is set up to back anything up", deploy_command(status.stack))
        return
    for kind in status.backups:
        yield from _kind(kind, owner.name)
    for text in owner.findings:
        yield Finding(True, text, "tts verify")
    if not owner.error:
        yield from drill_findings(status.drill)


def drill_findings(drill: Drill | None) -> Iterator[Finding]:
    """What the last rehearsal of a restore says; a backup that was never restored is only hoped for."""
    if drill is None:
        yield Finding(False, "No restore was rehearsed yet", "tts drill")
    elif not drill.ok:
        reason = f": {drill.findings[0]}" if drill.findings else ""
        yield Finding(True, f"The last drill, from {drill.repository}, failed{reason}", "tts drill --history")
    elif (old := datetime.now(UTC) - drill.started) > MAX_DRILL_AGE:
        yield Finding(True, f"The last drill is {age(old.total_seconds())} old", "tts drill")


def _kind(kind: BackupKind, owner: str) -> Iterator[Finding]:
    again = f"tts backup {kind.kind}"
    if kind.newest is None or kind.age_seconds is None:
        yield Finding(True, f"No backup of {kind.kind} yet", again)
        return
    if kind.last_result == "failed":
        reason = f": {kind.last_error}" if kind.last_error else ""
        yield Finding(True, f"The last backup of {kind.kind} failed{reason}", again)
    limit = MAX_AGE.get(kind.kind)
    if limit and kind.age_seconds > limit:
        yield Finding(True, f"The newest backup of {kind.kind} is {age(kind.age_seconds)} old", again)
    if not kind.verified:
        yield Finding(True, f"The newest backup of {kind.kind} is not verified", "tts verify")
    for copy in kind.offsite:
        reason = f": {copy.error}" if copy.error else ""
        if copy.newest is None:
            yield Finding(True, f"No copy of {kind.kind} at {copy.name}{reason}", f"tts ssh {owner} -- tts-offsite")
        elif copy.lag:
            behind = f"{copy.name} lacks {copy.lag} of the {kind.kind} snapshots{reason}"
            yield Finding(True, behind, f"tts ssh {owner} -- tts-offsite")


def _room(status: Status) -> Iterator[Finding]:
    for host in status.hosts:
        if host.disk_free_percent is not None and host.disk_free_percent < MIN_DISK_FREE_PERCENT:
            text = f"{host.name} has {host.disk_free_percent:.0f} % of its disk free"
            yield Finding(True, text, f"tts ssh {host.name} -- df -h /")
        if host.memory_used_percent is not None and host.memory_used_percent > MAX_MEMORY_PERCENT:
            text = f"{host.name} uses {host.memory_used_percent:.0f} % of its memory"
            yield Finding(False, text, f"tts ssh {host.name} -- docker stats --no-stream")


def _climb(status: Status) -> Iterator[Finding]:
    """The signs for climbing are advice, all of them in one line: they have been there for hours."""
    climb = status.climb
    if signs := [sign.text for sign in climb.signs if sign.sign != "disk"] or [sign.text for sign in climb.signs]:
        step = command(status.stack, climb.next) if climb.next else "tts status --json"
        yield Finding(False, f"{'; '.join(signs)}: {climb.words}", step)


def age(seconds: float) -> str:
    """An age in the largest unit that tells something: 40 s, 12 min, 5 h, 3 days."""
    for unit, size in (("days", 48 * _HOUR), ("h", 2 * _HOUR), ("min", 120)):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': _HOUR, 'min': 60}[unit]:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
