"""The kinds of resources, one module each; a new one is written beside them and added to `KINDS`.

The order is that in which the world is brought to what the records say: networks, then droplets, then their filters.
"""

from localcloud.kinds import (
    account,
    actions,
    catalog,
    certificates,
    database_parts,
    database_settings,
    databases,
    domains,
    droplets,
    firewalls,
    images,
    load_balancers,
    maintenance,
    power,
    projects,
    reserved_ips,
    spaces_keys,
    ssh_keys,
    tags,
    vpcs,
)

KINDS = (
    account.KIND,
    catalog.KIND,
    ssh_keys.KIND,
    tags.KIND,
    domains.KIND,
    vpcs.KIND,
    actions.KIND,
    images.KIND,
    droplets.KIND,
    power.KIND,
    reserved_ips.KIND,
    firewalls.KIND,
    databases.KIND,
    database_parts.KIND,
    database_settings.KIND,
    certificates.KIND,
    load_balancers.KIND,
    projects.KIND,
    spaces_keys.KIND,
    maintenance.KIND,
)
