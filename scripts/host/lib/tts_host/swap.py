"""Put restored databases in place of the live ones, all of them or none; keep the old ones; undo."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from tts_host.log import Failure, now
from tts_host.postgres import connect, identifier, literal
from tts_host.services import stopped

if TYPE_CHECKING:
    from tts_host.config import Config
    from tts_host.postgres import Server
    from tts_host.services import Ahead

Emit = Callable[..., None]
KEPT = "tts: kept copy of "  # comment of a database that a swap has put aside
# Runs in the server to its end even when the client is killed: all databases are swapped, or none. Whoever is no
# superuser may end neither a superuser's session nor the server's own workers, which have no user: the renaming ends
# those.
SWAP = """
do $swap$
declare
  pair record;
  waited int := 0;
begin
  for pair in select * from (values {pairs}) p(live, aside, incoming) loop
    if exists (select from pg_database where datname = pair.live) then
      execute format('alter database %I with allow_connections false', pair.live);
    end if;
    execute format('alter database %I with allow_connections false', pair.incoming);
  end loop;
  commit;
  loop
    perform pg_terminate_backend(a.pid) from (values {pairs}) p(live, aside, incoming), pg_stat_activity a
      join pg_roles r on r.oid = a.usesysid and r.rolsuper <= (select rolsuper from pg_roles where rolname = user)
      where a.datname in (p.live, p.incoming) and a.pid <> pg_backend_pid();
    perform pg_stat_clear_snapshot();
    exit when not exists (select from pg_stat_activity a, (values {pairs}) p(live, aside, incoming)
                          where a.datname in (p.live, p.incoming) and a.usesysid is not null
                            and a.pid <> pg_backend_pid());
    waited := waited + 1;
    if waited > 100 then
      raise exception 'connections to the databases do not end: %', (
        select string_agg(distinct concat_ws(' ', a.usename, 'in', a.datname, nullif(a.application_name, '')), ', ')
          from pg_stat_activity a, (values {pairs}) p(live, aside, incoming)
         where a.datname in (p.live, p.incoming) and a.usesysid is not null and a.pid <> pg_backend_pid());
    end if;
    perform pg_sleep(0.1);
  end loop;
  for pair in select * from (values {pairs}) p(live, aside, incoming) loop
    if exists (select from pg_database where datname = pair.live) then
      execute format('alter database %I rename to %I', pair.live, pair.aside);
      execute format('comment on database %I is %L', pair.aside, '{kept}' || pair.live);
    end if;
    execute format('alter database %I rename to %I', pair.incoming, pair.live);
    execute format('comment on database %I is null', pair.live);
    execute format('alter database %I with allow_connections true', pair.live);
  end loop;
  commit;
end $swap$;
"""


def swap_in(
    config: Config,
    server: Server,
    incoming: list[tuple[str, str]],
    reason: str,
    emit: Emit,
    ahead: Ahead | None = None,
) -> list[str]:
    """Put databases in place of the live ones, application stopped. Returns the names of those that were put aside."""
    moment = now().strftime("%Y%m%d%H%M%S")
    triples = [(live, aside_name(live, f"{reason}_{moment}"), name) for live, name in incoming]
    pairs = ", ".join(f"({', '.join(literal(name) for name in triple)})" for triple in triples)
    place = server.maintenance if server.maintenance not in [live for live, _ in incoming] else "template1"
    existing = {row["name"] for row in server.rows(place, "select datname as name from pg_database")}
    emit("step", step="stop", database=None)
    with stopped(config, ahead):
        emit("step", step="swap", database=None)
        try:
            server.sql(place, SWAP.format(pairs=pairs, kept=KEPT), timeout=120)
        except BaseException:
            reopen(server, place, [live for live, _ in incoming if live in existing])
            raise
        emit("step", step="start", database=None)
    return [aside for live, aside, _ in triples if live in existing]


def reopen(server: Server, place: str, names: list[str]) -> None:
    """A swap that failed leaves the live databases closed: open them again."""
    server.sql(place, "".join(f"alter database {identifier(name)} with allow_connections true;\n" for name in names))


def kept(server: Server, names: list[str]) -> list[tuple[str, str]]:
    """Pairs (live name, kept name), oldest first, of the databases that earlier swaps put aside; all when no name is
    given.
    """
    rows = server.rows(
        server.maintenance,
        f"select datname as kept, substr(shobj_description(oid, 'pg_database'), {len(KEPT) + 1}) as live from "
        "pg_database"
        f" where starts_with(shobj_description(oid, 'pg_database'), {literal(KEPT)}) order by right(datname, 14)",
    )
    return [(row["live"], row["kept"]) for row in rows if not names or row["live"] in names]


def undo(config: Config, names: list[str], emit: Emit) -> list[str]:
    """Swap the newest kept copies back in; what they replace is kept in turn."""
    server = connect(config)
    newest = dict(kept(server, names))
    lost = [name for name in names if name not in newest]
    if lost or not newest:
        raise Failure(f"no kept copy of {', '.join(lost) or 'any database'}")
    return swap_in(config, server, list(newest.items()), "undone", emit)


def drop_old(config: Config, names: list[str]) -> list[str]:
    """Drop kept copies for good."""
    server = connect(config)
    old = [aside for _, aside in kept(server, names)]
    for name in old:
        server.sql(server.maintenance, f"drop database {identifier(name)}")
    return old


def aside_name(database: str, reason: str) -> str:
    """NAME__REASON within the 63 bytes of a PostgreSQL name; a name that is too long is cut and marked with a hash."""
    suffix = f"__{reason}"
    raw = database.encode()
    if len(raw) + len(suffix) > 63:
        digest = hashlib.sha256(raw).hexdigest()[:8]
        database = raw[: 63 - len(suffix) - 9].decode("utf-8", "ignore") + "~" + digest
    return database + suffix
