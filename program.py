"""The whole platform on one screen: which components there are, and in which order they come to be."""

from collections.abc import Sequence
from typing import Any

import pulumi

import outside
import parts
import report
from components.backup_jobs import BackupJobs
from components.balancer import Balancer, BalancerArgs
from components.dns import Record, RecordArgs
from components.entry import Entry, EntryArgs
from components.network import Network, WebPorts, WebPortsArgs
from components.project import Project
from components.web_host import WebHost
from deployed import Deployed
from guards import hooks
from hosts import bundles, network, passage, web_hosts
from settings import Settings


def build(settings: Settings, deployed: Deployed) -> dict[str, Any]:
    """Declare everything that `settings` asks for, and what is held of before; return the stack's outputs."""
    files, net, way_in = bundles(settings), network(settings), passage(settings)
    hosts = web_hosts(settings, net, files.scripts)
    entry = Entry("entry", EntryArgs(region=settings.region, droplet_id=hosts[0].droplet.id))
    balancer = _balancer(settings, net, hosts, way_in)
    public_host = settings.domain or (balancer.address if balancer else entry.address)
    url = pulumi.Output.concat("https://" if settings.tls else "http://", public_host)
    why = outside.holding(settings, deployed)
    state = outside.declare(why, settings, net, files, url) if why else None
    if state:
        report.tell_of_cluster(state)
    aws = parts.aws_vault(settings) if settings.aws else None
    spaces = parts.spaces_vault(settings) if settings.spaces else None
    vaults = [vault for vault in (aws, spaces) if vault]
    offsite = [*(vault.offsite for vault in vaults), *parts.further_destinations(settings)]
    applications = [each.running for each in parts.applications(settings, hosts, public_host, files, state)]
    jobs = BackupJobs("backup-jobs", parts.jobs(settings, hosts[0], applications, files.scripts, offsite, state))
    others = list(zip(hosts[1:], applications[1:], strict=True))
    tools = parts.host_tools(settings, [*others, *(state.hosts if state else [])], files.scripts)
    done = _open(settings, net, entry, balancer, way_in, [*applications, jobs, *tools])
    Project("project", parts.project(settings, hosts, entry, spaces, state, balancer))
    return report.outputs(
        report.Platform(settings, hosts, entry, balancer, state, offsite, vaults),
        url=url,
        # Waits for the last step: a climb that fails half-way leaves the stack on the rung it came from.
        rung=pulumi.Output.all(jobs.installed, *done).apply(lambda _: str(settings.rung)),
    )


def _balancer(settings: Settings, net: Network, hosts: Sequence[WebHost], way_in: hooks.Entry) -> Balancer | None:
    """After the hosts, so that on the way down it goes before them; nobody is led to it before it answers."""
    gate = hooks.before_balancer_goes(way_in)
    if not settings.row.balanced:
        return None
    args = BalancerArgs(
        region=settings.region,
        vpc_id=net.vpc_id,
        tag=net.tag,
        health_path=settings.app.health_path,
        certificate_for=settings.domain if settings.tls else "",
        before_delete=gate,
        after=[host.ready for host in hosts],
    )
    return Balancer("balancer", args)


def _open(
    settings: Settings,
    net: Network,
    entry: Entry,
    balancer: Balancer | None,
    way_in: hooks.Entry,
    ready: Sequence[pulumi.Resource],
) -> list[pulumi.Output[str]]:
    """Lead the world in. Up: the record to the balancer, then the web ports close to all others. Down: the reverse."""
    leaving = entry.address
    gate = hooks.before_ports_close(way_in, balancer.address if balancer else None, leaving)
    ports = [] if balancer else [_web_ports(net, None, gate, [])]
    records: list[Record] = []
    if settings.dns_zone and settings.owns_entry:
        args = RecordArgs(
            zone=settings.dns_zone,
            domain=settings.domain,
            address=balancer.address if balancer else entry.address,
            adopt=settings.entry_record,
            before=hooks.before_record(way_in),
            after=[*ready, *ports, *([balancer] if balancer else [])],
        )
        records = [Record("entry", args)]
    if balancer:
        ports = [_web_ports(net, balancer, gate, [*ready, *records, balancer])]
    return [each.done for each in (*ports, *records)]


def _web_ports(
    net: Network, balancer: Balancer | None, gate: pulumi.ResourceHook, after: Sequence[pulumi.Resource]
) -> WebPorts:
    return WebPorts("web-ports", WebPortsArgs(net.tag, balancer.id if balancer else None, gate, after))
