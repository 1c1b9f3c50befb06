"""Step `store KIND`: one restic snapshot, believed only when the repository lists what should be in it."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host import broker, bucket, docker
from tts_host.config import Config, load
from tts_host.log import Failure, facts, log, record, step, warn
from tts_host.restic import Repository, local_repository
from tts_host.sizes import below, remember

if TYPE_CHECKING:
    from tts_host.process import Done

SUSPICIOUS = 0.1  # of the median of the last seven: less is not believed


def main(args: list[str]) -> None:
    config = load()
    kind = args[0]
    sources = sources_of(config, kind)
    repository = local_repository(config)
    there = facts().get("source") or total(sources)
    check_size(kind, facts().get("history", []), there["bytes"])
    made = back_up(repository, config, kind, sources)
    identifier = made["snapshot_id"]
    try:
        files = (
            check_media(config, made, there["files"])
            if kind == "media"
            else check_listing(repository, identifier, kind, sources)
        )
    except Failure:
        discard(repository, identifier)
        raise
    size = made["total_bytes_processed"]
    remember(config, kind, size)
    record(snapshot=identifier, files=files, bytes=size)
    log("info", snapshot=identifier[:8], files=files, bytes=size, added_bytes=made.get("data_added"))


def sources_of(config: Config, kind: str) -> list[Path]:
    """What to back up. A missing path is a failure here: restic would pass it over and end with 0."""
    if kind == "databases":
        return [config.staging]
    if kind == "media":
        return [media_of(config)]
    missing = [str(path) for path in config.config_paths if not path.exists()]
    if missing:
        raise Failure(f"configured paths are missing: {', '.join(missing)}")
    if not config.config_paths:
        raise Failure("TTS_CONFIG_PATHS is empty: there is no configuration to back up")
    return [*config.config_paths, *broker.export(config)]


def media_of(config: Config) -> Path:
    """The folder with the media: the live volume, or a copy, made now, of what is in the bucket."""
    if not config.has_media:
        raise Failure("TTS_MEDIA_VOLUME and TTS_MEDIA_BUCKET are empty: there is no media to back up")
    source = bucket.of(config)
    if source is None:
        seen = facts().get("source")
        return Path(seen["folder"]) if seen else docker.volume_folder(config.project, config.media_volume)
    source.mirror(config.media_mirror)
    return config.media_mirror


def total(sources: list[Path]) -> dict[str, int]:
    """Files and bytes below the sources, as they have them now."""
    sizes = [below(path) for path in sources]
    return {"files": sum(size.files for size in sizes), "bytes": sum(size.bytes for size in sizes)}


def check_size(kind: str, history: list[int], size: int) -> None:
    """Not even a tenth of what the last runs had: more likely an accident than a clean-up."""
    usual = [item for item in history if item]
    if not usual or os.environ.get("TTS_ACCEPT_SIZE"):
        return
    median = statistics.median(usual)
    if size < median * SUSPICIOUS:
        raise Failure(
            f"suspicious: {size} bytes to store, the median of the last {len(usual)} runs is {median:.0f}. "
            f"If that is right, run tts-backup {kind} --accept-size"
        )


def back_up(repository: Repository, config: Config, kind: str, sources: list[Path]) -> dict[str, Any]:
    """Run `restic backup`; returns its summary. Unreadable sources (status 3) fail, except a few vanished media
    files.
    """
    tags = [f"kind={kind}", f"run={facts().get('run', '')}", f"stack={config.stack}"]
    args = [
        "backup",
        "--json",
        "--host",
        config.host,
        *[word for tag in tags for word in ("--tag", tag)],
        *map(str, sources),
    ]
    done = repository.try_run(*args, timeout=None)
    if done.code == 3 and kind == "media":
        discard(repository, summary(done).get("snapshot_id", ""))
        log("warning", warning="files changed or vanished while they were read; trying once more")
        done = repository.try_run(*args, timeout=None)
        lost = unreadable(done)
        if done.code == 3 and len(lost) <= config.media_errors:
            warn(f"{len(lost)} media files could not be read: {', '.join(lost)}")
            return summary(done)
    if done.code != 0:
        discard(repository, summary(done).get("snapshot_id", ""))
        raise Failure(repository.explain("backup", done) + "".join(f"; {line}" for line in unreadable(done)[:20]))
    if "snapshot_id" not in summary(done):
        raise Failure("restic backup ended with 0 but made no snapshot")
    return summary(done)


def summary(done: Done) -> dict[str, Any]:
    return next((item for item in reversed(messages(done.out)) if item.get("message_type") == "summary"), {})


def unreadable(done: Done) -> list[str]:
    """The paths that restic could not read."""
    return sorted({item.get("item", "?") for item in messages(done.err) if item.get("message_type") == "error"})


def messages(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [item for item in found if isinstance(item, dict)]


def discard(repository: Repository, identifier: str) -> None:
    """Forget a snapshot that must not count. It is local, so this host may."""
    if identifier:
        repository.unlock()  # the lock of a killed process would stop it
        repository.run("forget", identifier)
        log("warning", warning=f"snapshot {identifier[:8]} does not count and was forgotten")


def check_media(config: Config, made: dict[str, Any], there: int) -> int:
    """The snapshot is in the repository and holds files where there are any. To list tens of thousands of them takes
    longer than to store them: `verify` does, once a day. Returns the count.
    """
    identifier, files = made["snapshot_id"], made["total_files_processed"]
    if not (config.local_repository / "snapshots" / identifier).is_file():
        raise Failure(f"restic says that it made snapshot {identifier[:8]}, and the repository has none of that name")
    if there and not files:
        raise Failure(f"snapshot {identifier[:8]} has nothing of {there} files")
    return files


def check_listing(repository: Repository, identifier: str, kind: str, sources: list[Path]) -> int:
    """The snapshot must list what its source has: for databases exactly the manifest's files in their sizes. Returns
    the count.
    """
    listed = repository.files(identifier)
    if kind == "databases":
        expected = {str(path): path.stat().st_size for path in sources[0].iterdir()}
        if listed != expected:
            raise Failure(f"snapshot {identifier[:8]} lists {listed}, the staging directory has {expected}")
        wrong = unlike_manifest(
            json.loads((sources[0] / "manifest.json").read_text(encoding="utf-8")), listed, sources[0]
        )
        if wrong:
            raise Failure(f"snapshot {identifier[:8]} does not hold what its manifest says: {'; '.join(wrong)}")
    for source in sources:
        empty = source.is_dir() and not below(source).files
        if not empty and not any(path == str(source) or path.startswith(f"{source}/") for path in listed):
            raise Failure(f"snapshot {identifier[:8]} has nothing of {source}")
    return len(listed)


def unlike_manifest(manifest: dict[str, Any], listed: dict[str, int], folder: Path) -> list[str]:
    """How a snapshot's files differ from its manifest: nothing, for one that may be copied and restored."""
    parts = [manifest["globals"], *manifest["databases"]]
    expected = {str(folder / part["file"]): part["bytes"] for part in parts}
    found = {path: size for path, size in listed.items() if Path(path).name != "manifest.json"}
    wrong = [f"{path} is missing" for path in expected if path not in found]
    wrong += [f"{path} does not belong there" for path in found if path not in expected]
    wrong += [
        f"{path} has {found[path]} bytes instead of {size}"
        for path, size in expected.items()
        if found.get(path, size) != size
    ]
    return wrong if manifest.get("complete") else [*wrong, "the manifest says that the run was not complete"]


if __name__ == "__main__":
    step(main)
