"""Before a droplet changes its size: a backup that is proved, a snapshot, a clean stop. Without them it keeps its size.

The provider cuts the power of a droplet that it resizes, and saves nothing before. Everything here that takes time or
can fail comes while the application runs; the stop is last, so that the application is down for the power cycle and no
longer. The stop is one that the host itself takes back, at its next boot or after `STOPPED_MINUTES`: whatever dies at
whatever moment, the application comes up again without a person, and the next `pulumi up` finds a host to go on with.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from guards.errors import RefusedError
from ops.errors import OpsError
from ops.hostreport import HostReport, decode
from ops.proof import missing as missing_proof

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from guards.droplets import Droplet
    from ops.remote import Completed

STOPPED_MINUTES: Final = 10
BOOT_SECONDS: Final = 300
_MINUTE: Final = 60
_NO_SUCH_COMMAND: Final = 127


@dataclass(frozen=True)
class Resize:
    """One change of size: which droplet, how it is reached, and the two sizes."""

    droplet: int
    host: str
    address: str
    before: str
    after: str


class Shell(Protocol):
    """Runs commands on the host as root. Raises OpsError when it cannot be reached."""

    def run(self, argv: list[str], timeout: float) -> Completed: ...


class Provider(Protocol):
    """What is asked of the provider's API; each call raises RefusedError."""

    def act(self, number: int, minutes: float, **action: Any) -> None: ...

    def settled(self, number: int, minutes: float = 60) -> Droplet: ...


@dataclass(frozen=True)
class ResizeGuard:
    """`label` begins the snapshot's name: project, stack. `say` tells the person what is going on.

    A host without data of its own (`holds_data` false) is stopped cleanly, and needs neither backup nor snapshot.
    """

    provider: Provider
    connect: Callable[[Resize], AbstractContextManager[Shell]]
    label: str
    rung: str
    say: Callable[[str], None]
    holds_data: bool = True
    pause: float = 3

    def allow(self, resize: Resize) -> None:
        """Return when the resize may go on; raise RefusedError, with the application running, when it must not."""
        try:
            self._undo_an_interrupted_resize(resize)
            with self.connect(resize) as shell:
                self._await(shell)
                try:
                    self._prove_and_stop(resize, shell)
                except (OpsError, RefusedError) as error:
                    raise RefusedError(f"{_words(error)}. {_started_again(shell)}") from error
        except (OpsError, RefusedError) as error:
            kept = f"{resize.host} keeps its size {resize.before} and was not resized to {resize.after}"
            raise RefusedError(f"{kept}: {_words(error)} Mend that, then run `pulumi up` again.") from error

    def _prove_and_stop(self, resize: Resize, shell: Shell) -> None:
        _do(shell, ["tts-quiesce", "--end"], minutes=15)
        if self.holds_data:
            self._demand_backup(resize, shell)
            name = f"{self.label}-{resize.host}-before-{self.rung}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
            self.say(f"{resize.host}: taking the snapshot {name}")
            self.provider.act(resize.droplet, 60, type="snapshot", name=name)
        self.say(f"{resize.host}: stopping the application for the resize to {resize.after}")
        _do(shell, ["tts-quiesce", "--for", str(STOPPED_MINUTES)], minutes=30)

    def _demand_backup(self, resize: Resize, shell: Shell) -> None:
        """The newest backups are fresh, verified and off-site; if not, make some and look again."""
        if not (missing := missing_proof(_report(shell, resize.host))):
            return
        self.say(f"{resize.host}: {missing}; backing up now")
        _do(shell, ["tts-backup", "all", "--wait", "3600"], minutes=300)
        _do(shell, ["tts-verify", "--wait", "3600"], minutes=300)
        if missing := missing_proof(_report(shell, resize.host)):
            raise RefusedError(f"{missing}, also after a backup was made just now")

    def _undo_an_interrupted_resize(self, resize: Resize) -> None:
        """An attempt that was killed may have left the droplet off, or resized without the state knowing.

        The provider cannot resize a droplet to the size that it has, so that one first goes back to the size that the
        state knows. Its disk never grew, so the way back is there.
        """
        found = self.provider.settled(resize.droplet)
        if found.size not in (resize.before, resize.after):
            raise RefusedError(
                f"it is {found.size} in truth, which is neither. Somebody else resized it: run `pulumi refresh`"
            )
        try:
            if found.size == resize.after:
                self.say(f"{resize.host}: an interrupted attempt resized it already; back to {resize.before} first")
                self._switch_off(resize)
                self.provider.act(resize.droplet, 60, type="resize", size=resize.before, disk=False)
        finally:
            if self.provider.settled(resize.droplet).status == "off":
                self.say(f"{resize.host}: it is off; switching it on")
                self.provider.act(resize.droplet, 15, type="power_on")

    def _switch_off(self, resize: Resize) -> None:
        """By a shutdown; by force if the host does not heed that."""
        for word in ("shutdown", "power_off"):
            if self.provider.settled(resize.droplet).status != "off":
                self.provider.act(resize.droplet, 15, type=word)

    def _await(self, shell: Shell) -> None:
        """Wait until a host that has just been switched on lets somebody in."""
        end = time.monotonic() + BOOT_SECONDS
        while True:
            try:
                shell.run(["true"], 30)
            except OpsError:
                if time.monotonic() > end:
                    raise
                time.sleep(self.pause)
            else:
                return


def asked(host: str, droplet: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Resize | None:
    """The resize that an update of a droplet from the outputs `old` to the inputs `new` amounts to, if it is one."""
    if old.get("size") == new.get("size"):
        return None
    return Resize(int(droplet), host, str(old["ipv4Address"]), str(old["size"]), str(new["size"]))


def _report(shell: Shell, host: str) -> HostReport:
    return decode(shell.run(["tts-host-status"], 2 * _MINUTE), HostReport, command="tts-host-status", host=host)


def _do(shell: Shell, argv: list[str], *, minutes: float) -> None:
    done = shell.run(argv, minutes * _MINUTE)
    if done.code == _NO_SUCH_COMMAND:
        raise RefusedError(f"the host has no {argv[0]} yet: first `pulumi up` on the rung that it stands on")
    if done.code:
        raise RefusedError(f"`{' '.join(argv)}` ended with {done.code}: {_reason(done.stderr)}")


def _reason(words: str) -> str:
    """The last error, and not the last word: of three backups the first may have failed and the others not."""
    lines = [line for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if " level=error " in line]
    return next(reversed(errors or lines), "it gave no reason")


def _started_again(shell: Shell) -> str:
    try:
        _do(shell, ["tts-quiesce", "--end"], minutes=15)
    except (OpsError, RefusedError) as error:
        within = f"the host itself tries again within {STOPPED_MINUTES} minutes"
        return f"The application could not be started at once ({_words(error)}); {within}."
    return "The application is running."


def _words(error: OpsError | RefusedError) -> str:
    return " ".join(filter(None, (error.what, error.where))) if isinstance(error, OpsError) else str(error)
