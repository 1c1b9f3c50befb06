"""The steps of a promotion, in their order. Each may be done again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ops import jobs, promote_entry, restore
from ops.errors import OpsError
from ops.promote_hosts import Work, await_answer, differences, hold, release, take_measure
from ops.restore import Request
from ops.vault import open_vault, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable

Facts = dict[str, Any]
_SHOWN = 5


def hold_source(work: Work, facts: Facts) -> None:
    """From here on nobody writes to the source: schedule off, application stopped on every web host."""
    facts["held"] = hold(work, work.leaving)


def backup(work: Work, facts: Facts) -> None:
    """The last backup, of data that do not change any more, with its copies."""
    results = jobs.back_up(work.leaving, "all", offsite=True, now=work.now, wait=jobs.BUSY_SECONDS)
    bad = [f"{result.name}: {result.error or 'no reason given'}" for result in results if result.result != "ok"]
    if bad:
        fix = "Put that right and run this again, or give it up: tts promote --abort"
        raise OpsError("The last backup of the source failed.", where="; ".join(bad), fix=fix)
    facts["snapshots"] = {result.kind: result.snapshot for result in results}


def measure(work: Work, facts: Facts) -> None:
    """Every row of every table, and the content of every file, as they are at the source."""
    facts["measure"] = take_measure(work, work.leaving)


def hold_target(work: Work, facts: Facts) -> None:
    """Nobody may write to what is about to be replaced."""
    facts["held"] = hold(work, work.coming)


def take(work: Work, facts: Facts) -> None:
    """The target's host learns to read the source's repository, with a key that only reads; the first that has all."""
    password, keys = work.source.secret("backupPassphrase").strip(), read_keys(work.source, "audit")
    problems: list[str] = []
    for name in work.plan["repositories"]:
        work.now(f"looking into {name}")
        destination = next(each for each in work.leaving.outputs.backup.offsite if each.name == name)
        vault = open_vault(destination, keys)
        if vault is None:
            continue
        given = {"repository": destination.repository, "password": password, "environment": vault.environment()}
        try:
            jobs.ask(work.coming, ["tts-handover", "take"], "Reading the source's repository", stdin=json.dumps(given))
            for kind in _kinds(work):
                restore.plan(work.coming, _request(work, kind))
        except OpsError as error:
            problems.append(f"{name}: {error.what} {error.where}".strip())
            continue
        facts["repository"] = name
        return
    raise OpsError("No repository of the source holds its last backup.", where="; ".join(problems), fix="tts audit")


def databases(work: Work, facts: Facts) -> None:
    """Every database, each table's rows compared with the manifest before the swap."""
    facts["rows"] = {each.name: each.rows for each in _restore(work, "databases").databases}


def media(work: Work, facts: Facts) -> None:
    """Every file of the media."""
    if "media" in _kinds(work):
        facts["files"] = _restore(work, "media").files


def compare(work: Work, facts: Facts) -> None:
    """The same measure at the target: not one row and not one file may differ."""
    wanted, found = work.journal.facts("measure")["measure"], take_measure(work, work.coming)
    wrong = list(differences(wanted, found))
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise OpsError(
            "The target does not hold what the source does.",
            where="; ".join(wrong[:_SHOWN]) + more,
            fix="Nobody was led to it. Give it up with `tts promote --abort`, or run this again with --anew.",
        )
    facts["more"] = sorted(set(found["databases"]) - set(wanted["databases"]))


def start_target(work: Work, facts: Facts) -> None:
    """The application on its new data: it migrates as it starts, all services become healthy, and the entry answers."""
    release(work, work.coming)
    address = work.plan["leads_to"]
    await_answer(work, address, work.coming.outputs.health_url)
    facts["address"] = address


def protect(work: Work, facts: Facts) -> None:
    """What the target holds now is backed up there, and the source's repository is forgotten on it."""
    results = jobs.back_up(work.coming, "all", offsite=True, now=work.now, wait=jobs.BUSY_SECONDS)
    bad = [f"{result.name}: {result.error or 'no reason given'}" for result in results if result.result != "ok"]
    if bad:
        raise OpsError(
            "The target cannot back itself up.", where="; ".join(bad), fix=work.coming.spell("tts backup all")
        )
    jobs.ask(work.coming, ["tts-handover", "drop"], "Forgetting the source's repository")
    facts["snapshots"] = {result.kind: result.snapshot for result in results}


def release_source(work: Work) -> None:
    """The source as it was before: started on every host, its schedule on; the target reads its repository no more."""
    if work.journal.record.step("take"):
        jobs.ask(work.coming, ["tts-handover", "drop"], "Forgetting the source's repository")
    release(work, work.leaving)


def _restore(work: Work, kind: str) -> restore.RestorePlan:
    request = _request(work, kind)
    plan = work.patiently(lambda: restore.plan(work.coming, request))
    work.patiently(lambda: restore.carry_out(work.coming, request, plan, work.now))
    return plan


def _kinds(work: Work) -> list[str]:
    """What the last backup has of what moves; an application may have no media."""
    snapshots = work.journal.facts("backup")["snapshots"]
    return [kind for kind in ("databases", "media") if snapshots.get(kind)]


def _request(work: Work, kind: str) -> Request:
    snapshot = work.journal.facts("backup")["snapshots"][kind]
    return Request((kind,), snapshot, jobs.HANDED, work.leaving.outputs.backup.owner, work.leaving.stack)


STEPS: Final[tuple[tuple[str, Callable[[Work, Facts], None]], ...]] = (
    ("hold-source", hold_source),
    ("backup", backup),
    ("measure", measure),
    ("hold-target", hold_target),
    ("take", take),
    ("databases", databases),
    ("media", media),
    ("compare", compare),
    ("start-target", start_target),
    ("entry", promote_entry.move),
    ("own", promote_entry.own),
    ("protect", protect),
)
