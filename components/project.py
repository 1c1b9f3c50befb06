"""The provider's project: what belongs to the stack, in one place of the console and of the bill."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

from components.base import Component


@dataclass(frozen=True)
class ProjectArgs:
    """`members` are the provider's URNs (`do:droplet:1`), not the engine's."""

    title: str
    description: str
    members: Sequence[pulumi.Input[str]]


class Project(Component):
    """Project and its members. Members are a resource of their own, because the provider adds some by itself."""

    def __init__(self, name: str, args: ProjectArgs) -> None:
        super().__init__("project:Project", name)
        project = digitalocean.Project(
            name, name=args.title, description=args.description, purpose="Web Application", opts=self.child()
        )
        digitalocean.ProjectResources(name, project=project.id, resources=list(args.members), opts=self.child())
        self.finish(title=project.name)
