"""Step `retain KIND`: forget by count and prune, in the local repository only, and only after a good run."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from tts_host import state
from tts_host.config import load
from tts_host.log import Failure, facts, log, now, stamp, step
from tts_host.restic import local_repository, parse_time
from tts_host.sizes import below

if TYPE_CHECKING:
    from tts_host.config import Config

PRUNE_AT_LEAST = timedelta(days=7)
MIN_KEEP = 3  # the newest ones stay, however old they are


def main(args: list[str]) -> None:
    kind = args[0]
    config = load()
    repository = local_repository(config)
    keep = {"last": MIN_KEEP, "daily": config.keep_daily, "weekly": config.keep_weekly, "monthly": config.keep_monthly}
    policy = [word for name, count in keep.items() for word in (f"--keep-{name}", str(count))]
    # Grouped by host alone: the tag `run` differs in every snapshot and would put each into a group of its own.
    repository.unlock()  # the lock of a killed process would stop it
    out = repository.run(
        "forget", "--json", "--host", config.host, "--tag", f"kind={kind}", "--group-by", "host", *policy
    )
    groups = json.loads(out or "[]")
    kept, removed = ([item["id"] for group in groups for item in group.get(part) or []] for part in ("keep", "remove"))
    after = [item.id for item in repository.snapshots(config.host, kind)]
    check(kept, removed, after, facts().get("snapshot"))
    if removed or prune_is_due(config, kind):
        repository.run("prune", timeout=None)
        state.write(config, "prune", {"at": stamp()})
    log("info", kept=len(after), removed=len(removed), repository_bytes=below(config.local_repository).disk)


def prune_is_due(config: Config, kind: str) -> bool:
    """Runs that failed, or were killed and could not even say so, leave data that no snapshot uses."""
    last = state.read(config, f"job-backup-{kind}").get("last", {})
    pruned = state.read(config, "prune").get("at")
    if not pruned:
        state.write(config, "prune", {"at": stamp()})  # a repository is not old on its first day
    return last.get("result") == "failed" or bool(pruned and now() - parse_time(pruned) > PRUNE_AT_LEAST)


def check(kept: list[str], removed: list[str], after: list[str], newest: str | None) -> None:
    """restic reports removals that did not happen; the list is what counts."""
    still = [item[:8] for item in removed if item in after]
    gone = [item[:8] for item in kept if item not in after]
    if still or gone:
        raise Failure(
            f"retention: still listed although removed: {still or 'none'}; gone although kept: {gone or 'none'}"
        )
    if newest and newest not in after:
        raise Failure(f"retention removed the snapshot {newest[:8]} that this run made")
    if len(after) < min(MIN_KEEP, len(kept) + len(removed)):
        raise Failure(f"retention left {len(after)} of {len(kept) + len(removed)} snapshots, fewer than {MIN_KEEP}")


if __name__ == "__main__":
    step(main)
