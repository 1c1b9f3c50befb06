"""What `install` does: check all input, write files in single steps, make missing repositories, prove that a backup
can run.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host import alerts, docker
from tts_host.config import NONE, Config, load, problems, unknown_keys
from tts_host.dump import check_expected
from tts_host.log import ConfigError, Failure, log, step
from tts_host.postgres import connect
from tts_host.preflight import check_commands
from tts_host.process import run
from tts_host.release import publish
from tts_host.restic import (
    Repository,
    check_password_file,
    env_lines,
    local_repository,
    offsite_repository,
    read_env_file,
)
from tts_host.state import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_NAME = re.compile(r"[a-z][a-z0-9-]*(\.json)?")
RECOVERY = "recovery-key"  # opens every repository; never stays on the host
SECRETS = Path("/etc/tts/secrets")
HEADER = "# Written by the deployment: a change here is overwritten.\n"


@dataclass(frozen=True)
class Request:
    """The checked input."""

    env: Mapping[str, str]
    secrets: Mapping[str, str]


def main(_args: list[str]) -> None:
    root = Path(os.environ.get("DESTDIR") or "/")
    source = Path(os.environ["TTS_SOURCE"])
    request = read_request(sys.stdin.read(), root)
    changed = write_settings(request, root) + publish(source, root, backs_up=request.env["TTS_PG_MODE"] != NONE)
    for path in changed:
        log("info", changed=path)
    if root == Path("/"):
        config = load(request.env)
        if config.backs_up:
            with recovery_key(request) as key:
                make_repositories(config, key)
        self_test(config)
    log("info", result="ok", changed_files=len(changed))


def read_request(text: str, root: Path) -> Request:
    """Parse and check everything; ConfigError names all problems at once and repeats no value."""
    try:
        found = json.loads(text)
        request = Request(env=found["env"], secrets=found.get("secrets", {}))
    except (ValueError, KeyError, TypeError):
        raise ConfigError('stdin must be JSON: {"env": {KEY: VALUE}, "secrets": {NAME: TEXT}}') from None
    if not all(isinstance(value, str) for value in (*request.env.values(), *request.secrets.values())):
        raise ConfigError("every value of env and secrets must be a text")
    wrong = [
        *problems(request.env),
        *(f"{key} is not a setting of the backup jobs" for key in unknown_keys(request.env)),
    ]
    wrong += [
        f"secret name {name!r} must be small letters, digits and dashes, and may end in .json"
        for name in request.secrets
        if not SECRET_NAME.fullmatch(name)
    ]
    wrong += [f"secret {name} is empty" for name, value in request.secrets.items() if not value.strip()]
    wrong += [
        f"{key} names the secret {name}, which is not among the secrets"
        for key, name in named_secrets(request)
        if name not in request.secrets
    ]
    if name := Path(request.env.get("TTS_ALERTS_FILE", "")).name:
        wrong += alerts.problems(request.secrets.get(name, "{}"))
    if wrong:
        raise ConfigError("; ".join(wrong) + f". Nothing was changed in {root}")
    return request


def named_secrets(request: Request) -> list[tuple[str, str]]:
    """Every place that names a secret file, and the file's name: settings, and the credentials that they name."""
    files = [(key, value) for key, value in request.env.items() if key.endswith(("_FILE", "_CREDENTIALS"))]
    found = [(key, Path(value).name) for key, value in files if Path(value).parent == SECRETS]
    for _, name in [pair for pair in found if pair[0].endswith("_CREDENTIALS")]:
        variables = env_lines(request.secrets.get(name, ""))
        found += [
            (f"{key} in {name}", Path(path).name) for key, path in variables.items() if Path(path).parent == SECRETS
        ]
    return found


def write_settings(request: Request, root: Path) -> list[str]:
    """Folders, environment file and secrets. Returns what changed."""
    folders = [
        "/etc/tts",
        "/etc/tts/secrets",
        request.env.get("TTS_STATE_DIR") or "/var/lib/tts",
        request.env.get("TTS_LOG_DIR") or "/var/log/tts",
    ]
    if repository := request.env.get("TTS_LOCAL_REPOSITORY"):
        folders += [str(Path(repository).parent)]
    changed = [name for name in folders if make_folder(below(root, name))]
    env = HEADER + "".join(f"{key}={value}\n" for key, value in sorted(request.env.items()))
    wanted = {"/etc/tts/backup.env": env}
    wanted |= {
        str(SECRETS / name): text if text.endswith("\n") else text + "\n"
        for name, text in request.secrets.items()
        if name != RECOVERY
    }
    changed += [name for name, text in wanted.items() if write_if_changed(below(root, name), text, 0o600)]
    for path in sorted(below(root, str(SECRETS)).iterdir()):
        if path.name not in request.secrets or path.name == RECOVERY:
            path.unlink()
            changed.append(f"{SECRETS / path.name} (removed)")
    return changed


def below(root: Path, name: str) -> Path:
    return root / name.lstrip("/")


def make_folder(path: Path) -> bool:
    """A private folder; True when something changed."""
    if path.is_dir() and path.stat().st_mode & 0o777 == 0o700:
        return False
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return True


def write_if_changed(path: Path, text: str, mode: int) -> bool:
    if path.is_file() and path.read_text(encoding="utf-8") == text and path.stat().st_mode & 0o777 == mode:
        return False
    replace(path, text, mode)
    return True


class recovery_key:  # noqa: N801 - used as a context manager
    """The recovery key in a private file for as long as it is needed; None when none was given."""

    def __init__(self, request: Request) -> None:
        self._text = request.secrets.get(RECOVERY)
        self._path: Path | None = None

    def __enter__(self) -> Path | None:
        if self._text is None:
            return None
        handle, name = tempfile.mkstemp(prefix="tts-key.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(self._text.strip() + "\n")
        self._path = Path(name)
        return self._path

    def __exit__(self, *_error: object) -> None:
        if self._path:
            self._path.unlink(missing_ok=True)


def make_repositories(config: Config, recovery: Path | None) -> None:
    """Open every repository, or make it when it is really absent: the only place that does. All share chunker
    parameters.
    """
    check_password_file(config.password_file)
    local = local_repository(config)
    offsite = [offsite_repository(config, item) for item in config.offsite]
    there = {repository.name: exists(repository) for repository in (local, *offsite)}
    if not there["local"]:
        make(local, next((item for item in offsite if there[item.name]), None))
    for repository in offsite:
        if not there[repository.name]:
            make(repository, local)
    if recovery:
        for repository in (local, *offsite):
            add_key(repository, recovery)
    for repository in (local, *offsite):
        repository.learn_key()


def exists(repository: Repository) -> bool:
    """Whether the repository is there; anything but a clear yes or no is a Failure."""
    done = repository.try_run("cat", "config", "--no-lock")
    if done.code in (0, 10):
        return done.code == 0
    raise Failure(repository.explain("cat", done))


def make(repository: Repository, model: Repository | None) -> None:
    env: dict[str, str] = {}
    args: list[str] = []
    if model:
        args = ["--copy-chunker-params"]
        env = model.as_source() | read_env_file(model.credentials)
    repository.run("init", *args, env=env)
    log("info", made_repository=repository.name)


def add_key(repository: Repository, recovery: Path) -> None:
    """Make the recovery key open this repository, once."""
    done = repository.try_run("cat", "config", "--no-lock", env={"RESTIC_PASSWORD_FILE": str(recovery)})
    if done.code == 0:
        return
    if done.code != 12:
        raise Failure(repository.explain("cat", done))
    repository.run("key", "add", "--host", "recovery", "--user", "recovery", "--new-password-file", str(recovery))
    log("info", added_recovery_key=repository.name)


def self_test(config: Config) -> None:
    """The installed commands work with an empty environment, as under cron, and the application's databases are in
    reach, where they are backed up.
    """
    if config.backs_up:
        check_commands(config)
    done = run(["env", "-i", "/usr/local/bin/tts-host-status"], timeout=120)
    if done.code != 0:
        raise Failure(f"self-test: tts-host-status ended with {done.code}: {done.words}")
    errors: Any = json.loads(done.out)["errors"]
    if errors:
        raise Failure(f"self-test: {'; '.join(errors)}")
    if not config.backs_up:
        return
    if config.pg_mode == "container" and not docker.containers(config.project):
        log("warning", warning=f"no container of the project {config.project} runs yet: databases were not looked at")
        return
    check_expected(config, [item["name"] for item in connect(config).databases()])


if __name__ == "__main__":
    step(main)
