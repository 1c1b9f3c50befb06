"""What the servers of a managed database read: settings of PostgreSQL, PgBouncer and Valkey as texts; no files here."""

import hashlib
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any

from localcloud.store import Record

PORT, SECOND_PORT = 25060, 25061
SOCKET = "/run/postgresql"
RUN = "/run/localcloud"
CONNECTIONS_PER_GB = 25
RESERVED_CONNECTIONS = 3
# Settings that a server reads only when it starts; all of a cluster's nodes are started anew for them.
HARD = (
    *("autovacuum_freeze_max_age", "autovacuum_max_workers", "max_connections", "max_files_per_process"),
    *("max_locks_per_transaction", "max_logical_replication_workers", "max_pred_locks_per_transaction"),
    *("max_prepared_transactions", "max_replication_slots", "max_wal_senders", "max_worker_processes"),
    *("shared_buffers", "track_activity_query_size", "track_commit_timestamp"),
)
# What the API offers under other names or units, or what has no meaning here.
NO_SETTING = frozenset(("backup_hour", "backup_minute", "pgbouncer", "timescaledb", "shared_buffers_percentage"))
PREFIXED = ("pg_partman_bgw", "pg_stat_statements", "pg_stat_monitor")
VALKEY_SETTINGS = {
    "valkey_lfu_log_factor": "lfu-log-factor", "valkey_timeout": "timeout",
    "valkey_lfu_decay_time": "lfu-decay-time", "valkey_notify_keyspace_events": "notify-keyspace-events",
    "valkey_active_expire_effort": "active-expire-effort",
}  # fmt: skip


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give those of the API's PostgreSQL settings that are settings of the server, under the server's names."""
    found = {name: value for name, value in config.items() if name not in NO_SETTING and not name.startswith(PREFIXED)}
    if "work_mem" in found:
        found["work_mem"] = f"{found['work_mem']}MB"
    return found


def connections(memory: int) -> int:
    """Give how many sessions a server takes, of which three are not for users."""
    return CONNECTIONS_PER_GB * max(memory // 1024, 1)


def server_files(cluster: Record, node: Record, memory: int) -> dict[str, str]:
    """Give the files of a node's server by name; `hard` is a key of what needs a restart to be followed."""
    if cluster["engine"] == "valkey":
        return _valkey(cluster, memory)
    hard = _hard(cluster, memory)
    return {
        "hard": hashlib.sha256(hard.encode()).hexdigest()[:12],
        "postgresql.conf": hard + _soft(cluster, node),
        "pg_hba.conf": _access(cluster),
        "pgbouncer.ini": _pools(cluster),
        "pools_hba.conf": _pool_access(cluster["pools"]),
        "pools_users.txt": "".join(f'"{user["name"]}" "{user["password"]}"\n' for user in cluster["users"]),
    }


def _lines(values: Mapping[str, Any]) -> str:
    return "".join(f"{name} = '{_text(value)}'\n" for name, value in values.items())


def _text(value: Any) -> str:
    text = {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return text.replace("'", "''")


def _hard(cluster: Record, memory: int) -> str:
    share = cluster["config"].get("shared_buffers_percentage") or 20
    chosen = settings(cluster["config"])
    return _lines(
        {
            "max_connections": connections(memory),
            "shared_buffers": f"{int(memory * share / 100)}MB",
            "max_wal_senders": 20,
            **{name: value for name, value in chosen.items() if name in HARD},
        }
    )


def _soft(cluster: Record, node: Record) -> str:
    primary = next(one for one in cluster["nodes"] if one["number"] == cluster["primary"])
    source = (
        f"host={primary['private']} port={PORT} user=replicator password={cluster['replication']}"
        f" sslmode=verify-ca sslrootcert={RUN}/ca.crt application_name={node_name(node['number'])}"
    )
    first = node["number"] == cluster["primary"]
    chosen = settings(cluster["config"])
    return _lines(
        {
            "listen_addresses": "*", "port": PORT, "unix_socket_directories": SOCKET, "unix_socket_permissions": "0700",
            "hba_file": f"{RUN}/pg_hba.conf", "superuser_reserved_connections": RESERVED_CONNECTIONS,
            "ssl": "on", "ssl_cert_file": f"{RUN}/server.crt", "ssl_key_file": f"{RUN}/server.key",
            "password_encryption": "scram-sha-256", "timezone": "UTC", "wal_keep_size": "512MB",
            "wal_receiver_timeout": "10s", "wal_sender_timeout": "10s", "wal_retrieve_retry_interval": "1s",
            "primary_conninfo": source, "synchronous_standby_names": _quorum(cluster["sync"]) if first else "",
            **{name: value for name, value in chosen.items() if name not in HARD},
        }
    )  # fmt: skip


def node_name(number: int) -> str:
    """Give the name by which PostgreSQL knows a standby."""
    return f"node{number}"


def _quorum(numbers: Iterable[int]) -> str:
    names = ", ".join(map(node_name, numbers))
    return f"ANY 1 ({names})" if names else ""


def _access(cluster: Record) -> str:
    """Only the node itself comes without TLS, by a socket that only root and postgres can open."""
    peers = [f"hostssl replication replicator {one['private']}/32 scram-sha-256" for one in cluster["nodes"]]
    inner = [f"hostssl all {name} all reject" for name in ("postgres", "replicator")]
    return "\n".join(["local all all trust", *peers, *inner, "hostssl all all all scram-sha-256", ""])


def _pools(cluster: Record) -> str:
    pools = [
        f"{pool['name']} = host={SOCKET} port={PORT} dbname={pool['db']} pool_size={pool['size']}"
        f" pool_mode={pool['mode']} auth_user=postgres"
        for pool in cluster["pools"]
    ]
    values = {
        "listen_addr": "*", "listen_port": SECOND_PORT, "unix_socket_dir": "", "max_client_conn": 5000,
        "client_tls_sslmode": "require", "client_tls_cert_file": f"{RUN}/server.crt",
        "client_tls_key_file": f"{RUN}/server.key", "server_tls_sslmode": "disable",
        "auth_type": "hba", "auth_hba_file": f"{RUN}/pools_hba.conf",
        # Users that only SQL knows are looked up by a session of the superuser, which would stay in the database.
        "auth_file": f"{RUN}/pools_users.txt",
        "auth_query": "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1",
        "ignore_startup_parameters": "extra_float_digits", "server_login_retry": 1, "server_check_delay": 5,
    }  # fmt: skip
    return "\n".join(["[databases]", *pools, "[pgbouncer]", *(f"{key} = {value}" for key, value in values.items()), ""])


def _pool_access(pools: Iterable[Record]) -> str:
    """A pool is for its user; one without a user is for all but the cloud's own."""
    lines = ["hostssl all postgres,replicator 0.0.0.0/0 reject"]
    lines += [f"hostssl {pool['name']} {pool['user'] or 'all'} 0.0.0.0/0 scram-sha-256" for pool in pools]
    return "\n".join([*lines, ""])


def _valkey(cluster: Record, memory: int) -> dict[str, str]:
    config = cluster["config"]
    soft = {
        "maxmemory-policy": cluster["eviction_policy"].replace("_", "-"),
        "requirepass": cluster["users"][0]["password"],
    }
    soft |= {name: config[key] for key, name in VALKEY_SETTINGS.items() if key in config}
    soft |= {
        "maxmemory": f"{memory * 3 // 4}mb",
        "save": '""' if config.get("valkey_persistence") == "off" else "600 1",
    }
    fixed = {
        "port": 0, "tls-port": SECOND_PORT, "tls-cert-file": f"{RUN}/server.crt", "tls-key-file": f"{RUN}/server.key",
        "tls-auth-clients": "no", "dir": "/data/main", "databases": config.get("valkey_number_of_databases", 16),
        "io-threads": config.get("valkey_io_threads", 1), "include": f"{RUN}/soft.conf",
    }  # fmt: skip
    text = "".join(f"{name} {value}\n" for name, value in fixed.items())
    return {
        "hard": hashlib.sha256(text.encode()).hexdigest()[:12],
        "valkey.conf": text,
        "soft.conf": "".join(f"{name} {value}\n" for name, value in soft.items()),
        "password": cluster["users"][0]["password"],
    }


def node_files(cluster: Record, node: Record, gateway: str, sources: Iterable[IPv4Network] | None) -> dict[str, str]:
    """Give a node's addresses and filter. `sources` are who may come; None means all."""
    first = node["number"] == cluster["primary"]
    held = f"{cluster['public']} {cluster['private']}" if first and not cluster["promoting"] else ""
    environment = {
        "ENGINE": cluster["engine"],
        "ROLE": "primary" if first else "standby",
        "OWN": f"{node['public']} {node['private']}",
        "HELD": held,
    }
    trusted = [IPv4Network("0.0.0.0/0")] if sources is None else sources
    accepted = [
        # The cloud looks whether the server lives, other nodes copy it, clients come to the cluster's own addresses.
        f"-s {gateway} -d {node['public']}",
        *(f"-s {one['private']} -d {node['private']}" for one in cluster["nodes"] if one != node),
        *(f"-s {peer} -d {address}" for peer in trusted for address in held.split()),
    ]
    rules = [f"-A INPUT {one} -p tcp -m multiport --dports {PORT},{SECOND_PORT} -j ACCEPT" for one in accepted]
    always = ["-A INPUT -i lo -j ACCEPT", "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
    chains = [":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]"]
    return {
        "node.env": "".join(f"{name}='{value}'\n" for name, value in environment.items()),
        "rules": "\n".join(["*filter", *chains, *always, *rules, "COMMIT", ""]),
    }
