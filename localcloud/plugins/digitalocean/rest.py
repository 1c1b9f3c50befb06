"""Resource types whose whole life is create, read, update and delete of one JSON object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from localcloud.plugins import schema
from localcloud.plugins.codec import Codec, Properties
from localcloud.plugins.digitalocean.session import Session


def snake(name: str) -> str:
    """`createdAt` -> `created_at`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def camel(name: str) -> str:
    """`created_at` -> `createdAt`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


class Rest(Codec[Session]):
    """`path` is the collection, `root` the key of one object, `id_field` the field that is its id.

    `wire` gives the API's name where it is not the input's in snake case; None says the API never tells it.
    """

    path: ClassVar[str]
    root: ClassVar[str]
    id_field: ClassVar[str] = "id"
    wire: ClassVar[Mapping[str, str | None]] = {}

    def body(self, inputs: Properties) -> dict[str, Any]:
        """The request for these inputs."""
        names = {name: self.wire.get(name, snake(name)) for name in inputs if not name.startswith("__")}
        return {wire: inputs[name] for name, wire in names.items() if wire is not None}

    def state(self, item: Mapping[str, Any]) -> Properties:
        """The properties that an object of the API tells."""
        found: Properties = {}
        for name in schema.output_names(self.sdk):
            wire = self.wire.get(name, snake(name))
            if wire is not None and item.get(wire) is not None:
                found[name] = item[wire]
        return found

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        answer = session.api.post(self.path, self.body({**self.defaults, **inputs}))
        return str(answer[self.root][self.id_field]), {}

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        del state
        answer = session.api.find(f"{self.path}/{resource_id}")
        return None if answer is None else self.state(answer[self.root])

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> Any:
        del old, changed
        session.api.put(f"{self.path}/{resource_id}", self.body({**self.defaults, **new}))

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        del state
        session.api.delete(f"{self.path}/{resource_id}")
