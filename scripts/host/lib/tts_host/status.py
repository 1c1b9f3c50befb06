"""One JSON document about this host: services, backups, disk, load. Reads only what is here; asks no store."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import datetime, timedelta, timezone
from typing import Any

from tts_host import docker, drill, gauge, hold, move_journal, placement, sample, state
from tts_host.config import Config, load
from tts_host.log import Failure, now, stamp, step
from tts_host.restic import Snapshot, local_repository
from tts_host.sizes import below
from tts_host.verify import kinds_of

# When /etc/cron.d/tts starts what: hour, minute and, for weekly, the weekday (Monday is 0).
SCHEDULE = (("databases", 2, 0, None), ("media", 3, 0, None), ("config", 4, 0, 6), ("verify", 5, 0, None))


def main(_args: list[str]) -> None:
    config = load()
    print(json.dumps(status(config)), flush=True)


def status(config: Config) -> dict[str, Any]:
    errors: list[str] = []
    backs_up = config.backs_up
    snapshots = attempt(errors, lambda: local_repository(config).snapshots(config.host), []) if backs_up else []
    disk = os.statvfs(config.state_dir)
    return {
        "services": attempt(errors, lambda: services(config), []),
        "backups": [backup(config, kind, snapshots) for kind in (kinds_of(config) if backs_up else ())],
        "disk": {
            "path": str(config.state_dir),
            "free_percent": gauge.disk_free_percent(config.state_dir),
            "free_bytes": disk.f_bavail * disk.f_frsize,
        },
        "repository_bytes": below(config.local_repository).disk if backs_up else None,
        "load": [round(value, 2) for value in os.getloadavg()],
        "memory_used_percent": gauge.memory_used_percent(),
        "week": sample.week(sample.read(config)),
        "next_runs": [
            {"job": job, "at": stamp(next_run(now(), hour, minute, day))}
            for job, hour, minute, day in (SCHEDULE if backs_up else ())
        ],
        "drill": drill.last(config),
        "placement": placement.recorded(config),
        "move": move_journal.shown(config),
        "findings": findings(config),
        "errors": errors,
    }


def findings(config: Config) -> list[str]:
    """What the last verification found, and a hold that nobody has ended."""
    held = hold.since(config)
    found = list(state.read(config, "verify").get("findings", []))
    found += [f"this host is held since {held}: no backup is made until tts-hold off"] if held else []
    moving = move_journal.shown(config)
    if moving:
        found.append(
            f"the state moves from the {moving['from']} to the {moving['to']} side since {moving['since']} "
            f"({moving['step']}). If no deployment runs, deploy again (pulumi up): it goes on from there"
        )
    return found


def attempt(errors: list[str], question: Any, otherwise: Any) -> Any:
    """One part that cannot be read must not hide the others."""
    try:
        return question()
    except (Failure, OSError) as error:
        errors.append(str(error))
        return otherwise


def services(config: Config) -> list[dict[str, Any]]:
    found = docker.containers(config.project, everything=True)
    return [
        {
            "name": c.name,
            "service": c.service,
            "healthy": c.healthy,
            "state": c.health or c.state,
            "restarts": c.restarts,
        }
        for c in found
    ]


def backup(config: Config, kind: str, snapshots: list[Snapshot]) -> dict[str, Any]:
    """The newest snapshot that is really listed, whether it was verified, how its last run ended, and where copies
    are.
    """
    last = max((item for item in snapshots if item.kind == kind), key=lambda item: item.time, default=None)
    checked = state.read(config, "verify").get("kinds", {}).get(kind, {})
    verified = bool(last and checked.get("verified") and checked.get("snapshot") == last.lineage)
    run = last_run(config, f"backup-{kind}")
    return {
        "kind": kind,
        "newest": last and stamp(last.time),
        "age_seconds": last and max(0, round((now() - last.time).total_seconds())),
        "snapshot": last and last.id,
        "verified": verified,
        "verified_at": checked.get("verified_at") if verified else None,
        "last_result": run.get("result", "none"),
        "last_error": run.get("error"),
        "offsite": [offsite(config, item.name, kind, snapshots) for item in config.offsite],
    }


def last_run(config: Config, job: str) -> dict[str, Any]:
    """The end of the last run. One that was killed left its run directory and holds no lock."""
    if (config.state_dir / "run" / job).exists() and not lock_is_held(config):
        return {"result": "failed", "error": "the run was killed before its end"}
    return state.read(config, f"job-{job}").get("last") or {}


def lock_is_held(config: Config) -> bool:
    try:
        with open(config.state_dir / "lock", "ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def offsite(config: Config, name: str, kind: str, snapshots: list[Snapshot]) -> dict[str, Any]:
    """What the destination listed when it was last asked; snapshots made since then are behind."""
    seen = state.read(config, f"offsite-{name}")
    there = seen.get("kinds", {}).get(kind, {})
    asked = seen.get("checked_at", "")
    since = sum(1 for item in snapshots if item.kind == kind and stamp(item.time) > asked)
    return {
        "name": name,
        "snapshot": there.get("snapshot"),
        "newest": there.get("newest"),
        "lag": there.get("lag", 0) + since,
        "error": seen.get("error"),
    }


def next_run(moment: datetime, hour: int, minute: int, weekday: int | None) -> datetime:
    """The next time, in UTC, that cron starts a job."""
    at = moment.astimezone(timezone.utc).replace(hour=hour, minute=minute, second=0, microsecond=0)
    while at <= moment or (weekday is not None and at.weekday() != weekday):
        at += timedelta(days=1)
    return at


if __name__ == "__main__":
    step(main)
