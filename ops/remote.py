"""Running host commands over OpenSSH, with the stack's own key and the host's pinned one.

The private key stands on disk only while a command runs: 0600 in a 0700 folder, on a memory file system where the
machine offers one to its user, removed on exit and on signals, and swept by the next run after a `kill -9`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import IO, TYPE_CHECKING

from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from ops.stack import Host

_SSH_FAILED = 255
_CONNECT_SECONDS = 10


def _ignore(_: str) -> None:
    pass


@dataclass(frozen=True)
class Completed:
    """What a host command left: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Remote:
    """The way in to a stack's hosts. `folder` holds the key and the pinned host keys; it lives as long as `connect`."""

    user: str
    folder: Path

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Completed:
        """Run a command and wait for it.

        Raises:
            OpsError: the host cannot be reached or proves to be another. A failing command is no error here.
        """
        command = [*self._ssh(host, batch=True), "--", shlex.join(argv)]
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
            )
        except FileNotFoundError:
            raise _no_ssh() from None
        except subprocess.TimeoutExpired:
            raise _unreachable(host, f"no answer to `{argv[0]}` in {timeout:.0f} seconds") from None
        if done.returncode == _SSH_FAILED:
            raise _unreachable(host, done.stderr)
        return Completed(done.returncode, done.stdout, done.stderr)

    def stream(
        self,
        host: Host,
        argv: Sequence[str],
        *,
        on_word: Callable[[str], None] = _ignore,
        on_data: Callable[[str], None] = _ignore,
    ) -> Completed:
        """Run a long command and hand on its lines as they come: standard error, the words, and output, the data.

        Raises:
            OpsError: the host cannot be reached, proves to be another, or the connection broke.
        """
        command = [*self._ssh(host, batch=True), "--", shlex.join(argv)]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, stdin=null, stdout=pipe, stderr=pipe, text=True, errors="replace")
        except FileNotFoundError:
            raise _no_ssh() from None
        try:
            data, words = _read_both(process, on_data, on_word)
        except KeyboardInterrupt:
            raise OpsError(
                f"Interrupted. `{argv[0]}` may still be at work on {host.name}.",
                fix="See how it ended: tts status",
                code=ExitCode.INTERRUPTED,
            ) from None
        if process.returncode == _SSH_FAILED:
            raise _unreachable(host, words)
        return Completed(process.returncode, data, words)

    def interactive(self, host: Host, argv: Sequence[str]) -> int:
        """Hand the terminal over to SSH: a shell, or the command given. Returns its exit code."""
        terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        tail = ["--", shlex.join(argv)] if argv else []
        try:
            process = subprocess.Popen([*self._ssh(host, batch=False, extra=terminal), *tail])
        except FileNotFoundError:
            raise _no_ssh() from None
        while True:
            # Ctrl-C belongs to the command at the other end; only its end is ours.
            with suppress(KeyboardInterrupt):
                return process.wait()

    def _ssh(self, host: Host, *, batch: bool, extra: Sequence[str] = ()) -> list[str]:
        options = {
            "IdentityFile": self.folder / "key",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "PreferredAuthentications": "publickey",
            "BatchMode": "yes" if batch else "no",
            "ConnectTimeout": _CONNECT_SECONDS,
            "ServerAliveInterval": 15,
            "ServerAliveCountMax": 4,
            "LogLevel": "ERROR",
        }
        flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", *flags, *extra, f"{self.user}@{host.address}"]


@contextmanager
def connect(user: str, private_key: str, host_key: str, hosts: Sequence[Host]) -> Generator[Remote]:
    """The way in to these hosts for as long as the block runs; the key is off the disk afterwards."""
    base = _private_place()
    _sweep(base)
    folder = Path(mkdtemp(prefix=f"tts-ssh-{os.getpid()}-", dir=base))
    try:
        _write(folder / "key", private_key.rstrip("\n") + "\n")
        public = " ".join(host_key.split()[:2])
        _write(folder / "known_hosts", "".join(f"{host.address} {public}\n" for host in hosts))
        yield Remote(user, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _private_place() -> Path:
    """Where the key may stand: in memory if the machine has such a place, else among its temporary files."""
    in_memory = Path(os.environ.get("XDG_RUNTIME_DIR") or "/dev/shm")  # noqa: S108  # a folder of our own is made in it
    return in_memory if os.access(in_memory, os.W_OK | os.X_OK) else Path(gettempdir())


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _sweep(base: Path) -> None:
    """Remove what a killed run of this user left behind; its process id is in the folder's name."""
    for folder in base.glob("tts-ssh-*"):
        with suppress(OSError, ValueError, IndexError):
            owner = int(folder.name.split("-")[2])
            if folder.stat().st_uid == os.getuid() and not Path(f"/proc/{owner}").exists() and Path("/proc/1").exists():
                shutil.rmtree(folder, ignore_errors=True)


def _read_both(
    process: subprocess.Popen[str], on_data: Callable[[str], None], on_word: Callable[[str], None]
) -> tuple[str, str]:
    """Both streams to their end, each line handed on at once. An exception, Ctrl-C too, ends the process first."""
    with process, ThreadPoolExecutor(max_workers=1) as pool:
        words = pool.submit(_each_line, process.stderr, on_word)
        try:
            data = _each_line(process.stdout, on_data)
            process.wait()
        except BaseException:
            process.terminate()
            raise
        return data, words.result()


def _each_line(stream: IO[str] | None, on_line: Callable[[str], None]) -> str:
    lines: list[str] = []
    for line in stream or ():
        lines.append(line)
        on_line(line.rstrip("\n"))
    return "".join(lines)


def _no_ssh() -> OpsError:
    return OpsError(
        "There is no `ssh` on PATH.",
        fix="Install OpenSSH's client: apt-get install openssh-client",
        code=ExitCode.CONFIG,
    )


def _unreachable(host: Host, stderr: str) -> OpsError:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if "Host key verification failed" in stderr or "IDENTIFICATION HAS CHANGED" in stderr:
        return OpsError(
            f"The machine at {host.address} is not {host.name}: it shows another host key than this stack gave it.",
            fix="Do not go on. Find out who answers there; after a rebuild by hand: pulumi refresh, then pulumi up.",
            code=ExitCode.UNREACHABLE,
        )
    if "Permission denied" in stderr:
        return OpsError(
            f"Host {host.name} ({host.address}) refuses the stack's SSH key.",
            fix="Its authorized_keys was changed: put back sshPublicKey through the provider's console.",
            code=ExitCode.UNREACHABLE,
        )
    return OpsError(
        f"Host {host.name} ({host.address}) does not answer.",
        where=lines[-1] if lines else "the connection was closed",
        fix="Is it powered on, and is this machine's address in sshFrom? Then: tts status",
        code=ExitCode.UNREACHABLE,
    )
