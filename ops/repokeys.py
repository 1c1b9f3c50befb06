"""Passphrases of repositories: which open them, `keys rotate` step by step. No passphrase is ever an argument.

A rotation keeps its place in two secrets of the configuration, so that it can stop anywhere: `tts-rotation:next` from
its start, `tts-rotation:old` from the moment that the new passphrase is the configured one. Both are gone at its end.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from ops import keys
from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from ops.engine import Engine
    from ops.offsite import Destination
    from ops.restic import Repository
    from ops.session import Session

NEXT, OLD = "tts-rotation:next", "tts-rotation:old"
_PASSPHRASE, _RECOVERY = "backupPassphrase", "recoveryKey"  # names in the configuration
_MOST_KEYS = 10  # that one passphrase may have in a repository
_HOST_TIMEOUT = 600  # seconds; opening a repository takes one each time


class HostRepository(msgspec.Struct, frozen=True):
    """One repository as `tts-keys` on the host says."""

    name: str
    error: str | None = None
    opens: dict[str, bool] = {}
    result: str = ""


class HostKeys(msgspec.Struct, frozen=True):
    """What `tts-keys` prints. `file_is` names the candidate that stands in the host's password file."""

    repositories: tuple[HostRepository, ...]
    file_is: str | None = None


class Opened(msgspec.Struct, frozen=True):
    """One repository, seen from the host or from here: what opens it. None: it could not be tried."""

    repository: str
    seen_from: str
    host: bool | None
    passphrase: bool | None
    recovery: bool | None
    error: str | None = None

    @property
    def well(self) -> bool:
        """Whether everything that was tried opens it."""
        return self.error is None and False not in {self.host, self.passphrase, self.recovery}


@dataclass(frozen=True)
class Place:
    """Where a rotation stands. The old passphrase is known only after the switch."""

    current: str
    next: str | None
    old: str | None
    recovery: str

    def __repr__(self) -> str:
        """Say nothing of what it holds."""
        return f"Place(switched={self.switched})"

    @property
    def switched(self) -> bool:
        """Whether the configuration holds the new passphrase already."""
        return self.next is not None and self.current == self.next


def read_place(engine: Engine) -> Place:
    """Where the rotation of this stack stands.

    Raises:
        OpsError: the stack has no passphrase or no recovery key yet.
    """
    config = engine.config()

    def value(key: str) -> str | None:
        return (config[key].value or "").strip() or None if key in config else None

    current, recovery = value(_PASSPHRASE), value(_RECOVERY)
    if not current or not recovery:
        missing = _RECOVERY if current else _PASSPHRASE
        raise OpsError(f"The stack has no {missing}.", fix="tts init", code=ExitCode.CONFIG)
    return Place(current, value(NEXT), value(OLD), recovery)


def on_host(session: Session, action: str, document: dict[str, object], names: Sequence[str] = ()) -> HostKeys:
    """Run `tts-keys` on the host that owns the jobs; the passphrases go on its standard input.

    Raises:
        OpsError: the host does not answer, has no such command, or refuses the input.
    """
    chosen = [word for name in names for word in ("--repository", name)]
    owner = session.outputs.owner
    text = msgspec.json.encode(document).decode()
    done = session.remote.run(owner, ["tts-keys", action, *chosen], stdin=text, timeout=_HOST_TIMEOUT)
    try:
        return msgspec.json.decode(done.stdout, type=HostKeys)
    except msgspec.DecodeError:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise OpsError(
            f"`tts-keys` on {owner.name} gave no answer (exit status {done.code}).",
            where=lines[-1] if lines else "",
            fix="Deploy the host's commands again: pulumi up",
        ) from None


def verify(
    session: Session, place: Place, destinations: Sequence[Destination], now: Callable[[str], None]
) -> list[Opened]:
    """Try the host's passphrase, the configured one and the recovery key on every repository, from both sides."""
    found: list[Opened] = []
    owner = session.outputs.owner.name
    now(owner)
    try:
        document: dict[str, object] = {"candidates": {"passphrase": place.current, "recovery": place.recovery}}
        for item in on_host(session, "verify", document).repositories:
            tried = item.opens
            found.append(
                Opened(item.name, owner, tried.get("host"), tried.get("passphrase"), tried.get("recovery"), item.error)
            )
    except OpsError as error:
        found.append(Opened("local", owner, None, None, None, f"{error.what} {error.where}".strip()))
    for destination in destinations:
        now(destination.name)
        found.append(_from_here(destination, place))
    return found


def _from_here(destination: Destination, place: Place) -> Opened:
    repository = destination.repository
    try:
        passphrase, recovery = repository.opens(place.current), repository.opens(place.recovery)
    except OpsError as error:
        return Opened(destination.name, "here", None, None, None, f"{error.what} {error.where}")
    return Opened(destination.name, "here", None, passphrase, recovery)


@dataclass(frozen=True)
class Rotation:
    """The steps. Each proves what it did, and can be run again."""

    engine: Engine
    session: Session
    destinations: Sequence[Destination]
    now: Callable[[str], None]

    def begin(self, place: Place) -> Place:
        """Make the new passphrase, add it to every repository, and configure it when every one opens with it.

        Raises:
            OpsError: a repository could not be reached or opened; the old passphrase stays the configured one.
        """
        if place.switched:
            return place
        new = place.next or keys.new_secret()
        if place.next is None:
            self.engine.set_secret(NEXT, new)
        self._host("add", {"new": new})
        for destination in self._ours():
            self.now(f"{destination.name}: adding")
            add(destination.repository, new)
        # The old one first: stopped in between, it is still the configured one.
        self.engine.set_secret(OLD, place.current)
        self.engine.set_secret(_PASSPHRASE, new)
        return Place(new, new, place.current, place.recovery)

    def host_has(self, place: Place) -> bool:
        """Whether the host works with the new passphrase already, and every repository opens with it there.

        Raises:
            OpsError: the host does not answer.
        """
        found = on_host(self.session, "verify", {"candidates": {"new": place.current}})
        closed = [item.name for item in found.repositories if not item.opens.get("new")]
        if closed:
            raise OpsError(
                f"The new passphrase does not open {', '.join(closed)}: the old one stays.",
                where="; ".join(item.error for item in found.repositories if item.error),
                fix="tts keys verify",
            )
        return found.file_is == "new"

    def finish(self, place: Place) -> None:
        """Take the old passphrase away everywhere, after the new one and the recovery key were proven everywhere.

        Raises:
            OpsError: one of them does not open a repository, or the old one could not be removed.
        """
        bad = [item for item in verify(self.session, place, self.destinations, self.now) if not item.well]
        if bad:
            names = ", ".join(f"{item.repository} (from {item.seen_from})" for item in bad)
            raise OpsError(
                f"Not everything opens {names}: the old passphrase stays.",
                where="; ".join(item.error for item in bad if item.error),
                fix="tts keys verify shows what opens what; then: tts keys rotate",
            )
        if place.old and place.old != place.current:
            self._host("remove", {"keep": place.current, "old": place.old})
            for destination in self._ours():
                self.now(f"{destination.name}: removing the old one")
                remove(destination.repository, place.current, place.old)
        for key in (OLD, NEXT):
            if place.old or key == NEXT:
                self.engine.unset(key)

    def _ours(self) -> list[Destination]:
        return [item for item in self.destinations if item.vault]

    def _host(self, action: str, document: dict[str, object]) -> None:
        """On the local repository and on those of others: the host may delete there. In our buckets it may not."""
        ours = {item.name for item in self._ours()}
        names = ["local", *(item.name for item in self.session.outputs.backup.offsite if item.name not in ours)]
        self.now(f"{self.session.outputs.owner.name}: {action}")
        wrong = [item for item in on_host(self.session, action, document, names).repositories if item.error]
        if wrong:
            raise OpsError(
                f"The keys of {', '.join(item.name for item in wrong)} could not be changed.",
                where="; ".join(item.error or "" for item in wrong),
                fix="Nothing is lost: both passphrases are in the configuration. Then again: tts keys rotate",
            )


def add(repository: Repository, new: str) -> None:
    """Let a passphrase open a repository, and prove that it does.

    Raises:
        OpsError: it does not.
    """
    if repository.opens(new):
        return
    with _private(new) as path:
        repository.run("key", "add", "--host", "tts", "--user", "tts", "--new-password-file", str(path))
    if not repository.opens(new):
        raise OpsError(f"restic added a key to {repository.name}, and it does not open it.", fix="tts keys verify")


def remove(repository: Repository, keep: str, old: str) -> None:
    """Take a passphrase away from a repository that another one is proven to open.

    Raises:
        OpsError: the other one does not open it, or the store kept the key.
    """
    if not repository.opens(keep):
        raise OpsError(
            f"The new passphrase does not open {repository.name}: nothing was removed.", fix="tts keys verify"
        )
    for _ in range(_MOST_KEYS):
        if not repository.opens(old):
            return
        listed = repository.with_password(old).run("key", "list", "--json", "--no-lock")
        mine = next(
            str(key["id"]) for key in msgspec.json.decode(listed, type=list[dict[str, object]]) if key["current"]
        )
        repository.with_password(keep).run("key", "remove", mine)
    raise OpsError(
        f"{repository.name} still opens with the old passphrase.",
        fix="The key may not delete there: deploy the one for maintenance (pulumi up).",
    )


@contextmanager
def _private(secret: str) -> Generator[Path]:
    """The secret in a file of a private folder for as long as the block runs."""
    with TemporaryDirectory(prefix="tts-") as folder:
        path = Path(folder) / "key"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secret}\n")
        yield path
