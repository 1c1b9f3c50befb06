"""Care for managed databases: brings each to what its record says, sees what fails, and puts another in its place.

No acknowledged commit is lost when a primary dies. While standbys follow, it waits for ANY 1 of those in `sync`; `safe`
are those who may take its place, and it always holds every standby that an acknowledgement can have come from. So one
of them has all, and it is the one that is furthest, once all of them have been asked. Where not all can be asked, the
dead primary itself is started again: its disk is still there.
"""

import logging
import shutil
import threading
from collections import defaultdict

from localcloud.cloud import Cloud
from localcloud.engine import EngineError
from localcloud.kinds import vpcs
from localcloud.kinds.database_files import change, first, follow, limits, need, node_of, read
from localcloud.node import Node
from localcloud.servers import node_name, server_files
from localcloud.store import Record

LOG = logging.getLogger(__name__)
SECONDS = 2.0
HANGING = 4  # looks at a server that runs and does not answer, until it counts as dead
BEHIND = 15  # looks at a standby that answers and does not follow, until it is made anew
QUIET = 5  # looks by TCP alone, between two that ask the primary who follows
START_SECONDS = 120.0
ROLES = """
SELECT 'CREATE ROLE doadmin' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'doadmin') \\gexec
SELECT 'CREATE ROLE replicator' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replicator') \\gexec
ALTER ROLE doadmin LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS PASSWORD '{password}';
ALTER ROLE replicator LOGIN REPLICATION PASSWORD '{replication}';
GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO doadmin WITH ADMIN OPTION;
SELECT 'CREATE DATABASE defaultdb OWNER doadmin'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'defaultdb') \\gexec
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
"""
PROMOTE = "SET statement_timeout = 0; SELECT pg_promote(true, 60) WHERE pg_is_in_recovery();"
FOLLOWERS = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"

_AT_WORK: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
_MISSED: defaultdict[tuple[str, str, int], int] = defaultdict(int)
_LOOKS: defaultdict[tuple[str, str], int] = defaultdict(int)


def tend_later(cloud: Cloud, identity: str) -> None:
    """Look after a cluster now, beside all else; if that waits for something, other work does not."""
    threading.Thread(target=tend, args=(cloud, identity), name=f"database {identity}", daemon=True).start()


def tend_all(cloud: Cloud) -> None:
    with cloud.store.transaction():
        every = [one["id"] for one in cloud.records("databases")]
    for identity in every:
        if not _AT_WORK[cloud.config.identity, identity].locked():
            tend_later(cloud, identity)


def tend(cloud: Cloud, identity: str) -> None:
    """Look after one cluster, unless somebody does; each look does what it can and leaves the rest to the next."""
    lock = _AT_WORK[cloud.config.identity, identity]
    if not lock.acquire(blocking=False):
        return
    try:
        cluster = read(cloud, identity)
        if cluster and cluster["leaving"]:
            _remove(cloud, cluster)
        elif cluster:
            _tend(cloud, cluster)
    except EngineError as error:
        LOG.warning("database %s: %s", identity, error)
    except Exception:
        LOG.exception("database %s", identity)
    finally:
        lock.release()


def _tend(cloud: Cloud, cluster: Record) -> None:
    identity = cluster["id"]
    for number in cluster["dropped"]:
        node_of(cloud, identity, number).destroy()
        change(cloud, identity, dropped=[one for one in need(cloud, identity)["dropped"] if one != number])
    follow(cloud, identity)
    if not _first_lives(cloud, cluster):
        return
    cluster = need(cloud, identity)
    others = [one for one in cluster["nodes"] if one["number"] != cluster["primary"]]
    living = [one["number"] for one in others if _other_lives(cloud, cluster, one)]
    settled = (
        cluster["status"] == "online" and cluster["safe"] == cluster["sync"] == living and len(living) == len(others)
    )
    _LOOKS[cloud.config.identity, identity] += 1
    if settled and _LOOKS[cloud.config.identity, identity] % QUIET:
        return
    following = _following(cloud, cluster, living) if others else []
    _agree(cloud, cluster, following)
    if [one["number"] for one in others] == following and not _renew(cloud, cluster):
        change(cloud, identity, status="online")


def _first_lives(cloud: Cloud, cluster: Record) -> bool:
    """See to the primary: made, started, or replaced. True when it serves."""
    node, record = node_of(cloud, cluster["id"], cluster["primary"]), first(cluster)
    if node.answers(cluster["engine"], record["public"]):
        _forget(cloud, node)
        if not cluster["made"]:
            _furnish(node, cluster)
            change(cloud, cluster["id"], made=True)
        elif cluster["promoting"]:
            node.sql(PROMOTE, seconds=90)
            change(cloud, cluster["id"], promoting=False)
            follow(cloud, cluster["id"])
        return True
    if node.running() and (not cluster["made"] or not _too_often(cloud, node, HANGING)):
        return False
    if cluster["safe"] and _all_answer(cloud, cluster, cluster["safe"]):
        _replace_first(cloud, cluster)
    else:
        _start(cloud, cluster, record)
    return False


def _furnish(node: Node, cluster: Record) -> None:
    if cluster["engine"] == "pg":
        password = cluster["users"][0]["password"]
        node.sql(ROLES.format(password=password, replication=cluster["replication"]))


def _replace_first(cloud: Cloud, cluster: Record) -> None:
    """Put the standby that is furthest in the place of a dead primary."""
    node_of(cloud, cluster["id"], cluster["primary"]).kill()

    def position(number: int) -> int:
        [[text]] = node_of(cloud, cluster["id"], number).sql("SELECT pg_last_wal_receive_lsn()")
        high, _, low = text.partition("/")
        return (int(high, 16) << 32) + int(low, 16)

    best = max(cluster["safe"], key=position)
    LOG.warning("database %s: node %s takes the place of node %s", cluster["name"], best, cluster["primary"])
    change(cloud, cluster["id"], primary=best, promoting=True, safe=[], sync=[])
    follow(cloud, cluster["id"])
    _first_lives(cloud, need(cloud, cluster["id"]))


def _other_lives(cloud: Cloud, cluster: Record, record: Record) -> bool:
    """See to a standby: made, started. True when it answers; while it copies the primary it does not."""
    node = node_of(cloud, cluster["id"], record["number"])
    if node.answers(cluster["engine"], record["public"]):
        return True
    if not node.running():
        _start(cloud, cluster, record)
    return False


def _start(cloud: Cloud, cluster: Record, record: Record) -> None:
    """Start a node, as big as it shall be, and remember what it was started with."""
    node, size = node_of(cloud, cluster["id"], record["number"]), limits(cluster)
    if node.exists():
        cloud.engine.run("update", *size.flags(cloud.engine), node.name)
    else:
        with cloud.store.transaction():
            network = vpcs.network(cloud, cloud.one("vpcs", cluster["vpc_uuid"]))
        node.create(record["public"], network, record["private"], size)
    node.start()
    if record["number"] == cluster["primary"]:
        node.wait(cluster["engine"], record["public"], START_SECONDS)
    _forget(cloud, node)
    started = _started(cluster, record)
    with cloud.store.transaction():
        for one in cloud.one("databases", cluster["id"])["nodes"]:
            if one["number"] == record["number"]:
                one["started"] = started


def _started(cluster: Record, record: Record) -> str:
    """Give a key of all that a node follows only by a restart."""
    return f"{cluster['size']} {server_files(cluster, record, limits(cluster).memory)['hard']}"


def _renew(cloud: Cloud, cluster: Record) -> bool:
    """Restart one node that was started with other settings, the primary last; tell whether there was one."""
    last = sorted(cluster["nodes"], key=lambda one: one["number"] == cluster["primary"])
    for record in last:
        if record["started"] != _started(cluster, record):
            node_of(cloud, cluster["id"], record["number"]).stop()
            _start(cloud, cluster, record)
            return True
    return False


def _following(cloud: Cloud, cluster: Record, living: list[int]) -> list[int]:
    """Give the standbys that follow the primary; one that lives and does not for too long is made anew."""
    answer = node_of(cloud, cluster["id"], cluster["primary"]).sql(FOLLOWERS)
    found = {row[0] for row in answer}
    result = []
    for number in living:
        node = node_of(cloud, cluster["id"], number)
        if node_name(number) in found:
            _forget(cloud, node)
            result.append(number)
        elif number not in [*cluster["safe"], *cluster["sync"]] and _too_often(cloud, node, BEHIND):
            LOG.warning("database %s: node %s does not follow and is made anew", cluster["name"], number)
            node.destroy()
    return result


def _agree(cloud: Cloud, cluster: Record, wanted: list[int]) -> None:
    """Let the primary wait for these standbys, in an order in which `safe` is true at every moment."""
    identity, safe = cluster["id"], cluster["safe"]
    if safe == cluster["sync"] == wanted:
        return
    change(cloud, identity, safe=sorted({*safe, *wanted}) if safe and wanted else [])
    change(cloud, identity, sync=wanted)
    follow(cloud, identity)
    if not wanted or _has_all(node_of(cloud, identity, cluster["primary"]), wanted):
        change(cloud, identity, safe=wanted)


def _has_all(primary: Node, wanted: list[int]) -> bool:
    """Tell whether one of these standbys has all that was acknowledged before the primary began to wait for them."""
    [*_, [position]] = primary.sql("SELECT pg_sleep(1); SELECT pg_current_wal_flush_lsn();")
    known = ", ".join(f"'{node_name(number)}'" for number in wanted)
    query = (
        f"SELECT 1 FROM pg_stat_replication WHERE application_name IN ({known}) AND flush_lsn >= '{position}' LIMIT 1"  # noqa: S608
    )
    return any(primary.sql(query) for _ in range(5))


def _remove(cloud: Cloud, cluster: Record) -> None:
    for number in [*(one["number"] for one in cluster["nodes"]), *cluster["dropped"]]:
        node_of(cloud, cluster["id"], number).destroy()
    shutil.rmtree(cloud.config.directory / "databases" / cluster["id"], ignore_errors=True)
    with cloud.store.transaction():
        cloud.store.kind("databases").pop(cluster["id"], None)
    cloud.reconcile()


def _all_answer(cloud: Cloud, cluster: Record, numbers: list[int]) -> bool:
    wanted = [one for one in cluster["nodes"] if one["number"] in numbers]
    return all(node_of(cloud, cluster["id"], one["number"]).answers(cluster["engine"], one["public"]) for one in wanted)


def _too_often(cloud: Cloud, node: Node, most: int) -> bool:
    _MISSED[cloud.config.identity, node.cluster, node.number] += 1
    return _MISSED[cloud.config.identity, node.cluster, node.number] > most


def _forget(cloud: Cloud, node: Node) -> None:
    _MISSED.pop((cloud.config.identity, node.cluster, node.number), None)
