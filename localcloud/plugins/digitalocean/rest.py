"""Resource types whose whole life is create, read, update and delete of one JSON object."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins import schema
from localcloud.plugins.codec import Codec, Properties, Work
from localcloud.plugins.digitalocean.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping


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

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        answer = it.session.api.post(self.path, self.body({**self.defaults, **it.inputs}))
        return str(answer[self.root][self.id_field]), {}

    def read(self, it: Work[Session]) -> Properties | None:
        answer = it.session.api.find(f"{self.path}/{it.id}")
        return None if answer is None else self.state(answer[self.root])

    def update(self, it: Work[Session]) -> Any:
        it.session.api.put(f"{self.path}/{it.id}", self.body({**self.defaults, **it.inputs}))

    def delete(self, it: Work[Session]) -> None:
        it.session.api.delete(f"{self.path}/{it.id}")
