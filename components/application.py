"""The Compose application on one host."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components import remote
from components.base import Component
from components.bundle import Bundle


@dataclass(frozen=True)
class ApplicationArgs:
    """`environment` becomes the env file of the Compose project; all of it is treated as secret."""

    host: remote.Access
    host_ready: pulumi.Resource
    scripts: Bundle
    source: Bundle
    compose_project: str
    compose_file: str
    directory: str
    environment: pulumi.Output[Mapping[str, str]]


class Application(Component):
    """The application's files, env file and containers; `running` exists once every service is healthy."""

    def __init__(self, name: str, args: ApplicationArgs) -> None:
        super().__init__("application:Application", name)
        source = remote.copy(f"{name}-source", args.host, args.source, self)
        stdin = {
            "env": args.environment,
            "project": args.compose_project,
            "directory": args.directory,
            "source": args.source.remote_folder,
            "compose_file": args.compose_file,
        }
        install = remote.Task("install-app", [args.scripts, args.source], stdin, minutes=30)
        self.running: pulumi.Resource = remote.run(
            f"{name}-install", args.host, install, parent=self, after=[args.host_ready, source]
        )
        self.finish(project=args.compose_project)
