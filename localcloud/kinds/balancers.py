"""What load balancers really do: HAProxy in a container, in front of the droplets that are named or that bear a tag.

A balancer makes no DNS records for the names of its certificates; those are made as records of their domain.
"""

import logging
import threading
from collections import defaultdict

from localcloud.balancer import Balancer
from localcloud.cloud import Cloud
from localcloud.engine import EngineError
from localcloud.haproxy import Files, Server, render
from localcloud.kinds import tags, vpcs
from localcloud.store import Record

LOG = logging.getLogger(__name__)
# One thing at a time is done to a balancer's container.
_AT_WORK: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


def container(cloud: Cloud, identity: str) -> Balancer:
    return Balancer(cloud.config, cloud.engine, identity)


def using(cloud: Cloud, certificate: str) -> list[Record]:
    """Give the balancers that have a certificate in a rule."""
    every = [one for one in cloud.records("load_balancers") if not one["leaving"]]
    return [one for one in every if certificate in [rule["certificate_id"] for rule in one["forwarding_rules"]]]


def members(cloud: Cloud, balancer: Record) -> list[Record]:
    """Give the droplets behind a balancer: those of its VPC that it names or whose tag it names."""
    tag, numbers = balancer["tag"], balancer["droplet_ids"]
    wanted = {one["id"] for one in tags.bearers(cloud, "droplets", tag)} if tag else set(numbers)
    near = [one for one in cloud.records("droplets") if one["vpc_uuid"] == balancer["vpc_uuid"] and not one["leaving"]]
    return [one for one in near if one["id"] in wanted]


def reconcile(cloud: Cloud) -> None:
    """Make every balancer's HAProxy follow its record, the droplets behind it, and its certificates."""
    with cloud.store.transaction():
        wanted = {
            one["id"]: (one["status"], _files(cloud, one))
            for one in cloud.records("load_balancers")
            if not one["leaving"]
        }
    for identity, (status, files) in wanted.items():
        this = container(cloud, identity)
        if this.write(files) and status == "active":
            try:
                this.follow(files)
            except EngineError as error:
                LOG.warning("load balancer %s does not follow its settings yet: %s", identity, error)


def _files(cloud: Cloud, balancer: Record) -> Files:
    used = {rule["certificate_id"] for rule in balancer["forwarding_rules"]} - {""}
    known = cloud.store.kind("certificates")
    servers = [Server(one["id"], one["private"]) for one in members(cloud, balancer)]
    return render(balancer, servers, {one: known[one]["pem"] for one in sorted(used)})


def recover(cloud: Cloud) -> None:
    """Make containers what the records say: begun ones are made, active ones run, leaving ones go."""
    with cloud.store.transaction():
        every = [dict(one) for one in cloud.records("load_balancers")]
    for balancer in every:
        this = container(cloud, balancer["id"])
        if balancer["leaving"]:
            remove_later(cloud, balancer["id"])
        elif balancer["status"] == "active" and this.exists():
            try:
                this.start()
            except EngineError:
                LOG.exception("load balancer %s could not be started", balancer["id"])
        else:
            provision_later(cloud, balancer["id"])


def provision_later(cloud: Cloud, identity: str) -> None:
    """Make and start a balancer's container, by its record."""

    def work() -> None:
        with _AT_WORK[cloud.config.identity, identity]:
            with cloud.store.transaction():
                balancer = dict(cloud.store.kind("load_balancers").get(identity) or {"leaving": True})
            if not balancer["leaving"]:
                _provision(cloud, balancer)

    cloud.later(work)


def _provision(cloud: Cloud, balancer: Record) -> None:
    with cloud.store.transaction():
        network = vpcs.network(cloud, cloud.one("vpcs", balancer["vpc_uuid"]))
    this, status = container(cloud, balancer["id"]), "active"
    try:
        this.create(balancer["public"], network, balancer["private"])
        cloud.reconcile()
        this.start()
    except EngineError:
        LOG.exception("load balancer %s could not be made", balancer["id"])
        status = "errored"
    with cloud.store.transaction():
        cloud.one("load_balancers", balancer["id"])["status"] = status
    cloud.reconcile()


def remove_later(cloud: Cloud, identity: str) -> None:
    """Remove a balancer's container and then its record; until then its VPC has a member."""

    def work() -> None:
        with _AT_WORK[cloud.config.identity, identity]:
            container(cloud, identity).destroy()
        with cloud.store.transaction():
            cloud.store.kind("load_balancers").pop(identity, None)
        cloud.reconcile()

    cloud.later(work)
