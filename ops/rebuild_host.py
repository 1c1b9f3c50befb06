"""The steps of a rebuild that happen on the new host: hold it, bring its data back, let it go, prove it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ops import jobs, restore
from ops.digitalocean import DigitalOcean
from ops.errors import OpsError
from ops.restore import Kept, Part, Request
from ops.status import check_url
from ops.verify import verify_backups

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ops.engine import Engine
    from ops.hostreport import Snapshot
    from ops.journal import Journal
    from ops.session import Session

T = TypeVar("T")
Facts = dict[str, Any]
RESTORED: Final = "/var/lib/tts/restored"  # on the host; what is laid there is for a person to look at
_ENTRY_SECONDS = 300
# Lay a snapshot's configuration beside the live one, name the files that differ: $1 folder, $2 snapshot, $3 repository.
_CONFIG = """
set -euo pipefail
. /etc/tts/backup.env
IFS=: read -ra paths <<<"$TTS_CONFIG_PATHS"
rm -rf -- "$1"
tts-restore path "${paths[@]}" --kind config --target "$1" --snapshot "$2" --repository "$3" --yes >&2
for path in "${paths[@]}"; do diff -rq -- "$1$path" "$path" || true; done
"""


@dataclass(frozen=True)
class Work:
    """What every step may use. `now` says what is going on."""

    engine: Engine
    journal: Journal
    now: Callable[[str], None]

    @property
    def cloud(self) -> DigitalOcean:
        """The provider's API."""
        return DigitalOcean.of(self.engine)

    def patiently(self, act: Callable[[], T]) -> T:
        """Wait while the host works on something else."""
        return jobs.patiently(self.now, act)


def hold(work: Work, session: Session, facts: Facts) -> None:
    """Schedule off, application stopped: the host is empty, and nobody may write to it or back it up."""
    facts["held"] = _hold(work, session, "on")


def choose(work: Work, session: Session, facts: Facts) -> None:
    """The newest snapshots from before the rebuild, all from one repository: the one with the newest databases."""
    wanted = work.journal.record.choices.get("from")
    names = [wanted] if wanted else [each.name for each in session.outputs.backup.offsite]
    found: dict[str, dict[str, Snapshot]] = {}
    problems: list[str] = []
    for name in names:
        work.now(f"looking into {name}")
        try:
            found[name] = _newest(session, name, work.journal.record.started)
        except OpsError as error:
            problems.append(f"{name}: {error.what} {error.where}".strip())
    usable = [name for name in found if "databases" in found[name]]
    if not usable:
        raise OpsError(
            "No repository has a database snapshot of this host from before the rebuild.",
            where="; ".join(problems) or f"looked into {', '.join(names) or 'no repository: the stack has none'}",
            fix="Look yourself: tts snapshots --from NAME. By hand: docs/how-to/restore-by-hand.md",
        )
    best = max(usable, key=lambda name: (found[name]["databases"].time, -names.index(name)))
    facts["repository"], facts["problems"] = best, problems
    facts["snapshots"] = {kind: {"id": one.id, "time": one.time.isoformat()} for kind, one in found[best].items()}


def databases(work: Work, session: Session, facts: Facts) -> None:
    """Every database, each table's rows compared with the manifest on the host before the swap."""
    request = _request(work, "databases", "databases")
    plan = work.patiently(lambda: restore.plan(session, request))
    work.patiently(lambda: restore.carry_out(session, request, plan, work.now))
    work.patiently(lambda: restore.drop_old(session, Kept(), work.now))
    facts["rows"] = {database.name: database.rows for database in plan.databases}


def media(work: Work, session: Session, facts: Facts) -> None:
    """Every file, its size compared with the snapshot's list before the swap."""
    if "media" not in _snapshots(work):
        facts["skipped"] = "the repository has no media snapshot"
        return
    request = _request(work, "media", "media")
    plan = work.patiently(lambda: restore.plan(session, request))
    work.patiently(lambda: restore.carry_out(session, request, plan, work.now))
    work.patiently(lambda: restore.drop_old(session, Kept(part=Part.MEDIA), work.now))
    facts["files"], facts["bytes"] = plan.files, plan.bytes


def config(work: Work, session: Session, facts: Facts) -> None:
    """The deployment made the configuration; the saved one is laid beside it, and what differs is named."""
    if "config" not in _snapshots(work):
        facts["skipped"] = "the repository has no config snapshot"
        return
    snapshot, folder = _snapshots(work)["config"]["id"], f"{RESTORED}/config-{_snapshots(work)['config']['id'][:8]}"
    argv = ["bash", "-c", _CONFIG, "bash", folder, snapshot, _repository(work)]
    done = work.patiently(lambda: jobs.ask(session, argv, "Restoring the configuration", timeout=900))
    facts["folder"], facts["differs"] = folder, done.splitlines()


def start(work: Work, session: Session, facts: Facts) -> None:
    """The application on its restored data: its services migrate as they start, and all must become healthy."""
    facts["released"] = _hold(work, session, "off")


def entry(work: Work, session: Session, facts: Facts) -> None:
    """The address that the world knows leads to the new host, and the application answers there."""
    outputs, owner = session.outputs, session.outputs.owner
    deadline = time.monotonic() + _ENTRY_SECONDS
    while True:
        leads_to = work.cloud.droplet_at(outputs.entry.address) if outputs.entry.kind == "reserved_ip" else None
        web = check_url(outputs.health_url)
        moved = outputs.entry.kind != "reserved_ip" or str(leads_to) == str(owner.droplet_id)
        if moved and web.ok:
            facts["url"], facts["leads_to"] = outputs.url, leads_to
            return
        if time.monotonic() > deadline:
            where = web.error or f"{outputs.entry.address} leads to droplet {leads_to}, not to {owner.droplet_id}"
            raise OpsError(f"{outputs.health_url} does not answer.", where=where, fix=session.spell("tts status"))
        work.now(web.error or "waiting for the address to move")
        time.sleep(jobs.PAUSE)


def backup(work: Work, session: Session, facts: Facts) -> None:
    """The first backup of the new host, with its copies."""
    results = work.patiently(lambda: jobs.back_up(session, "all", offsite=True, now=work.now))
    bad = [f"{result.name}: {result.error or 'no reason given'}" for result in results if result.result != "ok"]
    if bad:
        raise OpsError("The new host cannot back itself up.", where="; ".join(bad), fix=session.spell("tts backup"))
    facts["snapshots"] = {result.name: result.snapshot for result in results}


def verify(work: Work, session: Session, facts: Facts) -> None:
    """Every repository proven readable, from the new host."""
    report = work.patiently(lambda: verify_backups(session, work.now))
    if not report.ok:
        where = "; ".join(map(str, report.findings))
        raise OpsError("The backups of the new host do not verify.", where=where, fix=session.spell("tts verify"))
    facts["verified"] = report.result


def compare(work: Work, session: Session, facts: Facts) -> None:
    """What the new host has just backed up against what was restored: every database, its rows.

    Table by table this was exact before the swap. By now the application has worked on: what it changed is named.
    """
    restored = work.journal.facts("databases")["rows"]
    plan = work.patiently(lambda: restore.plan(session, Request(("databases",))))
    now = {database.name: database.rows for database in plan.databases}
    lost = [name for name in restored if name not in now]
    if lost:
        what = f"The new host lacks restored databases: {', '.join(lost)}."
        raise OpsError(what, fix=session.spell("tts restore databases"))
    facts["rows"] = now
    facts["changed"] = {name: [rows, now[name]] for name, rows in restored.items() if rows != now[name]}


def _hold(work: Work, session: Session, verb: str) -> str:
    return work.patiently(lambda: jobs.ask(session, ["tts-hold", verb], f"tts-hold {verb}", timeout=900)) or verb


def _newest(session: Session, repository: str, before: datetime) -> dict[str, Snapshot]:
    """The newest snapshot of each kind that is this host's own and older than the rebuild."""
    newest: dict[str, Snapshot] = {}
    for one in jobs.snapshots(session, repository, None).snapshots:
        mine = one.host in {None, session.outputs.backup.owner} and one.stack in {None, session.stack}
        if mine and one.time < before and (one.kind not in newest or one.time > newest[one.kind].time):
            newest[one.kind] = one
    return newest


def _snapshots(work: Work) -> dict[str, Any]:
    return work.journal.facts("choose")["snapshots"]


def _repository(work: Work) -> str:
    return work.journal.facts("choose")["repository"]


def _request(work: Work, kind: str, *words: str) -> Request:
    return Request(words, _snapshots(work)[kind]["id"], _repository(work))


ON_HOST: Final[tuple[tuple[str, Callable[[Work, Session, Facts], None]], ...]] = (
    ("hold", hold),
    ("choose", choose),
    ("databases", databases),
    ("media", media),
    ("config", config),
    ("start", start),
    ("entry", entry),
    ("backup", backup),
    ("verify", verify),
    ("compare", compare),
)
