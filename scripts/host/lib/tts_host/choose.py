"""Which snapshot a restore uses, and what its manifest promises."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
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
    path = f"{snapshot.paths[0]}/manifest.json"
    with ThreadPoolExecutor(1) as pool:  # at once: each opening of a repository costs a second of key derivation
        text = pool.submit(repository.read, snapshot.id, path)
        listed = repository.files(snapshot.id)
    if path not in listed:
        raise Failure(f"snapshot {snapshot.id[:8]} has no manifest: it is not a database backup of this product")
    try:
        manifest = json.loads(text.result())
        wrong = unlike_manifest(manifest, listed, Path(path).parent)
    except (ValueError, KeyError) as error:
        wrong = [f"its manifest is damaged ({type(error).__name__})"]
        manifest = {}
    if wrong:
        raise Failure(f"snapshot {snapshot.id[:8]} is refused: {'; '.join(wrong)}")
    return Path(path).parent, manifest
