"""A bucket that holds files, as rclone sees it. Keys are the paths below the folder that the files came from."""

from __future__ import annotations

import hashlib
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_host.log import Failure, log
from tts_host.process import Done, run
from tts_host.restic import read_env_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tts_host.config import Config

# Many small files: what takes time is one answer after another, not bytes.
COMMON = ("--fast-list", "--transfers=16", "--checkers=16", "--retries=3", "--stats=0", "--log-level=NOTICE")
LIST = ("lsjson", "--recursive", "--files-only", "--no-modtime", "--no-mimetype", "--fast-list")
REMOTE = "bucket"
SHOWN = 10


@dataclass(frozen=True)
class Bucket:
    """Where the bucket is, and a key that may read and write it."""

    name: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str

    @property
    def remote(self) -> str:
        return f"{REMOTE}:{self.name}"

    def environment(self) -> dict[str, str]:
        """rclone's whole configuration. Secrets are in the environment of the child alone."""
        values = {
            "TYPE": "s3",
            "PROVIDER": "Other",  # the bucket in the path: every store takes that
            "ENV_AUTH": "false",
            "ACCESS_KEY_ID": self.access_key,
            "SECRET_ACCESS_KEY": self.secret_key,
            "ENDPOINT": self.endpoint,
            "REGION": self.region,
            "NO_CHECK_BUCKET": "true",
        }
        settings = {f"RCLONE_CONFIG_{REMOTE.upper()}_{key}": value for key, value in values.items()}
        # A bundle of CAs of a person's shell is one that rclone cannot load.
        return {**settings, "RCLONE_CONFIG": "/dev/null", "AWS_CA_BUNDLE": ""}

    def try_run(self, *args: str, timeout: float | None = None) -> Done:
        return run(["rclone", *args], env=self.environment(), timeout=timeout)

    def run(self, *args: str, timeout: float | None = None) -> str:
        done = self.try_run(*args, timeout=timeout)
        if done.code != 0:
            raise Failure(
                f"rclone {args[0]} with bucket {self.name} ({self.endpoint}) ended with {done.code}: {done.words}"
            )
        return done.out

    def check(self) -> None:
        """Prove that the bucket answers to this key."""
        patience = ("--retries=1", "--low-level-retries=2", "--contimeout=10s", "--timeout=20s")
        self.run("lsf", "--max-depth=1", *patience, self.remote, timeout=120)

    # `names` are the files and folders that count; None: all.

    def size(self, names: Sequence[str] | None = None) -> int:
        """Bytes of all objects."""
        return int(json.loads(self.run("size", "--json", "--fast-list", *only(names), self.remote))["bytes"])

    def mirror(self, folder: Path, names: Sequence[str] | None = None) -> None:
        """Make the folder equal to the bucket. A file counts as the same while its size and the object's time are."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.run("sync", *COMMON, "--use-server-modtime", *only(names), self.remote, str(folder))

    def replace(self, folder: Path, names: Sequence[str] | None = None) -> None:
        """Make the bucket equal to the folder, by checksum."""
        self.run("sync", *COMMON, "--checksum", *only(names), str(folder), self.remote)

    def hashes(self, names: Sequence[str] | None = None) -> dict[str, str]:
        """The MD5 of every object by its key. Those that the store cannot tell (uploaded in parts) are read for it."""
        listed = json.loads(self.run(*LIST, "--hash", "--hash-type=MD5", *only(names), self.remote) or "[]")
        found = {item["Path"]: (item.get("Hashes") or {}).get("md5", "") for item in listed}
        unknown = [path for path, digest in found.items() if not digest]
        if unknown:
            log("info", read_for_their_hash=len(unknown))
            found |= self.hashes_by_reading(unknown)
        return found

    def hashes_by_reading(self, keys: Iterable[str]) -> dict[str, str]:
        with tempfile.NamedTemporaryFile("w", prefix="tts-keys.", encoding="utf-8") as names:
            names.write("".join(f"{key}\n" for key in keys))
            names.flush()
            out = self.run("hashsum", "MD5", "--download", f"--files-from-raw={names.name}", self.remote)
        return {path: digest for digest, path in (line.split("  ", 1) for line in out.splitlines())}


def of(config: Config) -> Bucket | None:
    """The bucket that holds this host's media, or None: they are in a volume."""
    if not config.media_bucket:
        return None
    keys = read_env_file(config.media_credentials)
    missing = [key for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not keys.get(key)]
    if missing:
        raise Failure(
            f"{config.media_credentials} lacks {', '.join(missing)}: deploy the backup jobs again (pulumi up)"
        )
    return Bucket(
        config.media_bucket,
        config.media_endpoint,
        config.media_region,
        keys["AWS_ACCESS_KEY_ID"],
        keys["AWS_SECRET_ACCESS_KEY"],
    )


def only(names: Sequence[str] | None) -> list[str]:
    """rclone's options for these files and folders, whatever their names are."""
    plain = ["".join("\\" + char if char in "*?[]{}\\" else char for char in name) for name in names or ()]
    return [f"--include=/{name}{below}" for name in plain for below in ("", "/**")]


def hashes_below(folder: Path) -> dict[str, str]:
    """The MD5 of every file by its path below the folder: read by this process, not by the program that copied it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    with ThreadPoolExecutor(max_workers=4) as pool:
        digests = pool.map(_md5, paths)
        return {path.relative_to(folder).as_posix(): digest for path, digest in zip(paths, digests, strict=True)}


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """One phrase for each file that is missing, has another content, or does not belong there."""
    wrong = [f"{path} is missing" for path in wanted if path not in found]
    wrong += [f"{path} has another content" for path in wanted if found.get(path, wanted[path]) != wanted[path]]
    return wrong + [f"{path} does not belong there" for path in found if path not in wanted]


def shown(wrong: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return ", ".join(wrong[:SHOWN]) + more


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
