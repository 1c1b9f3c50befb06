"""What `up` asks of a daemon that runs already."""

from localcloud.cloud import Cloud, Kind
from localcloud.kinds import droplets
from localcloud.web import Call, Routes

routes = Routes()
KIND = Kind(routes)


@routes.post("/_localcloud/images", status=200)
def load_images(cloud: Cloud, call: Call) -> dict[str, list[int]]:
    """Make active droplets load images that are new in the directory of images; they do so after the answer."""
    active = [one["id"] for one in cloud.records("droplets") if one["status"] == "active"]
    for number in active:
        cloud.later(droplets.machine(cloud, number).load_images)
    return {"droplets": active}
