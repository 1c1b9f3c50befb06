"""Publish the scripts: a directory per version, a link that is switched in one step, and the files that point to it."""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path

from tts_host.state import replace

HOME = "usr/local/lib/tts"
COMMANDS = {
    "tts-alert-test": "alert-test",
    "tts-backup": "backup",
    "tts-verify": "verify",
    "tts-offsite": "offsite",
    "tts-restore": "restore",
    "tts-snapshots": "snapshots",
    "tts-hold": "hold",
    "tts-handover": "handover",
    "tts-drill": "drill",
    "tts-drain": "drain",
    "tts-config-diff": "config-diff",
    "tts-host-status": "status",
    "tts-keys": "keys",
    "tts-quiesce": "quiesce",
    "tts-release-old": "release-old",
    "tts-sample": "sample",
}
SCHEDULE = "etc/cron.d/tts"
PUBLIC = {
    SCHEDULE: "cron",
    "etc/cron.d/tts-watch": "watch",
    "etc/logrotate.d/tts": "logrotate",
}  # cron ignores a name with a dot or a file others may write


def publish(source: Path, root: Path, *, backs_up: bool = True) -> list[str]:
    """Install the scripts in `source`; returns what changed. Whatever an earlier version shipped and this one does
    not goes away. The schedule of the backups is only where they are made.
    """
    home = root / HOME
    name = fingerprint(source)
    changed: list[str] = []
    if not (home / "releases" / name).is_dir():
        copy(source, root, home / "releases" / name)
        changed.append(f"/{HOME}/releases/{name}")
    changed += [f"/{path}" for path, target in links(name).items() if point(root / path, target)]
    for stale in (root / "usr/local/bin").glob("tts-*"):
        if stale.is_symlink() and str(stale.readlink()).startswith(f"/{HOME}/") and stale.name not in COMMANDS:
            stale.unlink()
            changed.append(f"/usr/local/bin/{stale.name} (removed)")
    if not backs_up and (root / SCHEDULE).is_file():
        (root / SCHEDULE).unlink()
        changed.append(f"/{SCHEDULE} (removed)")
    for path, file in PUBLIC.items():
        if path == SCHEDULE and not backs_up:
            continue
        text = (source / file).read_text(encoding="utf-8")
        target = root / path
        if not target.is_file() or target.read_text(encoding="utf-8") != text or target.stat().st_mode & 0o777 != 0o644:
            replace(target, text, 0o644)
            changed.append(f"/{path}")
    return changed + remove_old(root, home / "releases", name)


def publish_again(source: Path) -> None:
    """Bring the commands of a host that has them to this version: they must know what is under way here."""
    if (Path("/") / HOME / "current").exists() and source.parts[: len(Path("/" + HOME).parts)] != Path(
        "/" + HOME
    ).parts:
        publish(source, Path("/"))


def links(name: str) -> dict[str, str]:
    commands = {f"usr/local/bin/{command}": f"/{HOME}/current/{file}" for command, file in COMMANDS.items()}
    return {f"{HOME}/current": f"releases/{name}", **commands}


def files(source: Path) -> list[Path]:
    """What belongs to a release: everything but byte code."""
    return sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def fingerprint(source: Path) -> str:
    digest = hashlib.sha256()
    for path in files(source):
        digest.update(f"{path.relative_to(source)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def copy(source: Path, root: Path, target: Path) -> None:
    """All files, with modes of their own: those that came over the network have none. And their byte code."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for folder in (target.parent, target.parent.parent):
        folder.chmod(0o755)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new."))
    try:
        for path in files(source):
            copied = temporary / path.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
            copied.chmod(0o755 if path.read_bytes()[:2] == b"#!" else 0o644)
        # Nothing writes byte code later, and a job has several steps that would each compile all that they import.
        home = f"/{target.relative_to(root)}"
        compileall.compile_dir(temporary / "lib", quiet=2, stripdir=temporary, prependdir=home)
        for folder in (temporary, *(path for path in temporary.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def point(link: Path, target: str) -> bool:
    """Make a symbolic link in one step; True when it changed."""
    if link.is_symlink() and str(link.readlink()) == target:
        return False
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    return True


def remove_old(root: Path, releases: Path, current: str) -> list[str]:
    """Remove other versions, unless a job is running: it may still read its own."""
    old = [path for path in releases.iterdir() if path.name != current]
    if not old:
        return []
    lock = root / "var/lib/tts/lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        for path in old:
            shutil.rmtree(path)
    return [f"/{HOME}/releases/{path.name} (removed)" for path in old]
