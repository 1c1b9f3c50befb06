"""The account: one, with room for all."""

from typing import Any

from localcloud.cloud import Cloud, Kind
from localcloud.web import Call, Routes

routes = Routes()
KIND = Kind(routes)


@routes.get("/v2/account")
def show(cloud: Cloud, call: Call) -> dict[str, Any]:
    identity = cloud.config.identity
    return {
        "account": {
            "uuid": f"{identity}-0000-4000-8000-000000000000",
            "email": "owner@localcloud.test",
            "name": "Local cloud",
            "email_verified": True,
            "status": "active",
            "status_message": "",
            "droplet_limit": len(cloud.config.droplet_addresses),
            "floating_ip_limit": len(cloud.config.reserved_addresses),
            "reserved_ip_limit": len(cloud.config.reserved_addresses),
            "volume_limit": 100,
            "team": {"uuid": f"{identity}-0000-4000-8000-000000000001", "name": "Local cloud"},
        }
    }
