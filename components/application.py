"""The Compose application on one host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components import remote
from components.base import Component
from components.bundle import Bundle


@dataclass(frozen=True)
class State:
    """Where the state is to live after this run, `host` or `outside`, and what both sides are.

    The installer moves it if it is on the other side. `sides` is a secret; without an outside only the host is in it.
    """

    placement: str
    sides: pulumi.Output[Mapping[str, Any]]
    minutes: int


@dataclass(frozen=True)
class Trust:
    """Certificates of the database's CA, and the file on the host from which the application takes them."""

    path: str
    certificates: pulumi.Output[str]


@dataclass(frozen=True)
class ApplicationArgs:
    """`environment` becomes the env file of the Compose project; all of it is treated as secret.

    Without `state` nothing moves. `services` are the only ones to run here, all if empty. `drain_seconds` is how long
    it takes the balancer to see that the host wants to leave it for a change; None where no balancer stands.
    """

    host: remote.Access
    after: Sequence[pulumi.Resource]
    scripts: Bundle
    source: Bundle
    compose_project: str
    compose_file: str
    directory: str
    environment: pulumi.Output[Mapping[str, str]]
    state: State | None = None
    trust: Trust | None = None
    services: tuple[str, ...] = ()
    drain_seconds: int | None = None


class Application(Component):
    """The application's files, env file and containers; `running` exists once every service is healthy."""

    def __init__(self, name: str, args: ApplicationArgs) -> None:
        super().__init__("application:Application", name)
        source = remote.copy(f"{name}-source", args.host, args.source, self)
        before = [*args.after, source]
        if args.trust:
            stdin = {"path": args.trust.path, "certificates": args.trust.certificates}
            trust = remote.Task("trust", [args.scripts], stdin)
            before.append(remote.run(f"{name}-trust", args.host, trust, parent=self, after=args.after))
        install = remote.Task(
            "install-app",
            [args.scripts, args.source],
            _stdin(args),
            minutes=args.state.minutes if args.state else 30,
        )
        self.running: pulumi.Resource = remote.run(f"{name}-install", args.host, install, parent=self, after=before)
        self.finish(project=args.compose_project)


def _stdin(args: ApplicationArgs) -> dict[str, Any]:
    """What the installer reads."""
    found: dict[str, Any] = {
        "env": args.environment,
        "project": args.compose_project,
        "directory": args.directory,
        "source": args.source.remote_folder,
        "compose_file": args.compose_file,
    }
    if args.state:
        found |= {"placement": args.state.placement, "sides": args.state.sides}
    if args.services:
        found["services"] = list(args.services)
    if args.drain_seconds is not None:
        found["drain"] = args.drain_seconds
    return found
