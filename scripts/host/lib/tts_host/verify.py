"""Step `verify`: is what is stored still there, fresh, whole and readable? A report, and a failure for any finding."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tts_host import state
from tts_host.choose import read_manifest
from tts_host.config import Config, load
from tts_host.log import Failure, log, now, record, redact, stamp, step
from tts_host.process import end, pipe
from tts_host.restic import Repository, Snapshot, local_repository, newest, offsite_repository
from tts_host.sizes import below
from tts_host.store import SUSPICIOUS

if TYPE_CHECKING:
    from pathlib import Path

MAX_AGE = {"databases": timedelta(hours=26), "media": timedelta(hours=26), "config": timedelta(days=7, hours=2)}
ROTATION = 30  # days in which `check --read-data-subset` reads all data once


def main(_args: list[str]) -> None:
    config = load()
    findings: list[str] = []
    report: dict[str, Any] = {"checked_at": stamp(), "kinds": {}, "repositories": {}}
    repositories = [local_repository(config), *(offsite_repository(config, offsite) for offsite in config.offsite)]
    for repository in repositories:
        check_repository(repository, config, report, findings)
    check_disk(config, findings)
    report |= {"result": "failed" if findings else "ok", "findings": findings}
    state.write(config, "verify", report)
    record(findings=findings)
    if os.environ.get("TTS_JSON"):
        print(json.dumps(report), flush=True)
    if findings:
        raise Failure("; ".join(findings))


def kinds_of(config: Config) -> list[str]:
    """The kinds that this host is meant to back up."""
    return ["databases", *(["media"] if config.has_media else []), *(["config"] if config.config_paths else [])]


def check_repository(repository: Repository, config: Config, report: dict[str, Any], findings: list[str]) -> None:
    """Structure, a thirtieth of the data, and the newest snapshot of each kind. Local details also go into `kinds`."""
    result: dict[str, Any] = {"result": "ok"}
    report["repositories"][repository.name] = result
    before = len(findings)
    attempt(findings, lambda: check_data(repository, config))
    for kind in kinds_of(config):
        seen: dict[str, Any] = {"snapshot": None, "verified": False}
        known = len(findings)
        attempt(findings, lambda kind=kind, seen=seen: check_kind(repository, config, kind, seen))
        seen["verified"] = len(findings) == known
        if repository.name == "local":
            report["kinds"][kind] = seen
    if len(findings) > before:
        result |= {"result": "failed"}
        if repository.name == "local":
            damaged = [kind for kind in report["kinds"] if not report["kinds"][kind]["verified"]]
            log("error", repository=repository.name, unverified=",".join(damaged) or "none")


def attempt(findings: list[str], check: Any) -> None:
    try:
        check()
    except Failure as failure:
        findings.append(redact(str(failure)))
        log("error", finding=str(failure))


def check_data(repository: Repository, config: Config) -> None:
    """`restic check` of everything and a read of one part of the data; each part's turn comes once in thirty days."""
    part = now().toordinal() % ROTATION + 1
    repository.unlock()
    repository.learn_key()
    repository.run("check", f"--read-data-subset={part}/{ROTATION}", timeout=config.offsite_timeout_s)


def check_kind(repository: Repository, config: Config, kind: str, seen: dict[str, Any]) -> None:
    """Age, size and, for databases, every byte of the newest snapshot against its manifest."""
    snapshots = repository.snapshots(config.host, kind)
    last = newest(snapshots, f"{kind} (repository {repository.name})")
    seen |= {
        "snapshot": last.lineage,
        "newest": stamp(last.time),
        "bytes": last.bytes,
        "files": last.files,
        "verified_at": stamp(),
    }
    age = now() - last.time
    if age > MAX_AGE[kind]:
        raise Failure(
            f"repository {repository.name}: the newest {kind} snapshot is {age.total_seconds() / 3600:.0f} h old, "
            f"allowed are {MAX_AGE[kind].total_seconds() / 3600:.0f} h"
        )
    usual = [item.bytes for item in snapshots[-8:-1] if item.bytes]
    if usual and last.bytes < statistics.median(usual) * SUSPICIOUS:
        raise Failure(
            f"repository {repository.name}: the newest {kind} snapshot has {last.bytes} bytes, the median before it "
            f"is {statistics.median(usual):.0f}"
        )
    if kind == "databases":
        check_dumps(repository, last)


def check_dumps(repository: Repository, snapshot: Snapshot) -> None:
    """Read every file of the manifest back from the repository and compare its checksum."""
    folder, manifest = read_manifest(repository, snapshot)
    wrong = [
        part["file"]
        for part in (manifest["globals"], *manifest["databases"])
        if sha256_of(repository, snapshot, folder / part["file"]) != part["sha256"]
    ]
    if wrong:
        raise Failure(
            f"repository {repository.name}: snapshot {snapshot.id[:8]} holds other bytes than its manifest: "
            f"{', '.join(wrong)}"
        )


def sha256_of(repository: Repository, snapshot: Snapshot, path: Path) -> str:
    digest = hashlib.sha256()
    source = repository.stream(snapshot.id, str(path))
    try:
        while chunk := pipe(source.stdout).read(1 << 20):
            digest.update(chunk)
        words = pipe(source.stderr).read().decode("utf-8", "replace").strip()
        if source.wait() != 0:
            raise Failure(
                f"repository {repository.name}: {path.name} of snapshot {snapshot.id[:8]} cannot be read: "
                f"{words[-500:]}"
            )
    finally:
        end(source)
    return digest.hexdigest()


def check_disk(config: Config, findings: list[str]) -> None:
    """The thresholds of the configuration."""
    disk = os.statvfs(config.state_dir)
    free = 100 * disk.f_bavail // max(1, disk.f_blocks)
    if free < config.min_free_percent:
        findings.append(
            f"only {free} % of the disk at {config.state_dir} is free, the threshold is {config.min_free_percent} %"
        )
    size = below(config.local_repository).disk
    if size > config.max_repository_gb << 30:
        findings.append(
            f"{config.local_repository} takes {size >> 30} GB, the threshold is {config.max_repository_gb} GB"
        )


if __name__ == "__main__":
    step(main)
