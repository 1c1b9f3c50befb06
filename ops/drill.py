"""Rehearsing a restore: on the host that owns the backups, or here, with nothing of the host's."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ops import hostlog, jobs
from ops.engine import Engine, repository_directory
from ops.errors import ExitCode, OpsError
from ops.hostreport import Drill
from ops.journal import journal_directory
from ops.offsite import Destination, opened
from ops.session import Session
from ops.stack import Outputs

_TOOLS = ("bash", "flock", "setpriv", "timeout", "python3", "restic")


def on_host(session: Session, repository: str | None, now: Callable[[str], None]) -> Drill:
    """Rehearse on the host, on a server without a network.

    Raises:
        OpsError: no such repository, or the drill did not begin. One that failed is a result.
    """
    if repository:
        jobs.check_repository(session, repository)
    argv = ["tts-drill", "--json", *(["--repository", repository] if repository else [])]
    done = session.remote.stream(session.outputs.owner, argv, on_word=lambda line: now(hostlog.words(line)))
    drills = jobs.json_lines(done.stdout, Drill)
    if not drills:
        raise jobs.failed(session, done, "The drill")
    return drills[-1]


def past(session: Session) -> tuple[Drill, ...]:
    """Every drill that the host remembers, oldest first."""
    done = session.remote.run(session.outputs.owner, ["tts-drill", "--history", "--json"])
    if done.code:
        raise jobs.failed(session, done, "Reading the drills")
    return jobs.json_lines(done.stdout, Drill)


def here(engine: Engine, stack: str, outputs: Outputs, repository: str | None, now: Callable[[str], None]) -> Drill:
    """Rehearse on this machine with the host's own scripts: the bucket, its key and the passphrase are all it takes.

    Raises:
        OpsError: no off-site repository, a program is missing here, or the drill did not begin.
    """
    _need_tools()
    names = [each.name for each in outputs.backup.offsite]
    name = repository or next(iter(names), "")
    with opened(engine, outputs, name) as destinations, TemporaryDirectory(prefix="tts-drill-") as folder:
        environment = _settings(Path(folder), stack, outputs.backup.owner, destinations[0])
        return _run(["--json", "--repository", name], environment, now)


def _need_tools() -> None:
    missing = [name for name in _TOOLS if not shutil.which(name)]
    if missing:
        raise OpsError(
            f"A drill here needs programs that this machine lacks: {', '.join(missing)}.",
            fix="Install them (on Debian: apt-get install util-linux), or rehearse on the host: tts drill",
            code=ExitCode.CONFIG,
        )


def _settings(folder: Path, stack: str, owner: str, destination: Destination) -> dict[str, str]:
    """The environment of the host's scripts for this machine. Secrets are in private files that go with `folder`."""
    repository = destination.repository
    name = destination.name.upper().replace("-", "_")
    state = journal_directory() / f"drill-{stack}"
    kinds = {snapshot.kind for snapshot in repository.snapshots() if snapshot.host == owner}
    values = {
        "TTS_HOST": owner,
        "TTS_STACK": stack,
        "TTS_COMPOSE_PROJECT": "drill",
        "TTS_PG_MODE": "host",
        "TTS_MEDIA_VOLUME": "media" if "media" in kinds else "",
        "TTS_LOCAL_REPOSITORY": str(state / "none"),
        "TTS_PASSWORD_FILE": _private(folder / "password", repository.password),
        "TTS_OFFSITE": destination.name,
        f"TTS_OFFSITE_{name}_REPOSITORY": repository.location,
        f"TTS_OFFSITE_{name}_CREDENTIALS": _private(
            folder / "credentials", "".join(f"{key}={value}\n" for key, value in repository.environment.items())
        ),
        "TTS_STATE_DIR": str(state),
        "TTS_LOG_DIR": str(state / "log"),
        "TTS_CACHE_DIR": str(state / "cache"),
        "TTS_MIN_FREE_PERCENT": "0",
    }
    text = "".join(f"{key}={value}\n" for key, value in values.items() if value)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TTS_", "AWS_", "RESTIC_"))}
    return {**kept, "TTS_ENV_FILE": _private(folder / "backup.env", text)}


def _private(path: Path, text: str) -> str:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text.rstrip("\n") + "\n")
    return str(path)


def _run(words: Sequence[str], environment: dict[str, str], now: Callable[[str], None]) -> Drill:
    command = [str(repository_directory() / "scripts/host/drill"), *words]
    said: list[str] = []
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if not line.startswith("{"):
                now(hostlog.words(line.rstrip("\n")))
    drills = jobs.json_lines("".join(said), Drill)
    if not drills:
        raise OpsError(
            "The drill did not begin on this machine.",
            where=hostlog.reason("".join(said)),
            fix="Put that right, or rehearse on the host: tts drill",
        )
    return drills[-1]
