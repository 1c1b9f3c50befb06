"""A lost host made anew: the droplet by Pulumi, its data from off-site, step by step, each step repeatable.

The journal knows which steps are done. A step that was interrupted is done again from its start; every one of them may
be. Data are taken from snapshots older than the rebuild itself: what an empty host might have stored is no backup.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

import naming
from ops.deploy import Deployment
from ops.digitalocean import DigitalOcean
from ops.errors import ExitCode, OpsError
from ops.rebuild_host import ON_HOST, Facts, Work
from ops.session import open_session
from ops.stack import parse_outputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ops.engine import Engine
    from ops.journal import Journal
    from ops.stack import Outputs

WORK: Final = "rebuild"
USABLE: Final = "entry"  # after this step the application serves its users again
_PROJECT = "tts"


class Loss(msgspec.Struct, frozen=True):
    """What the provider says about the host. `status` is None when it has no such droplet any more."""

    host: str
    droplet: str
    status: str | None

    @property
    def gone(self) -> bool:
        """Whether there is nothing left to lose."""
        return self.status is None


class Report(msgspec.Struct, frozen=True):
    """How a rebuild went. Times are in seconds.

    `rto` runs from the command to the application's answer, pauses between tries included; `rpo` is the age that the
    newest database snapshot had when the rebuild began: what was written in that time is lost.
    """

    stack: str
    host: str
    droplet: str
    started: datetime
    rto: float
    rpo: float
    total: float
    repository: str
    snapshots: dict[str, Any]
    rows: dict[str, int | None]
    files: int | None
    steps: dict[str, float]
    notes: tuple[str, ...]


def find_loss(engine: Engine, stack: str) -> Loss:
    """Ask the provider about the host that owns the data.

    Raises:
        OpsError: the stack was never deployed, or the provider does not answer.
    """
    owner = parse_outputs(stack, engine.outputs()).owner
    droplet = DigitalOcean.of(engine).droplet(owner.droplet_id)
    return Loss(owner.name, str(owner.droplet_id), droplet.status if droplet else None)


def offsite_names(engine: Engine, stack: str) -> list[str]:
    """The off-site repositories that the stack's state names."""
    return [each.name for each in parse_outputs(stack, engine.outputs()).backup.offsite]


def rebuild(work: Work) -> Report:
    """Do every step that is not done yet, then close the journal.

    Raises:
        OpsError: a step failed. What is done stays done; running it again goes on there.
    """
    for name, step in (("clear", clear), ("refresh", refresh), ("deploy", deploy)):
        _do(work, name, lambda facts, step=step: step(work, facts))
    with open_session(work.engine.stack) as session:
        for name, step in ON_HOST:
            _do(work, name, lambda facts, step=step: step(work, session, facts))
        return report(work, session.outputs)


def clear(work: Work, facts: Facts) -> None:
    """A host that is to be replaced goes; an image of its disk is taken first."""
    choices = work.journal.record.choices
    droplet = work.cloud.droplet(choices["droplet"])
    if droplet is None:
        facts["gone"] = True
        return
    if not choices.get("replace"):
        raise OpsError(f"Droplet {droplet.id} is back.", fix="tts status", code=ExitCode.USAGE)
    if "snapshot" not in facts:
        name = f"{_PROJECT}-{work.journal.record.stack}-{choices['host']}-replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        facts["snapshot"] = work.cloud.make_snapshot(droplet.id, name, work.now).name
        work.journal.save()
    work.cloud.delete_droplet(droplet.id, work.now)
    facts["gone"] = True


def refresh(work: Work, facts: Facts) -> None:
    """The state learns that the droplet is gone."""
    Deployment(work.engine, work.now).refresh()
    facts["refreshed"] = True


def deploy(work: Work, facts: Facts) -> None:
    """A new droplet with application and jobs; the entry's address moves to it."""
    Deployment(work.engine, work.now).up()
    stack = work.journal.record.stack
    outputs = parse_outputs(stack, work.engine.outputs())
    known = {str(host.droplet_id) for host in outputs.hosts}
    tagged = work.cloud.tagged(naming.tag(_PROJECT, stack, "web"))
    facts["droplet"] = str(outputs.owner.droplet_id)
    facts["strays"] = [f"{one.name} ({one.id})" for one in tagged if str(one.id) not in known]


def report(work: Work, outputs: Outputs) -> Report:
    """The journal as figures."""
    journal, now = work.journal, datetime.now(UTC)
    record = journal.record
    chosen = journal.facts("choose")
    usable = next(step.finished for step in record.steps if step.name == USABLE)
    taken = datetime.fromisoformat(chosen["snapshots"]["databases"]["time"])
    return Report(
        stack=record.stack,
        host=outputs.owner.name,
        droplet=str(outputs.owner.droplet_id),
        started=record.started,
        rto=((usable or now) - record.started).total_seconds(),
        rpo=(record.started - taken).total_seconds(),
        total=(now - record.started).total_seconds(),
        repository=chosen["repository"],
        snapshots=chosen["snapshots"],
        rows=journal.facts("databases")["rows"],
        files=journal.facts("media").get("files"),
        steps={step.name: round(step.seconds, 1) for step in record.steps},
        notes=_notes(journal),
    )


def close(work: Work, written: Report) -> Path:
    """Keep the report beside the journal's steps, and end the journal."""
    work.journal.record.choices["report"] = msgspec.to_builtins(written)
    return work.journal.finish()


def _do(work: Work, name: str, act: Callable[[Facts], None]) -> None:
    if work.journal.is_done(name):
        return
    work.now(name)
    with work.journal.step(name) as facts:
        act(facts)


def _notes(journal: Journal) -> tuple[str, ...]:
    notes = [f"not used: {problem}" for problem in journal.facts("choose").get("problems", [])]
    if name := journal.facts("clear").get("snapshot"):
        notes.append(f"the old host's disk is kept as image {name}: tts snapshot --list")
    notes += [
        f"droplet {stray} bears this stack's tag and is in no state: a killed run left it; delete it"
        for stray in journal.facts("deploy").get("strays", [])
    ]
    notes += [
        f"{name}: {journal.facts(name)['skipped']}" for name in ("media", "config") if "skipped" in journal.facts(name)
    ]
    if differs := journal.facts("config").get("differs"):
        notes.append(f"the saved configuration differs from the deployed one, see {journal.facts('config')['folder']}:")
        notes += differs
    notes += [
        f"{name}: {before} rows restored, {after} when the application had started"
        for name, (before, after) in journal.facts("compare").get("changed", {}).items()
    ]
    return tuple(notes)
