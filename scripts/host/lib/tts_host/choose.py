"""Which snapshot a restore uses, and what its manifest promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tts_host.log import Failure
from tts_host.restic import Repository, Snapshot, newest
from tts_host.store import unlike_manifest


def choose(repository: Repository, host: str, stack: str, kind: str, wanted: str) -> Snapshot:
    """The snapshot `wanted` (`latest`, an id, or the id of the local snapshot that was copied) of this host, stack
    and kind.
    """
    if wanted == "latest":
        mine = [item for item in repository.snapshots(host, kind) if item.tag("stack") == stack]
        return newest(mine, f"{kind} (host {host}, stack {stack}, repository {repository.name})")
    found = [item for item in repository.snapshots() if item.id.startswith(wanted) or item.lineage.startswith(wanted)]
    if len(found) != 1 or len(wanted) < 6:
        raise Failure(
            f"repository {repository.name} has {len(found)} snapshots with id {wanted}: see tts-snapshots "
            f"--repository {repository.name}"
        )
    snapshot = found[0]
    for what, is_, must in (
        ("kind", snapshot.kind, kind),
        ("host", snapshot.host, host),
        ("stack", snapshot.tag("stack"), stack),
    ):
        if is_ != must:
            raise Failure(
                f"snapshot {snapshot.id[:8]} is of {what} {is_ or 'none'}, not of {must}: nothing was changed"
            )
    return snapshot


def read_manifest(repository: Repository, snapshot: Snapshot) -> tuple[Path, dict[str, Any]]:
    """The folder inside the snapshot and its manifest, after a check that the snapshot holds exactly what that says."""
    listed = repository.files(snapshot.id)
    path = next((path for path in listed if Path(path).name == "manifest.json"), None)
    if not path:
        raise Failure(f"snapshot {snapshot.id[:8]} has no manifest: it is not a database backup of this product")
    try:
        manifest = json.loads(repository.read(snapshot.id, path))
        wrong = unlike_manifest(manifest, listed, Path(path).parent)
    except (ValueError, KeyError) as error:
        wrong = [f"its manifest is damaged ({type(error).__name__})"]
        manifest = {}
    if wrong:
        raise Failure(f"snapshot {snapshot.id[:8]} is refused: {'; '.join(wrong)}")
    return Path(path).parent, manifest
