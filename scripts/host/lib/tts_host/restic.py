"""restic, seen through results: its exit codes alone do not say whether a backup exists."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tts_host.config import LOCAL
from tts_host.log import ConfigError, Failure, now
from tts_host.process import Done, run, start
from tts_host.state import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tts_host.config import Config, Offsite

VERSION = (0, 18, 1)
KINDS = ("databases", "media", "config")
HANDED = "handed"  # the name of another stack's repository, as long as this host takes over its data
CLOCK_SLACK = timedelta(minutes=5)
HINTS = "key-hints.json"
QUICK = 600  # seconds for what only reads metadata
MEANING = {
    10: "there is no repository at this address. A job never creates one: check it, or run the installer (pulumi up)",
    11: "the repository is locked by another process",
    12: "wrong password for this repository",
}


@dataclass(frozen=True)
class Snapshot:
    """One restic snapshot, with the product's tags read."""

    id: str
    original: str | None
    time: datetime
    host: str
    tags: tuple[str, ...]
    paths: tuple[str, ...]
    files: int
    bytes: int

    @property
    def lineage(self) -> str:
        """The id that stays the same when the snapshot is copied to another repository."""
        return self.original or self.id

    def tag(self, name: str) -> str:
        return next((tag.split("=", 1)[1] for tag in self.tags if tag.startswith(name + "=")), "")

    @property
    def kind(self) -> str:
        return self.tag("kind")


@dataclass(frozen=True)
class Repository:
    """One restic repository and how to open it."""

    name: str
    location: str
    password_file: Path
    cache_dir: Path
    credentials: Path | None = None
    limit_upload_kib: int = 0

    def environment(self) -> dict[str, str]:
        """What restic needs to open it. Secrets travel in files and in the environment of the child, never in its
        arguments.
        """
        env = {
            "RESTIC_REPOSITORY": self.location,
            "RESTIC_PASSWORD_FILE": str(self.password_file),
            "RESTIC_CACHE_DIR": str(self.cache_dir),
            "RESTIC_PROGRESS_FPS": "0.2",
        }
        if hint := self._hints().get(self.location):
            env["RESTIC_KEY_HINT"] = hint
        return {**env, **read_env_file(self.credentials)}

    def as_source(self) -> dict[str, str]:
        """The same for a repository that another one is filled from, without its credentials."""
        keys = ("RESTIC_REPOSITORY", "RESTIC_PASSWORD_FILE", "RESTIC_KEY_HINT")
        found = self.environment().items()
        return {key.replace("RESTIC_", "RESTIC_FROM_"): value for key, value in found if key in keys}

    def learn_key(self) -> None:
        """Remember which of the repository's keys is this host's. restic tries one after the other, and each trial
        takes a second of key derivation. A hint that is wrong by now costs that second, no more.
        """
        keys = json.loads(self.run("key", "list", "--json", "--no-lock"))
        mine = next(key["id"] for key in keys if key["current"])
        hints = self._hints()
        if hints.get(self.location) != mine:
            replace(self.cache_dir / HINTS, json.dumps({**hints, self.location: mine}, indent=1) + "\n", 0o600)

    def _hints(self) -> dict[str, str]:
        try:
            return json.loads((self.cache_dir / HINTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def try_run(
        self, *args: str, timeout: float | None = QUICK, env: dict[str, str] | None = None, cwd: str | None = None
    ) -> Done:
        """Run restic and hand back whatever it said."""
        return run(["restic", *args], env={**self.environment(), **(env or {})}, timeout=timeout, cwd=cwd)

    def run(self, *args: str, timeout: float | None = QUICK, env: dict[str, str] | None = None) -> str:
        """Run restic; any status but 0 is a Failure that names the repository. Returns its stdout."""
        done = self.try_run(*args, timeout=timeout, env=env)
        if done.code != 0:
            raise Failure(self.explain(args[0], done))
        return done.out

    def explain(self, verb: str, done: Done) -> str:
        reason = MEANING.get(done.code) or done.words or "no message"
        return f"restic {verb} on repository {self.name} ({self.location}) ended with {done.code}: {reason}"

    def snapshots(self, host: str | None = None, kind: str | None = None) -> list[Snapshot]:
        """Oldest first. `host` and `kind` None means any."""
        args = ["snapshots", "--json", "--no-lock"]
        args += ["--host", host] if host else []
        args += ["--tag", f"kind={kind}"] if kind else []
        return sorted((_snapshot(item) for item in json.loads(self.run(*args) or "[]")), key=lambda item: item.time)

    def files(self, snapshot: str) -> dict[str, int]:
        """Every file of a snapshot: path to size in bytes."""
        found: dict[str, int] = {}
        for line in self.run("ls", "--json", "--no-lock", snapshot).splitlines():
            node = json.loads(line)
            if node.get("type") == "file":
                found[node["path"]] = int(node.get("size", 0))
        return found

    def read(self, snapshot: str, path: str) -> str:
        """The text of one file of a snapshot."""
        return self.run("dump", "--no-lock", snapshot, path)

    def stream(self, snapshot: str, path: str) -> subprocess.Popen[bytes]:
        """One file of a snapshot as a stream. The caller judges the exit status."""
        return start(
            ["restic", "dump", "--no-lock", "--quiet", snapshot, path],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def unlock(self) -> None:
        """Remove locks of processes that are gone. restic keeps the locks of live ones."""
        self.run("unlock")


def local_repository(config: Config) -> Repository:
    return Repository(LOCAL, str(config.local_repository), config.password_file, config.cache_dir)


def offsite_repository(config: Config, offsite: Offsite) -> Repository:
    return Repository(
        offsite.name,
        offsite.repository,
        offsite.password_file,
        config.cache_dir,
        offsite.credentials,
        config.limit_upload_kib,
    )


def repository(config: Config, name: str) -> Repository:
    """The repository of that name: `local` or one of the off-site names."""
    if name == LOCAL:
        return local_repository(config)
    for offsite in config.offsite:
        if offsite.name == name:
            return offsite_repository(config, offsite)
    if name == HANDED and (handed := handed_repository(config)):
        return handed
    known = ", ".join([LOCAL, *(offsite.name for offsite in config.offsite)])
    raise ConfigError(f"there is no repository named {name!r}: known are {known}")


def handed_folder(config: Config) -> Path:
    """Where the repository of another stack is written down, with what opens it."""
    return config.state_dir / HANDED


def handed_repository(config: Config) -> Repository | None:
    """Another stack's repository, if this host has been given one. Only reading commands are used on it."""
    folder = handed_folder(config)
    if not (folder / "location").exists():
        return None
    location = (folder / "location").read_text(encoding="utf-8").strip()
    return Repository(HANDED, location, folder / "password", config.cache_dir, folder / "environment")


def read_env_file(path: Path | None) -> dict[str, str]:
    """KEY=VALUE lines of a root-only file."""
    if path is None:
        return {}
    try:
        check_private(path)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"credentials file {path} cannot be read: {error.strerror}") from None
    return env_lines(text)


def env_lines(text: str) -> dict[str, str]:
    """KEY=VALUE lines; comments are passed over."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip() and not key.startswith("#")}


def check_private(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(f"{path} has mode {mode:04o}: others may read it. chmod 600 {path}")


def check_password_file(path: Path) -> None:
    try:
        check_private(path)
        if not path.read_text(encoding="utf-8").strip():
            raise ConfigError(f"password file {path} is empty: deploy the backup jobs again (pulumi up)")
    except OSError as error:
        raise ConfigError(f"password file {path} cannot be read: {error.strerror}") from None


def installed_version() -> str:
    """restic's version; ConfigError when it is older than the pinned one."""
    match = re.search(r"restic (\d+)\.(\d+)\.(\d+)", run(["restic", "version"], timeout=60).out)
    found = tuple(int(part) for part in match.groups()) if match else (0, 0, 0)
    text = ".".join(map(str, found))
    if found < VERSION:
        raise ConfigError(
            f"restic {text} is too old: its exit codes cannot be relied on. Needed is {'.'.join(map(str, VERSION))} "
            "or newer"
        )
    return text


def newest(snapshots: Sequence[Snapshot], what: str) -> Snapshot:
    """The newest snapshot; refuses when one claims to come from the future, because then `newest` means nothing."""
    if not snapshots:
        raise Failure(f"no {what} snapshot is there")
    future = [item for item in snapshots if item.time > now() + CLOCK_SLACK]
    if future:
        names = ", ".join(f"{item.id[:8]} ({item.time:%Y-%m-%dT%H:%M:%SZ})" for item in future)
        raise Failure(
            f"{what} snapshots with a time in the future: {names}. The clock is wrong, or they are forged; name a "
            "snapshot by its id"
        )
    return max(snapshots, key=lambda item: item.time)


def parse_time(text: str) -> datetime:
    """restic's RFC 3339 with nanoseconds."""
    text = re.sub(r"(\.\d{1,6})\d*", r"\1", text.replace("Z", "+00:00"))
    text = re.sub(r"\.(\d+)", lambda match: "." + match[1].ljust(6, "0"), text)
    return datetime.fromisoformat(text)


def _snapshot(item: dict[str, Any]) -> Snapshot:
    summary = item.get("summary") or {}
    return Snapshot(
        id=item["id"],
        original=item.get("original"),
        time=parse_time(item["time"]),
        host=item.get("hostname", ""),
        tags=tuple(item.get("tags") or ()),
        paths=tuple(item.get("paths") or ()),
        files=int(summary.get("total_files_processed", 0)),
        bytes=int(summary.get("total_bytes_processed", 0)),
    )
