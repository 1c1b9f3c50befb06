"""Step `offsite`: copy to every off-site repository the snapshots that it lacks, and believe only its own list.

One destination that is down neither stops nor hides the others; what it lacks goes with the next run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tts_host import state
from tts_host.config import Config, Offsite, load
from tts_host.log import Failure, facts, log, record, redact, stamp, step
from tts_host.restic import KINDS, Repository, Snapshot, check_password_file, local_repository, offsite_repository
from tts_host.store import unlike_manifest

LOCKED = 11  # restic's status


def main(args: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=KINDS, action="append")
    kinds = tuple(parser.parse_args(args).kind or KINDS)
    config = load()
    source = local_repository(config)
    local = source.snapshots(config.host)
    good = [item for item in local if item.kind in kinds and is_good(source, item)]
    results = [send(config, offsite, source, good, local) for offsite in config.offsite]
    record(offsite=results)
    failed = [f"{item['name']}: {item['error']}" for item in results if item["result"] != "ok"]
    if failed:
        raise Failure("; ".join(failed))


def send(
    config: Config, offsite: Offsite, source: Repository, good: list[Snapshot], local: list[Snapshot]
) -> dict[str, Any]:
    """Bring one destination up to date. Every error is its own result."""
    result: dict[str, Any] = {"name": offsite.name, "result": "ok", "error": None, "copied": 0}
    try:
        check_password_file(offsite.password_file)
        target = offsite_repository(config, offsite)
        there = target.snapshots(config.host)
        pending = missing(there, good)
        if pending:
            copy(source, target, pending, config.offsite_timeout_s)
            there = target.snapshots(config.host)
            if left := missing(there, pending):
                raise Failure(
                    f"the copy ended with 0 but {offsite.name} does not list {', '.join(item.id[:8] for item in left)}"
                )
        result["copied"] = len(pending)
        remember(config, offsite.name, there, local)
        log("info", offsite=offsite.name, copied=len(pending))
    except Failure as failure:
        result |= {"result": "failed", "error": redact(str(failure))}
        log("error", offsite=offsite.name, error=str(failure))
        state.write(
            config,
            f"offsite-{offsite.name}",
            {**state.read(config, f"offsite-{offsite.name}"), "error": result["error"]},
        )
    return result


def missing(there: list[Snapshot], wanted: list[Snapshot]) -> list[Snapshot]:
    lineages = {item.lineage for item in there}
    return [item for item in wanted if item.lineage not in lineages]


def copy(source: Repository, target: Repository, snapshots: list[Snapshot], timeout_s: int) -> None:
    """`restic copy` of exactly these snapshots, oldest first."""
    limit = ["--limit-upload", str(target.limit_upload_kib)] if target.limit_upload_kib else []
    env = source.as_source()
    command = ["copy", *limit, *[item.id for item in snapshots]]
    done = target.try_run(*command, timeout=timeout_s, env=env)
    if done.code == LOCKED:
        target.unlock()  # removes locks of processes that are gone, and no others
        done = target.try_run(*command, timeout=timeout_s, env=env)
    if done.code != 0:
        raise Failure(target.explain("copy", done))


def is_good(repository: Repository, snapshot: Snapshot) -> bool:
    """Whether a snapshot may leave the host: one of databases must hold exactly what its manifest says."""
    if snapshot.kind != "databases" or snapshot.id == facts().get("snapshot"):  # the step before has proved that one
        return True
    try:
        listed = repository.files(snapshot.id)
        manifest_path = next(path for path in listed if Path(path).name == "manifest.json")
        wrong = unlike_manifest(
            json.loads(repository.read(snapshot.id, manifest_path)), listed, Path(manifest_path).parent
        )
    except (StopIteration, ValueError, KeyError) as error:
        wrong = [f"no readable manifest ({type(error).__name__})"]
    if wrong:
        log("error", snapshot=snapshot.id[:8], error=f"is not copied: {'; '.join(wrong)}")
    return not wrong


def remember(config: Config, name: str, there: list[Snapshot], local: list[Snapshot]) -> None:
    """What the destination has, for the status page."""
    lineages = {item.lineage for item in there}
    kinds: dict[str, Any] = {}
    for kind in KINDS:
        newest = max((item for item in there if item.kind == kind), key=lambda item: item.time, default=None)
        lag = sum(1 for item in local if item.kind == kind and item.lineage not in lineages)
        kinds[kind] = {"snapshot": newest and newest.lineage, "newest": newest and stamp(newest.time), "lag": lag}
    state.write(config, f"offsite-{name}", {"checked_at": stamp(), "error": None, "kinds": kinds})


if __name__ == "__main__":
    step(main)
