"""Step `drill`: prove that what is stored off-site can be restored, on a server that is thrown away afterwards."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tts_host import drill_checks, drill_server
from tts_host.choose import choose, read_manifest
from tts_host.config import Config, load
from tts_host.fetch import Dumps
from tts_host.log import Failure, log, now, record, redact, stamp, step
from tts_host.preflight import check_space
from tts_host.restic import Repository, Snapshot, repository
from tts_host.restore_databases import add_missing_roles, check_version, restore_aside
from tts_host.state import replace
from tts_host.swap import aside_name

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tts_host.postgres import Server

HISTORY = "drills.jsonl"
KEPT = 120  # lines of history: ten years of monthly drills
PASS, FAIL = "PASS", "FAIL"


def main(args: list[str]) -> None:
    options = arguments().parse_args(args)
    config = load()
    if options.history:
        for line in history(config):
            print(json.dumps(line) if options.json else words(line))
        return
    report = rehearse(config, options)
    if options.json:
        print(json.dumps(report, ensure_ascii=False), flush=True)
    log("info" if report["result"] == PASS else "error", drill=report["result"], repository=report["repository"])
    if report["findings"]:
        raise Failure("; ".join(report["findings"]))


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tts-drill")
    parser.add_argument("--repository")
    parser.add_argument("--server", choices=sorted(drill_server.KINDS))
    parser.add_argument("--sample", type=int, default=50)
    parser.add_argument("--history", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser


def rehearse(config: Config, options: argparse.Namespace) -> dict[str, Any]:
    """The drill itself, always recorded. Whatever goes wrong in it is a finding; with a finding it has failed."""
    report: dict[str, Any] = {
        "result": FAIL,
        "started": stamp(),
        "repository": options.repository or turn(config),
        "host": config.host,
        "snapshots": {},
        "databases": {},
        "media": {},
        "steps": {},
        "findings": ["the drill did not come to its end"],
        "notes": [],
    }
    findings: list[str] = []
    began = time.monotonic()
    try:
        source = repository(config, report["repository"])
        with noted(findings):
            rehearse_databases(config, source, options, report, findings)
        with noted(findings):
            rehearse_media(config, source, options, report, findings)
        report["findings"] = findings
        report["result"] = FAIL if findings else PASS
    except Failure as failure:
        report["findings"] = [*findings, redact(str(failure))]
    finally:
        report["seconds"] = round(time.monotonic() - began, 1)
        remember(config, report)
    return report


def rehearse_databases(
    config: Config, source: Repository, options: argparse.Namespace, report: dict[str, Any], findings: list[str]
) -> None:
    """Restore every database of the manifest beside nothing at all, and look at each."""
    with timed(report, "choose"):
        snapshot = find(config, source, "databases", report)
        folder, manifest = read_manifest(source, snapshot)
    entries = manifest["databases"]
    check_space(config, {config.state_dir: sum(entry["database_bytes"] for entry in entries)})
    with drill_server.throwaway(config, manifest, options.server, report) as server:
        check_version(server, manifest)
        add_missing_roles(server, Dumps(source, snapshot, folder), manifest["globals"])
        for entry in entries:
            with noted(findings), timed(report, f"database {entry['name']}"):
                rehearse_one(server, source, snapshot, folder, entry, report, findings)
        with noted(findings), timed(report, "references"):
            drill_checks.check_references(config, source, server, report, findings)


def rehearse_one(
    server: Server,
    source: Repository,
    snapshot: Snapshot,
    folder: Path,
    entry: dict[str, Any],
    report: dict[str, Any],
    findings: list[str],
) -> None:
    """One database: its dump has the manifest's checksum, restores, has the manifest's rows, and is sound."""
    log("info", restore=entry["name"])
    restore_aside(server, Dumps(source, snapshot, folder), entry)
    report["databases"][entry["name"]] = {"rows": entry["rows"], "tables": len(entry["tables"])}
    side = aside_name(entry["name"], "restore")
    drill_checks.check_integrity(server, side, entry["name"], report, findings)


def rehearse_media(
    config: Config, source: Repository, options: argparse.Namespace, report: dict[str, Any], findings: list[str]
) -> None:
    """Restore some media files and compare them, by their hashes, with what the live volume still has unchanged."""
    if not config.has_media:
        return
    with timed(report, "media"):
        snapshot = find(config, source, "media", report)
        drill_checks.check_media(config, source, snapshot, options.sample, report, findings)


def find(config: Config, source: Repository, kind: str, report: dict[str, Any]) -> Snapshot:
    snapshot = choose(source, config.host, config.stack, kind, "latest")
    report["snapshots"][kind] = {"id": snapshot.id, "time": stamp(snapshot.time)}
    return snapshot


def turn(config: Config) -> str:
    """The off-site repositories take turns, month by month; a host without one rehearses from its own disk."""
    if not config.offsite:
        return "local"
    moment = now()
    return config.offsite[(moment.year * 12 + moment.month) % len(config.offsite)].name


@contextmanager
def noted(findings: list[str]) -> Generator[None]:
    """A part that fails is a finding; the other parts are still looked at."""
    try:
        yield
    except Failure as failure:
        log("error", finding=str(failure))
        findings.append(redact(str(failure)))


@contextmanager
def timed(report: dict[str, Any], name: str) -> Generator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        report["steps"][name] = round(time.monotonic() - began, 1)


def remember(config: Config, report: dict[str, Any]) -> None:
    """Append to the history and cut it to its length; both leave a whole file."""
    record(findings=report["findings"])
    lines = [json.dumps(line, ensure_ascii=False) for line in [*history(config), report]][-KEPT:]
    path = config.state_dir / "state" / HISTORY
    replace(path, "".join(f"{line}\n" for line in lines), 0o600)


def history(config: Config) -> list[dict[str, Any]]:
    """Earlier drills, oldest first. A damaged line is passed over."""
    found: list[dict[str, Any]] = []
    try:
        text = (config.state_dir / "state" / HISTORY).read_text(encoding="utf-8")
    except OSError:
        return found
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def last(config: Config) -> dict[str, Any] | None:
    """The newest drill, or None when there was none."""
    return next(reversed(history(config)), None)


def words(line: dict[str, Any]) -> str:
    rows = sum(item["rows"] for item in line["databases"].values())
    text = f"{line['started']} {line['result']} {line['repository']} {line['seconds']} s {rows} rows"
    return " ".join([text, *line["findings"]])


if __name__ == "__main__":
    step(main)
