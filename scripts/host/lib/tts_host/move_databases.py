"""Copy databases from one server to another: dump and restore with the tools of the database's own container, which
reach both, and prove each copy by its content.

The administrator of a managed server is no superuser. Everything is restored in the role of the database's owner, of
which the administrator is a member.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from tts_host import content
from tts_host.content import OURS
from tts_host.log import Failure, log, now, stamp, warn
from tts_host.move_refill import changed, refill
from tts_host.move_transfer import give, transfer
from tts_host.postgres import identifier, literal
from tts_host.swap import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tts_host.content import Content, Tally
    from tts_host.postgres import Server

LANES = 2  # databases at a time; each restore has two sessions of its own
FILLING = "tts: being filled by a move"  # comments of databases: what holds nothing that counts may be overwritten
LEFT = "tts: left by a move"
MARKS = """
select datname as name, pg_get_userbyid(datdba) as owner, shobj_description(oid, 'pg_database') as comment,
       pg_database_size(oid) as bytes, datallowconn and has_database_privilege(oid, 'connect') as open
  from pg_database where not datistemplate
"""
RELATIONS = f"""
select c.relname as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'S', 'v', 'm', 'f') and {OURS}
"""
GRANTS = f"""
select distinct format('%s on %s', a.grantee::regrole, c.oid::regclass) as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
 where a.grantee not in (0, c.relowner) and {OURS} order by 1
"""
EXTENSIONS = "select extname as name from pg_extension where extname <> 'plpgsql' order by 1"
T = TypeVar("T")


@dataclass
class Copies:
    """Databases on two servers, and what was seen of them. `owners` are those of the target."""

    source: Server
    target: Server
    owners: Mapping[str, str]
    seen: dict[str, Content] = field(default_factory=dict[str, "Content"])  # on the source, when last all was read
    tallies: dict[str, Tally] = field(default_factory=dict[str, "Tally"])  # of the source, just before that
    found: dict[str, Content] = field(default_factory=dict[str, "Content"])  # on the target, after its last copy
    extensions: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    seconds: dict[str, float] = field(default_factory=dict[str, float])  # of the last copy of each
    read_s: float = 0.0  # of counting all rows of the source, which the stop does

    @property
    def names(self) -> list[str]:
        return sorted(self.owners)

    def check(self) -> int:
        """Everything that can be known to be wrong before anything is changed. Returns the bytes on the source."""
        there = {row["name"]: row for row in self.source.rows(self.source.maintenance, MARKS)}
        missing = [name for name in self.names if name not in there]
        if missing:
            raise Failure(f"databases to move are not on the old side: {', '.join(missing)}")
        left = [name for name in self.names if (there[name]["comment"] or "").startswith(LEFT)]
        if left:
            raise Failure(
                f"the old side says that it was left by a move before: {', '.join(left)}. Which side is live?"
            )
        kept = [name for name, row in there.items() if (row["comment"] or "").startswith(KEPT)]
        # What not even the administrator may enter is the provider's own.
        others = [name for name, row in there.items() if name not in (*self.owners, *kept) and row["open"]]
        left_out = [name for name in others if self.source.rows(name, RELATIONS)]
        if left_out:
            raise Failure(
                f"databases with tables would stay behind: {', '.join(left_out)}. Name them in `databases` of the "
                "application's configuration, or drop them"
            )
        if kept:
            warn(f"databases that a restore has put aside stay on the old side: {', '.join(sorted(kept))}")
        self.check_versions()
        self.check_target()
        self.extensions = each(self.names, self.check_extensions)
        return sum(int(there[name]["bytes"]) for name in self.names)

    def check_versions(self) -> None:
        (from_number, from_text), (to_number, to_text) = self.source.version(), self.target.version()
        if from_number // 10000 > to_number // 10000:
            raise Failure(f"the old side runs PostgreSQL {from_text}, the new one {to_text}: that is a step back")

    def check_target(self) -> None:
        """Only what is empty, or was put there by a move that did not end, or was left by one, is overwritten."""
        there = {row["name"]: row for row in self.target.rows(self.target.maintenance, MARKS)}
        missing = [name for name in self.names if name not in there]
        if missing:
            raise Failure(f"the new side has no database {', '.join(missing)}: deploy it again (pulumi up)")
        reopen = [name for name in self.names if (there[name]["comment"] or "").startswith(LEFT)]
        self.adopt(reopen)
        foreign = [
            name
            for name in self.names
            if not (there[name]["comment"] or "").startswith((FILLING, LEFT)) and self.target.rows(name, RELATIONS)
        ]
        if foreign:
            raise Failure(
                f"the new side holds tables already that no move has put there: {', '.join(foreign)}. If they are not "
                f"needed, empty these databases, then try again"
            )

    def adopt(self, names: Sequence[str]) -> None:
        """Open what a move away has closed."""
        lines = [f"alter database {identifier(name)} with allow_connections true;" for name in names]
        if lines:
            self.target.sql(self.target.maintenance, "\n".join(lines) + "\n")

    def check_extensions(self, name: str) -> list[str]:
        """The new side must offer the extensions of the old one. Privileges of other roles do not move: a warning."""
        offered = {row["name"] for row in self.target.rows(name, "select name from pg_available_extensions")}
        needed = [row["name"] for row in self.source.rows(name, EXTENSIONS)]
        lacking = [item for item in needed if item not in offered]
        if lacking:
            raise Failure(f"{name} needs extensions that the new side does not offer: {', '.join(lacking)}")
        granted = [row["name"] for row in self.source.rows(name, GRANTS)]
        if granted:
            warn(f"{name}: privileges of other roles do not move, grant them again: {', '.join(granted[:10])}")
        return needed

    def prepare(self) -> None:
        """Each database of the new side belongs to its service's user, and is marked as one that is being filled."""
        give(self.target, self.owners)
        lines = [f"comment on database {identifier(name)} is {literal(FILLING)};\n" for name in self.names]
        self.target.sql(self.target.maintenance, "".join(lines))

    def look(self) -> dict[str, Content]:
        """The content of every database on the old side, now, row by row."""
        began = time.monotonic()
        each(self.names, lambda name: content.count(self.source, name))
        self.read_s = time.monotonic() - began
        self.tallies = each(self.names, lambda name: content.tally(self.source, name))
        self.seen = each(self.names, lambda name: content.read(self.source, name))
        return self.seen

    def look_again(self) -> dict[str, Content]:
        """The same while nobody writes: rows are counted, and read where the server says that a table has changed."""
        return each(self.names, self.look_again_at)

    def look_again_at(self, name: str) -> Content:
        before = self.seen[name]
        same = content.tally(self.source, name).unchanged_since(self.tallies[name])
        counted = content.count(self.source, name) if same else {}
        kept = {what: before[what] for what in same if what in before and before[what].rows == counted.get(what)}
        return {**kept, **content.read(self.source, name, but=kept)}

    def look_at_target(self) -> None:
        self.found = each(self.names, lambda name: content.read(self.target, name))

    def changed(self, seen: Mapping[str, Content]) -> list[str]:
        """Databases whose copy is not what the old side holds; the largest first, for the lanes end together then."""
        differing = [name for name in self.names if content.differences(seen[name], self.found.get(name, {}))]
        return sorted(differing, key=lambda name: -self.seconds.get(name, 0))

    def copy(self, names: Sequence[str]) -> None:
        """Copy these databases and look at what has arrived."""
        self.found |= each(names, self.copy_one)

    def copy_one(self, name: str) -> Content:
        began = time.monotonic()
        transfer(self.source, self.target, name, self.owners[name], self.extensions[name])
        self.seconds[name] = time.monotonic() - began
        arrived = content.read(self.target, name)
        log("info", copied=name, rows=content.rows(arrived), seconds=f"{self.seconds[name]:.1f}")
        return arrived

    def catch_up(self, seen: Mapping[str, Content]) -> list[str]:
        """Bring the copies that differ up to date, by single tables where that can be. Returns their names."""
        again = self.changed(seen)
        self.found |= each(again, lambda name: self.catch_up_one(name, seen[name]))
        return again

    def catch_up_one(self, name: str, seen: Content) -> Content:
        began = time.monotonic()
        what = changed(seen, self.found.get(name, {}))
        try:
            if what is None or not refill(self.source, self.target, name, self.owners[name], what):
                return self.copy_one(name)
        except Failure as failure:
            log("info", copied_whole=name, because=str(failure))
            return self.copy_one(name)
        arrived = {**self.found[name], **content.read(self.target, name, what.parts)}
        self.seconds[name] = time.monotonic() - began
        log("info", refilled=name, tables=len(what.tables), seconds=f"{self.seconds[name]:.1f}")
        return arrived

    def compare(self, seen: Mapping[str, Content]) -> None:
        """Every table, by count and by hash, and every sequence."""
        wrong = [f"{name}: {text}" for name in self.names for text in content.differences(seen[name], self.found[name])]
        if wrong:
            more = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
            raise Failure(f"the copy is not what the old side holds: {'; '.join(wrong[:10])}{more}")

    def estimate(self, names: Sequence[str]) -> float:
        """Seconds that a copy of these databases takes, by the last one of each."""
        lanes = [0.0] * LANES
        for name in names:
            lanes[lanes.index(min(lanes))] += self.seconds.get(name, 0.0)
        return max(lanes)

    def hand_over(self) -> None:
        """The new side counts from here on. What is left behind is closed, so that no stray writer fills it."""
        names = [identifier(name) for name in self.names]
        self.target.sql(self.target.maintenance, "".join(f"comment on database {name} is null;\n" for name in names))
        mark = literal(f"{LEFT} at {stamp(now())}")
        lines = [
            f"comment on database {name} is {mark};\nalter database {name} with allow_connections false;\n"
            for name in names
        ]
        try:
            self.source.sql(self.source.maintenance, "".join(lines), timeout=60)
        except Failure as failure:
            warn(f"the databases of the old side could not be closed, see that nothing writes there: {failure}")


def each(names: Sequence[str], ask: Callable[[str], T]) -> dict[str, T]:
    """Ask for every name, some at a time. All that fail are told."""
    with ThreadPoolExecutor(max_workers=LANES) as pool:
        waiting = {name: pool.submit(ask, name) for name in names}
    failed = [str(error) for future in waiting.values() if isinstance(error := future.exception(), Failure)]
    if failed:
        raise Failure("; ".join(failed))
    return {name: future.result() for name, future in waiting.items()}
