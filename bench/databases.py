"""Nightly run, first run and restore of five databases, beside the guide's way, on the same rows."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING

from bench import guide
from bench.host import PLACE
from bench.report import Figure
from bench.turns import in_turns, ratio

if TYPE_CHECKING:
    from bench.host import Host

# A benchmark may come again with less data than the runs before it had.
WITH_COPIES = "tts-backup databases --accept-size"
NIGHTLY = f"{WITH_COPIES} --no-offsite"
FIRST_ENV = f"{PLACE}/first.env"
# A host that has backed up nothing yet: an empty repository, and state and log of its own.
NEW_REPOSITORY = f"""
rm -rf {PLACE}/first && mkdir -p {PLACE}/first &&
sed -e '/^TTS_OFFSITE/d' -e '/^TTS_LOCAL_REPOSITORY=/d' /etc/tts/backup.env > {FIRST_ENV} &&
printf 'TTS_LOCAL_REPOSITORY={PLACE}/first/repository\\nTTS_STATE_DIR={PLACE}/first/state\\n' >> {FIRST_ENV} &&
printf 'TTS_LOG_DIR={PLACE}/first/log\\n' >> {FIRST_ENV} &&
restic init --quiet --repo {PLACE}/first/repository --password-file /etc/tts/secrets/backup-passphrase
"""
FIRST = f"TTS_ENV_FILE={FIRST_ENV} {NIGHTLY}"
EVENTS = f"{PLACE}/restore.jsonl"
# Ends at the first answer after the swap, as the guide's does, and fails where the restore fails.
RESTORE = f"""
tts-restore databases --repository aws --yes --json > {EVENTS} &
until grep -q '"step": "start"' {EVENTS}; do kill -0 $! || break; sleep 0.1; done
until curl -fs -m 5 -o /dev/null http://127.0.0.1/health/; do kill -0 $! || break; sleep 0.2; done
date +%s.%N > {PLACE}/usable; wait $!
"""


def backups(host: Host, rounds: int) -> tuple[list[Figure], dict[str, list[float]]]:
    """The figures of backups, and the seconds behind them."""

    def prepare(number: int) -> None:
        host.content("change", str(number + 1))
        host.run(NEW_REPOSITORY)

    host.seconds(NIGHTLY)  # what nightly runs find: all rows but those that change are known
    sides = {"bare": guide.BARE_DUMP, "guide": guide.DUMP, "nightly": NIGHTLY, "first": FIRST}
    seconds = in_turns(
        rounds, {name: lambda command=command: host.seconds(command) for name, command in sides.items()}, prepare
    )
    host.run(f"rm -rf {PLACE}/first {guide.OUT}/*.dump")
    medians = {name: f"{statistics.median(values):.1f} s" for name, values in seconds.items()}
    figures = [
        Figure(
            "nightly run, 1 % changed ÷ bare `pg_dump -Fc -Z0`", ratio(seconds, "nightly", "bare"), "x", 2,
            f"`tts-backup databases --no-offsite` {medians['nightly']}, bare {medians['bare']}",
        ),
        Figure(
            "guide's `pg_dump \\| gzip` ÷ nightly run", ratio(seconds, "guide", "nightly"), "x", 4,
            f"guide {medians['guide']}", at_least=True,
        ),
        Figure(
            "guide's `pg_dump \\| gzip` ÷ first run", ratio(seconds, "guide", "first"), "x", 2.5,
            f"first run {medians['first']}, into an empty repository", at_least=True,
        ),
    ]  # fmt: skip
    return figures, seconds


def restore(host: Host, rounds: int) -> tuple[list[Figure], dict[str, list[float]]]:
    """All five databases from the off-site store, against the guide's dumps on the host's own disk."""
    host.seconds(WITH_COPIES)
    host.run(guide.DUMP)
    wanted = json.loads(host.content("fingerprint"))

    def one(command: str) -> float:
        host.content("lose")
        took = host.seconds(command)
        found = json.loads(host.content("fingerprint"))
        if found != wanted:
            raise SystemExit(f"restored rows differ: {found} instead of {wanted}")
        return took

    def product() -> float:
        took = one(f"date +%s.%N > {PLACE}/begun; {RESTORE}")
        begun, usable = (float(host.run(f"cat {PLACE}/{name}")) for name in ("begun", "usable"))
        host.run("tts-restore drop-old --yes")
        return min(took, usable - begun)

    seconds = in_turns(rounds, {"guide": lambda: one(guide.RESTORE), "product": product})
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    figure = Figure(
        "guide's `gunzip \\| psql` ÷ restore of all five from off-site", ratio(seconds, "guide", "product"), "x", 1.3,
        f"`tts-restore databases --repository aws` {medians['product']:.1f} s, guide {medians['guide']:.1f} s,"
        " each until the application answers; hashes of all rows equal",
        at_least=True,
    )  # fmt: skip
    return [figure], seconds
