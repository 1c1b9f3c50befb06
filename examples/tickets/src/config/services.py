"""The five services of the one image: everything that differs between them, in one table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """What one value of SERVICE selects."""

    name: str
    app: str  # the Django app that is the service
    host: str  # its name in the Compose file
    apps: tuple[str, ...] = ()  # what else it needs
    broker: bool = False  # whether it talks to the message broker

    @property
    def database(self) -> str:
        """Name of its database on the shared server."""
        return f"{self.name}_db"

    @property
    def role(self) -> str:
        """Its login on the shared server."""
        return f"{self.name}_service"


SERVICES = {
    service.name: service
    for service in (
        Service("auth", "accounts", "auth-service", apps=("django.contrib.contenttypes", "django.contrib.auth")),
        Service("ticket", "ticketing", "ticket-service", broker=True),
        Service("workflow", "workflow", "workflow-api", broker=True),
        Service("messaging", "messaging", "messaging-service"),
        Service("notification", "notification", "notification-service", broker=True),
    )
}
