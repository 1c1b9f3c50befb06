"""What one resource type is: a table of facts, and the few functions in which it differs from the others."""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from localcloud.plugins.values import Asset, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.plugins.schema import Problem

Session = TypeVar("Session")
Properties = dict[str, Any]


_URN: ContextVar[str] = ContextVar("urn", default="")


def working_on(urn: str) -> None:
    """Note the resource that this task works on."""
    _URN.set(urn)


def current_urn() -> str:
    """The resource that this task works on."""
    return _URN.get()


def current_name() -> str:
    """The logical name of the resource that this task works on."""
    return current_urn().rpartition("::")[2]


class CloudError(Exception):
    """The cloud refused, or could not be reached; the text is for the person who runs the program."""


class InitError(Exception):
    """The resource exists, with this id and state, but did not become usable."""

    def __init__(
        self, resource_id: str, state: Properties, inputs: Properties, secrets: frozenset[str], reason: str
    ) -> None:
        super().__init__(reason)
        self.resource_id, self.state, self.inputs = resource_id, state, inputs
        self.secrets, self.reason = secrets, reason


@dataclass(frozen=True)
class Work(Generic[Session]):
    """One operation on one resource: its id and state as they are, the inputs as they are to be, and what differs."""

    session: Session
    id: str = ""
    state: Properties = field(default_factory=dict, repr=False)
    inputs: Properties = field(default_factory=dict, repr=False)
    changed: frozenset[str] = frozenset()


class Codec(Generic[Session]):
    """A resource type. All property names are the camelCase ones of state and previews.

    `kind`: its type token. `sdk`: its class, as `module:Class`. `label`: what messages call it.
    `required`: inputs without which the check fails. `replaces`: inputs whose change replaces the resource.
    `secrets`: properties marked secret. `sets`: lists, at any depth, whose order means nothing. `ignore_case`: texts
    compared without case. `autoname`: the input that is generated when not given. `defaults`: what an input is when
    not given. `recomputed`: outputs unknown again in the preview of every update.
    """

    kind: ClassVar[str]
    sdk: ClassVar[str]
    label: ClassVar[str]
    required: ClassVar[frozenset[str]] = frozenset()
    replaces: ClassVar[frozenset[str]] = frozenset()
    secrets: ClassVar[frozenset[str]] = frozenset()
    sets: ClassVar[frozenset[str]] = frozenset()
    ignore_case: ClassVar[frozenset[str]] = frozenset()
    autoname: ClassVar[str | None] = None
    autoname_limit: ClassVar[int] = 255
    defaults: ClassVar[Mapping[str, Any]] = {}
    recomputed: ClassVar[frozenset[str]] = frozenset()

    def check(self, inputs: Properties) -> list[Problem]:
        """Rules that the types cannot express."""
        del inputs
        return []

    def complete(self, inputs: Properties) -> Properties:
        """The inputs with what the real plugin writes into them when the program does not say."""
        return inputs

    def replaced_by(self, old: Properties, new: Properties, changed: frozenset[str]) -> frozenset[str]:
        """The changed inputs that replace the resource."""
        del old, new
        return changed & self.replaces

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        """Make it: its id, and the outputs that only this answer tells."""
        raise NotImplementedError

    def settle(self, it: Work[Session]) -> None:
        """What follows once the id is known; if this fails, the resource stays in the state as not initialised."""

    def read(self, it: Work[Session]) -> Properties | None:
        """What the cloud says now, without what it never tells; None when it is gone. By default nothing is read."""
        del it
        return {}

    def update(self, it: Work[Session]) -> Properties | None:
        """Apply the changed inputs in place; a returned map is added to the state."""
        raise NotImplementedError

    def delete(self, it: Work[Session]) -> None:
        """Remove it."""
        raise NotImplementedError

    def canonical(self, value: Any, name: str = "") -> Any:
        """A form of the value in which everything that means the same is equal."""
        if isinstance(value, Asset):
            return ("asset", value.hash or json.dumps(dict(value.content), sort_keys=True, default=str))
        if isinstance(value, dict):
            items = {key: self.canonical(item, key) for key, item in value.items() if not key.startswith("__")}
            return {key: item for key, item in items.items() if item not in (None, [], {}, "")}
        if isinstance(value, list):
            items = [self.canonical(item, name) for item in value]
            return sorted(items, key=_sort_key) if name in self.sets else items
        if isinstance(value, str) and name in self.ignore_case:
            return value.lower()
        return value

    def same(self, name: str, old: Any, new: Any) -> bool:
        """Whether a property has not changed; an unknown value counts as changed, absent as its default."""
        if contains_unknown(new):
            return False
        old, new = self._or_default(name, old), self._or_default(name, new)
        left, right = self.canonical(old, name), self.canonical(new, name)
        return left == right or (left in (None, [], {}, "") and right in (None, [], {}, ""))

    def _or_default(self, name: str, value: Any) -> Any:
        return self.defaults.get(name) if value is None else value


def contains_unknown(value: Any) -> bool:
    """Whether any part of the value is not known yet."""
    if isinstance(value, dict):
        return any(map(contains_unknown, value.values()))
    if isinstance(value, list):
        return any(map(contains_unknown, value))
    return isinstance(value, Unknown)


def _sort_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
