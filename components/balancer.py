"""The load balancer before the web hosts, with a certificate where the domain's zone is the provider's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_digitalocean as digitalocean

from components.base import Component

CHECK_SECONDS: Final = 5
UNHEALTHY_AFTER: Final = 3
"""Failed checks until a host gets no more requests: a dead one is out after 15 seconds."""
HEALTHY_AFTER: Final = 2


@dataclass(frozen=True)
class BalancerArgs:
    """`tag` joins the hosts. With a `certificate_for` a host name, HTTPS ends here and HTTP leads to it.

    `before_delete` is asked before the balancer goes; if it raises, it stays.
    """

    region: str
    vpc_id: pulumi.Input[str]
    tag: pulumi.Input[str]
    health_path: str
    certificate_for: str
    before_delete: pulumi.ResourceHook
    after: Sequence[pulumi.Resource]


class Balancer(Component):
    """One node of a regional balancer. `address` is what the world connects to, `id` what firewalls name."""

    def __init__(self, name: str, args: BalancerArgs) -> None:
        super().__init__("balancer:Balancer", name)
        rules = [_forward(80, "http")]
        if args.certificate_for:
            # Its name is made by the engine: a new certificate is there before the old one, which is in use, goes.
            certificate = digitalocean.Certificate(
                name, type="lets_encrypt", domains=[args.certificate_for], opts=self.child()
            )
            rules.append(_forward(443, "https", certificate.name))
        balancer = digitalocean.LoadBalancer(
            name,
            region=args.region,
            vpc_uuid=args.vpc_id,
            size_unit=1,
            droplet_tag=args.tag,
            forwarding_rules=rules,
            redirect_http_to_https=bool(args.certificate_for),
            # The record is the stack's own affair; a record that the provider makes beside it would answer too.
            disable_lets_encrypt_dns_records=True if args.certificate_for else None,
            healthcheck=digitalocean.LoadBalancerHealthcheckArgs(
                protocol="http",
                port=80,
                path=args.health_path,
                check_interval_seconds=CHECK_SECONDS,
                response_timeout_seconds=CHECK_SECONDS,
                unhealthy_threshold=UNHEALTHY_AFTER,
                healthy_threshold=HEALTHY_AFTER,
            ),
            opts=self.child(
                depends_on=list(args.after), hooks=pulumi.ResourceHookBinding(before_delete=[args.before_delete])
            ),
        )
        self.id: pulumi.Output[str] = balancer.id
        self.address: pulumi.Output[str] = balancer.ip
        self.urn_in_project: pulumi.Output[str] = balancer.load_balancer_urn
        self.finish(address=balancer.ip)


def _forward(
    port: int, protocol: str, certificate: pulumi.Input[str] | None = None
) -> digitalocean.LoadBalancerForwardingRuleArgs:
    return digitalocean.LoadBalancerForwardingRuleArgs(
        entry_port=port,
        entry_protocol=protocol,
        target_port=80,
        target_protocol="http",
        certificate_name=certificate,
    )
