"""Managed PostgreSQL: the databases outside the hosts, each with a user and a pool of its own."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_digitalocean as digitalocean

from components.base import Component

VERSION: Final = "15"
"""The application's own server has the same. A higher one is an upgrade without a way back."""
MAINTENANCE: Final = "defaultdb"
"""The provider's own database, which is always there."""


@dataclass(frozen=True)
class ManagedPostgresArgs:
    """The VPC is set at creation, because a later one replaces the cluster. `clients` is the tag that may connect.

    `releasing` takes the protection away, as the step before the removal.
    """

    region: str
    vpc_id: pulumi.Input[str]
    clients: pulumi.Input[str]
    size: str
    standbys: int
    databases: tuple[str, ...]
    pool_size: int
    releasing: bool = False


class ManagedPostgres(Component):
    """Cluster, databases, users, pools, firewall.

    `side` is what a move needs to know of it, `pools` what the application does: user, password, host, port and name
    of the pool, by database. `ready` are the resources to wait for.
    """

    def __init__(self, name: str, args: ManagedPostgresArgs) -> None:
        super().__init__("managed_postgres:ManagedPostgres", name)
        self._kept = self.child if args.releasing else self.stateful
        self.cluster = digitalocean.DatabaseCluster(
            name,
            engine="pg",
            version=VERSION,
            region=args.region,
            size=args.size,
            node_count=1 + args.standbys,
            private_network_uuid=args.vpc_id,
            opts=self._kept(),
        )
        wall = digitalocean.DatabaseFirewall(
            name,
            cluster_id=self.cluster.id,
            rules=[digitalocean.DatabaseFirewallRuleArgs(type="tag", value=args.clients)],
            opts=self._part(),
        )
        self.ready: tuple[pulumi.Resource, ...] = (self, wall)
        made = {database: self._database(database, args.pool_size) for database in args.databases}
        self.pools = pulumi.Output.secret(
            pulumi.Output.all(**{database: _pool(user, pool) for database, (user, pool) in made.items()})
        )
        self.side = self._side({database: user for database, (user, _) in made.items()})
        self.finish(cluster=self.cluster.id)

    def _part(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a part of the cluster: an empty firewall is an open one, a database without its row is gone."""
        return self._kept(deleted_with=self.cluster, **options)

    def _database(
        self, name: str, pool_size: int
    ) -> tuple[digitalocean.DatabaseUser, digitalocean.DatabaseConnectionPool]:
        """One database, the user that owns it, and the pool through which the application uses it."""
        database = digitalocean.DatabaseDb(name, cluster_id=self.cluster.id, name=name, opts=self._part())
        user = digitalocean.DatabaseUser(name, cluster_id=self.cluster.id, name=name, opts=self._part())
        pool = digitalocean.DatabaseConnectionPool(
            name,
            cluster_id=self.cluster.id,
            name=name,
            mode="transaction",
            size=pool_size,
            db_name=database.name,
            user=user.name,
            opts=self.child(deleted_with=self.cluster),
        )
        return user, pool

    def _side(self, users: dict[str, digitalocean.DatabaseUser]) -> pulumi.Output[dict[str, Any]]:
        authority = digitalocean.get_database_ca_output(
            cluster_id=self.cluster.id, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        owners = pulumi.Output.all(
            **{name: pulumi.Output.all(user=user.name, password=user.password) for name, user in users.items()}
        )
        return pulumi.Output.secret(
            pulumi.Output.all(
                host=self.cluster.private_host,
                port=self.cluster.port,
                user=self.cluster.user,
                password=self.cluster.password,
                ca=authority.certificate,
                maintenance=MAINTENANCE,
                owners=owners,
            )
        )


def _pool(user: digitalocean.DatabaseUser, pool: digitalocean.DatabaseConnectionPool) -> pulumi.Output[dict[str, Any]]:
    return pulumi.Output.all(
        user=user.name, password=user.password, host=pool.private_host, port=pool.port, name=pool.name
    )
