"""The local cloud: DigitalOcean's v2 API over Docker, and an S3 store beside it, in one daemon on loopback.

    __main__    the command line: up, down, status, destroy, serve, image
    daemon      puts the parts together and runs them until it is told to stop
    web         HTTP: routes, errors, pages, authorisation, injected faults
    store       what the API knows, as JSON on disk
    engine      the Docker command line
    machine     a droplet as a container; `rules` renders its packet filter
    balancer    a load balancer as a container; `haproxy` renders its configuration, `issuer` makes its certificates
    node        a node of a managed database as a container; `servers` renders what it reads
    nameserver  answers for the account's domains, as `zones` says
    kinds/      one module for each kind of resource: its routes and what it really does
    objects/    S3, IAM and STS
    plugins/    stand-in provider plugins for Pulumi
    droplet/    the image of a droplet
    service/    the image that managed services run in

It knows nothing of the program that is deployed on it.

What is not as on the real cloud: droplets share this machine's kernel, clock and disk (sizes limit memory and
processors only); a droplet that is powered off from inside starts again, one that is powered off by the API stays off;
backups can be switched on but none is ever taken; IPv6 addresses are shown and not routed; domains are answered by the
cloud itself, whatever the registry of their top level says.
"""
