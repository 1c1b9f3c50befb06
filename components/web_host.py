"""One web host: where the application answers."""

from components.host import Host, HostArgs


class WebHost(Host):
    """A droplet for the application. The first one owns the data on the lower rungs; the others hold none."""

    def __init__(self, name: str, args: HostArgs) -> None:
        super().__init__("web_host:WebHost", name, args)
        self.finish(address=self.droplet.ipv4_address, droplet_id=self.droplet.id)
