"""What the steps of the ladder cost those who use the application, measured on one stack that climbs all of it.

    python -m bench.climb [--local DIR] [--bytes 1000000000] [--files 2000] [--until balanced]

Without --local it makes a local cloud of its own and removes it. A rung that this version does not build ends the
climb: what was not measured is not printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.backups import PAGE, STACK
from bench.cloud import platform
from bench.fleet import Fleet, until
from bench.guide import POSTGRES
from bench.load import steady
from bench.report import Figure, machine, table, write_section
from phases import Rung, built, row

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.load import Load

WRITE_RATE = 4  # tickets a second while something is moved
RATE = 50  # requests a second while hosts multiply and die, one in WRITES of them a ticket
WRITES = 25
READ = "/health/ticket/"  # through balancer, nginx, service and database, and cheap: the way is measured, not the host
POWER_CYCLE_EXTRA = 10  # seconds that a climb may add to the provider's own off, resize, on
WRITE_STOP = 60
TAKEN_AGAIN = 300  # seconds in which the application must take tickets again
PREVIEWS = (2, 4, 8)
# A new ticket writes to these three: they are what is copied while nothing may be written.
TAKE_TICKETS = "ticket_db workflow_db notification_db"
BARE_COPY = f"""
for db in {TAKE_TICKETS}; do
  docker exec {POSTGRES} createdb -U postgres bench_copy &&
  docker exec {POSTGRES} bash -o pipefail -c \\
    "pg_dump -U postgres -Fc -Z0 $db | pg_restore -U postgres --no-owner -d bench_copy" &&
  docker exec {POSTGRES} dropdb -U postgres bench_copy || exit 1
done
"""


def written(fleet: Fleet, change: Callable[[], object]) -> Load:
    """Tickets come in while `change` happens, until some are taken after it. None that was acknowledged may be lost."""
    with steady(fleet.site(), WRITE_RATE, writes=1) as load:
        until(lambda: len(load.tickets()) > 2 * WRITE_RATE, "the first tickets", 60)
        change()
        seen = len(load.tickets())
        until(lambda: len(load.tickets()) > seen + WRITE_RATE, "tickets after the change", TAKEN_AGAIN)
    return nothing_lost(fleet, load)


def nothing_lost(fleet: Fleet, load: Load) -> Load:
    missing = load.tickets() - fleet.tickets()
    if missing:
        raise SystemExit(f"{len(missing)} of {len(load.tickets())} acknowledged tickets are lost")
    return load


def resized(fleet: Fleet) -> list[Figure]:
    """How long no ticket is taken, beside the same done by hand at the provider."""
    by_hand = written(fleet, lambda: fleet.resize_by_hand(row(Rung.RESIZED).size)).longest_wait()
    fleet.resize_by_hand(row(Rung.SINGLE).size)
    took = written(fleet, lambda: fleet.climb(Rung.RESIZED)).longest_wait()
    how = f"`pulumi up` {took:.1f} s, power off, resize, power on by hand {by_hand:.1f} s, each until a ticket is taken"
    return [Figure("single → resized: downtime beyond the provider's", took - by_hand, "s", POWER_CYCLE_EXTRA, how)]


def externalised(fleet: Fleet) -> list[Figure]:
    """How long no ticket is taken while the state leaves the host; every row, file and ticket is compared."""
    host = fleet.host()
    rows, files = (json.loads(host.content(what)) for what in ("fingerprint", "media-fingerprint"))
    bare = host.seconds(BARE_COPY)
    load = written(fleet, lambda: fleet.climb(Rung.EXTERNALISED))
    if fleet.rows() != rows:
        raise SystemExit("the rows in the managed database are not those that were on the host")
    if fleet.bucket_files() != files:
        raise SystemExit("the files in the bucket are not those that were in the volume")
    stop = load.longest_wait()
    how = f"bare `pg_dump \\| pg_restore` of the databases that take tickets: {bare:.1f} s"
    told = f"{len(load.tickets())} acknowledged tickets, all of them there; hashes of rows and files equal"
    return [
        Figure("resized → externalised: write stop ÷ bare copy", stop / bare, "x", 1.5, how),
        Figure("resized → externalised: write stop", stop, "s", WRITE_STOP, told),
    ]


def primary_killed(fleet: Fleet) -> list[Figure]:
    def kill() -> None:
        dead = fleet.primary()
        fleet.kill(dead)
        until(lambda: fleet.primary() not in ("", dead), "another primary", 120)

    load = written(fleet, kill)
    told = f"{len(load.tickets())} acknowledged tickets, all of them there"
    return [Figure("managed primary killed: writes resume after", load.longest_wait(), "s", 60, told)]


def balanced(fleet: Fleet) -> list[Figure]:
    with steady(fleet.site(), RATE, WRITES, READ) as load:
        fleet.climb(Rung.BALANCED)
    nothing_lost(fleet, load)
    how = f"{len(load.answers)} requests at {RATE} a second, the name looked up each time; {load.reasons()}"
    return [Figure("externalised → balanced: failed requests", len(load.failed()), "", 0, how)]


def host_killed(fleet: Fleet) -> list[Figure]:
    """One of two hosts loses its power under load, and comes back without a person's help."""
    check = fleet.api("GET", "/v2/load_balancers")["load_balancers"][0]["health_check"]
    limit = check["check_interval_seconds"] * check["unhealthy_threshold"]
    served = "docker logs --since 10s tts-nginx 2>&1 | grep -c 'POST /api/tickets/' || true"
    with steady(fleet.site(), RATE, WRITES, READ) as load:
        until(lambda: len(load.answers) > RATE, "the first answers", 60)
        fleet.act("web-2", {"type": "power_off"})
        time.sleep(3 * limit)  # what is measured is that nothing fails after the balancer has left the host out
        dark = time.monotonic()
        fleet.act("web-2", {"type": "power_on"})
        until(lambda: len(load.between(dark, time.monotonic())) > RATE, "answers", 60)
        until(lambda: int(fleet.host("web-2").run(served) or 0) > 0, "requests on the host that came back", 300)
    nothing_lost(fleet, load)
    failed = [answer.due for answer in load.failed()]
    late = [due for due in failed if due > failed[0] + limit]
    lasted = max((due - failed[0] for due in failed if due <= failed[0] + limit), default=0.0)
    how = f"{len(load.answers)} requests, {load.reasons()}; looked at every {check['check_interval_seconds']} s"
    return [
        Figure("one of two hosts killed: requests fail for", lasted, "s", limit, how),
        Figure("failed requests after that", len(late), "", 0, "the host is used again by itself"),
    ]


def previews(fleet: Fleet) -> list[Figure]:
    """`pulumi preview` asks nothing of a host: its time is the program's and the engine's."""
    try:
        took = {number: statistics.median(_preview(fleet, number) for _ in range(3)) for number in PREVIEWS}
    finally:
        fleet.pulumi("config", "rm", "webHosts")
    few, *_, many = PREVIEWS
    how = ", ".join(f"{number} hosts {seconds:.1f} s" for number, seconds in took.items())
    return [Figure(f"`pulumi preview`, {many} hosts ÷ {few}", took[many] / took[few], "x", many / few, how)]


def _preview(fleet: Fleet, hosts: int) -> float:
    fleet.pulumi("config", "set", "webHosts", str(hosts))
    begun = time.monotonic()
    fleet.pulumi("preview")
    return time.monotonic() - begun


MEASURES: dict[Rung, tuple[Callable[[Fleet], list[Figure]], ...]] = {
    Rung.RESIZED: (resized,),
    Rung.EXTERNALISED: (externalised, primary_killed),
    Rung.BALANCED: (balanced, host_killed, previews),
}


def measure(fleet: Fleet, last: Rung, size: int, files: int) -> str:
    """Climb as far as this version builds; returns the section of the page with what was measured on the way."""
    figures: list[Figure] = []
    about = "One stack climbs while tickets come in"
    fleet.name_it()
    fleet.host().install()
    for rung, steps in MEASURES.items():
        if rung not in built() or list(Rung).index(rung) > list(Rung).index(last):
            print(f"not measured: {rung} and above")
            break
        if rung is Rung.EXTERNALISED:
            fleet.host().content("fill", str(size))
            fleet.host().content("media", str(files), str(files * 100_000))
            about += f", from `resized` on with {size / 1e9:g} GB of rows and {files} media files"
        for step in steps:
            figures += (more := step(fleet))
            print("\n".join(figure.row for figure in more), flush=True)
    return f"{about}. `make bench`, on {machine()}.\n\n{table(figures)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--local", type=Path, help="the directory of a local cloud that is up, on the rung `single`")
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--until", type=Rung, choices=list(MEASURES), default=Rung.BALANCED)
    words = parser.parse_args()
    with platform(words.local) as environment:
        measured = measure(Fleet(STACK, environment), words.until, words.bytes, words.files)
    write_section(PAGE, "climb", "The ladder", measured)


if __name__ == "__main__":
    main()
