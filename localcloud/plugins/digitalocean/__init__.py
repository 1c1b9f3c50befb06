"""The stand-in for the DigitalOcean plugin."""

from __future__ import annotations

from localcloud.plugins.base import StandIn
from localcloud.plugins.digitalocean import account, balancing, compute, databases, dns, network, session, spaces
from localcloud.plugins.digitalocean.functions import FUNCTIONS

PACKAGES = ("pulumi_digitalocean",)

CODECS = [
    account.Project(),
    account.ProjectResources(),
    account.SshKey(),
    account.Tag(),
    balancing.Certificate(),
    balancing.LoadBalancer(),
    compute.Droplet(),
    compute.DropletSnapshot(),
    databases.DatabaseCluster(),
    databases.DatabaseConnectionPool(),
    databases.DatabaseDb(),
    databases.DatabaseFirewall(),
    databases.DatabasePostgresqlConfig(),
    databases.DatabaseUser(),
    databases.DatabaseValkeyConfig(),
    dns.DnsRecord(),
    dns.Domain(),
    network.Firewall(),
    network.ReservedIp(),
    network.ReservedIpAssignment(),
    network.Vpc(),
    spaces.SpacesBucket(),
    spaces.SpacesBucketCorsConfiguration(),
    spaces.SpacesBucketPolicy(),
    spaces.SpacesKey(),
]


def provider(_engine: str) -> StandIn:
    """The provider for one run of the engine."""
    return StandIn("digitalocean", CODECS, FUNCTIONS, session.connect, "pulumi_digitalocean.provider:Provider")
