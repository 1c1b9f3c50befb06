"""The state outside the web hosts as one thing: database, media, broker. It is declared while in use, and afterwards
until it is released: a step down copies the data back and deletes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import pulumi

import compose
import naming
import placement
from components import backup_jobs
from components.application import Application, ApplicationArgs
from components.broker import Broker, BrokerArgs
from components.host import Holds, Host
from components.managed_postgres import ManagedPostgres, ManagedPostgresArgs
from components.media_store import MediaStore, MediaStoreArgs
from components.network import Network
from deployed import Deployed
from hosts import APP_DIRECTORY, Bundles, Role, host, role_tag
from settings import ROOT, Settings

CA_FILE: Final = "/etc/tts/database-ca.crt"
"""Where the installer of the application puts the database's CA on a host."""


class Holding(StrEnum):
    """Why the state outside is declared: it is used, it is held after a step down, or it is about to be removed."""

    IN_USE = "in use"
    HELD = "held"
    RELEASING = "releasing"


def holding(settings: Settings, deployed: Deployed) -> Holding | None:
    """What is to be done about the state outside; None: there is none, or none any more.

    What is released goes in two updates, because the engine judges by what it wrote down before: the first takes the
    protection away, the second removes.
    """
    if settings.row.outside:
        return Holding.IN_USE
    if not deployed.cluster:
        return None
    if settings.release != deployed.cluster:
        return Holding.HELD
    return None if deployed.releasing else Holding.RELEASING


@dataclass(frozen=True)
class Outside:
    """What stands outside, with what a move, the application and the backups need to know. All of that is secret.

    `hosts` are those of it with what runs there, `ready` is all that a move has to wait for.
    """

    why: Holding
    settings: Settings
    postgres: ManagedPostgres
    media: MediaStore
    broker: Broker | None
    broker_url: pulumi.Output[str]
    hosts: list[tuple[Host, pulumi.Resource]]
    ready: list[pulumi.Resource]

    @property
    def sides(self) -> dict[str, Any]:
        """Both stores as a move sees them."""
        return {"database": self.postgres.side, "media": self.media.side}

    @property
    def backed_up(self) -> backup_jobs.Outside:
        """Both stores as the backup jobs see them."""
        return backup_jobs.Outside(self.postgres.side, self.media.side)

    @property
    def environment(self) -> pulumi.Output[dict[str, str]]:
        """The variables by which the application takes it all."""
        app = self.settings.app

        def variables(known: Sequence[Any]) -> dict[str, str]:
            pools, media, broker = known
            urls = {name: placement.database_url(app, pool) for name, pool in pools.items()}
            return placement.environment(app, urls, media, broker, CA_FILE)

        return pulumi.Output.all(self.postgres.pools, self.media.side, self.broker_url).apply(variables)

    @property
    def output(self) -> dict[str, Any]:
        """The stack's output on the database cluster. The next run reads it: see `deployed`."""
        cluster, plan = self.postgres.cluster, self.settings.database
        return {
            "id": cluster.id,
            "name": cluster.name,
            "size": plan.size,
            "nodes": 1 + plan.standbys,
            "host": cluster.private_host,
            "state": str(self.why),
        }


def declare(why: Holding, settings: Settings, network: Network, files: Bundles, origin: pulumi.Input[str]) -> Outside:
    """Declare all of it. `origin` is the address whose pages may read the media."""
    postgres, media = _postgres(why, settings, network), _media(why, settings, origin)
    broker = None if settings.broker_url else _broker(why, settings, network, files)
    url = settings.broker_url or (_broker_url(settings, broker) if broker else pulumi.Output.from_input(""))
    hosts: list[tuple[Host, pulumi.Resource]] = []
    if broker:
        hosts = [(broker, _broker_application(settings, files, broker).running)]
    ready = [*postgres.ready, *media.ready, *(running for _, running in hosts)]
    return Outside(why, settings, postgres, media, broker, url, hosts, ready)


def _postgres(why: Holding, settings: Settings, network: Network) -> ManagedPostgres:
    plan = settings.database
    args = ManagedPostgresArgs(
        region=settings.region,
        vpc_id=network.vpc_id,
        clients=network.tag,
        size=plan.size,
        standbys=plan.standbys,
        databases=settings.app.databases,
        pool_size=plan.pool_size,
        releasing=why is Holding.RELEASING,
    )
    return ManagedPostgres("db", args)


def _media(why: Holding, settings: Settings, origin: pulumi.Input[str]) -> MediaStore:
    args = MediaStoreArgs(
        bucket=naming.media_bucket(pulumi.get_project(), pulumi.get_stack(), settings.bucket_suffix),
        region=settings.spaces_region,
        origins=[origin],
        noncurrent_days=settings.vault.noncurrent_days,
        releasing=why is Holding.RELEASING,
    )
    return MediaStore("media", args)


def _broker(why: Holding, settings: Settings, network: Network, files: Bundles) -> Broker:
    """A host that is held until it is released, like the stores: messages may still be on it."""
    holds = Holds.NOTHING if why is Holding.RELEASING else Holds.QUEUES
    tag = role_tag("broker")
    args = BrokerArgs(
        host=host("broker", settings, network, files.scripts, Role(settings.broker_size, tag, holds)),
        tag=tag,
        clients=network.tag,
        port=placement.broker_port(settings.app),
        ssh_from=settings.ssh_from,
    )
    return Broker("broker", args)


def _broker_url(settings: Settings, broker: Broker) -> pulumi.Output[str]:
    app = settings.app
    known = pulumi.Output.all(broker.address, settings.app_secrets)
    return pulumi.Output.secret(known.apply(lambda both: placement.broker_url(app, both[0], both[1])))


def _broker_application(settings: Settings, files: Bundles, broker: Broker) -> Application:
    """The one service that runs on the broker's host."""
    app = settings.app
    used = compose.variables(ROOT / app.path, app.compose_file, app.broker_service)

    def environment(known: Sequence[Any]) -> dict[str, str]:
        return placement.broker_environment(app, known[0], known[1], used)

    args = ApplicationArgs(
        host=broker.access,
        after=[broker.ready],
        scripts=files.scripts,
        source=files.source,
        compose_project=app.project,
        compose_file=app.compose_file,
        directory=APP_DIRECTORY,
        environment=pulumi.Output.all(broker.address, settings.app_secrets).apply(environment),
        services=(app.broker_service,),
    )
    return Application("broker-app", args)
