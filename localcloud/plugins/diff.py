"""The generic diff: which inputs changed, and whether that means an update or a replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi.provider.experimental.provider import DiffResponse, PropertyDiff, PropertyDiffKind

if TYPE_CHECKING:
    from localcloud.plugins.codec import Codec, Properties

GENERATED = "__defaults"
"""The input that lists which other inputs were not given but generated, as the real plugins write it."""


@dataclass(frozen=True)
class Change:
    changed: frozenset[str]
    replaces: frozenset[str]


def compare(codec: Codec[Any], old: Properties, new: Properties, ignored: list[str]) -> Change:
    """The inputs that differ, without those that are to be ignored."""
    names = {name for name in {*old, *new} if not name.startswith("__")} - set(ignored)
    changed = frozenset(name for name in names if not codec.same(name, old.get(name), new.get(name)))
    return Change(changed, codec.replaced_by(old, new, changed))


def respond(codec: Codec[Any], old: Properties, new: Properties, change: Change) -> DiffResponse:
    """The engine's answer; with a name of its own choosing, a resource cannot exist twice, so delete comes first."""
    named = codec.autoname is not None and codec.autoname not in new.get(GENERATED, [])
    return DiffResponse(
        changes=bool(change.changed),
        replaces=sorted(change.replaces),
        diffs=sorted(change.changed),
        delete_before_replace=bool(change.replaces) and named,
        detailed_diff={
            name: PropertyDiff(_kind(name in old, name in new, name in change.replaces), input_diff=True)
            for name in sorted(change.changed)
        },
    )


def _kind(before: bool, after: bool, replaces: bool) -> PropertyDiffKind:
    name = "UPDATE" if before and after else "ADD" if after else "DELETE"
    return PropertyDiffKind[f"{name}_REPLACE" if replaces else name]
