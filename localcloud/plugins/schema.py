"""What a resource type takes and gives, read from the type hints of the installed SDK."""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

import pulumi
from pulumi import _types

from localcloud.plugins.values import Asset, Unknown


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the inputs: the property's path and what to do about it."""

    path: str
    reason: str


@dataclass(frozen=True)
class Field:
    hint: Any
    required: bool


def bare_packages(*names: str) -> None:
    """Make modules of these packages importable without running the packages' own `__init__`.

    An SDK imports all of its hundreds of modules at once, which takes longer than a whole preview. Only for a process
    that is nothing but a plugin: the package is unusable by its own name afterwards.
    """
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(f"{name} is not installed")
        package = types.ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        sys.modules[name] = package


@cache
def args_class(sdk: str) -> type:
    """The inputs' class of `module:Class`; it has "Init" in its name where a nested type took the shorter one."""
    module, _, name = sdk.partition(":")
    found = importlib.import_module(module)
    return getattr(found, f"{name}InitArgs", None) or getattr(found, f"{name}Args")


@cache
def output_names(sdk: str) -> frozenset[str]:
    """The names (camelCase) of all properties that a resource has after creation."""
    module, _, name = sdk.partition(":")
    return frozenset(_types.resource_types(getattr(importlib.import_module(module), name))) - {"id", "urn"}


@cache
def fields(cls: type) -> Mapping[str, Field]:
    """The inputs of an arguments class by their camelCase names."""
    # `pulumi.Input` names `Output[T]` only by a forward reference.
    names = {**vars(sys.modules[cls.__module__]), "Output": pulumi.Output, "T": Any}
    hints = typing.get_type_hints(cls.__init__, names)
    parameters = inspect.signature(cls.__init__).parameters
    return {
        camel: Field(hints[snake], parameters[snake].default is inspect.Parameter.empty)
        for snake, camel in _types.input_type_py_to_pulumi_names(cls).items()
        if snake in parameters
    }


def check_object(
    value: Mapping[str, Any], cls: type, path: str = "", required: frozenset[str] = frozenset()
) -> Iterator[Problem]:
    """All problems of one object: names nobody knows, names that are missing, values of a wrong type."""
    known = fields(cls)
    for name in value:
        if name not in known and not name.startswith("__"):
            yield Problem(_join(path, name), _unknown_name(name, known))
    for name, item in known.items():
        if value.get(name) is None:
            if item.required or name in required:
                yield Problem(_join(path, name), f"missing required property '{name}'")
        else:
            yield from check_value(value[name], item.hint, _join(path, name))


def check_value(value: Any, hint: Any, path: str) -> Iterator[Problem]:
    """All problems of one value against a hint such as `Input[Optional[Sequence[Input[str]]]]`."""
    if value is None or isinstance(value, Unknown):
        return
    attempts = [list(_check_member(value, member, path)) for member in _members(hint)]
    if attempts and all(attempts):
        yield from min(attempts, key=len)


def _members(hint: Any) -> list[Any]:
    """The alternatives of a hint without None and without the promises and outputs of `pulumi.Input`."""
    if typing.get_origin(hint) not in {typing.Union, types.UnionType}:
        return [hint]
    found: list[Any] = []
    for member in typing.get_args(hint):
        origin = typing.get_origin(member)
        if member is type(None) or origin is pulumi.Output or getattr(origin, "__name__", "") == "Awaitable":
            continue
        found += _members(member)
    return found


def _check_member(value: Any, member: Any, path: str) -> Iterator[Problem]:
    origin = typing.get_origin(member) or member
    if origin is Any:
        return
    if inspect.isclass(origin) and _types.is_input_type(origin):
        yield from _check_nested(value, origin, path)
    elif origin in {pulumi.Asset, pulumi.Archive}:
        if not isinstance(value, Asset) or value.archive != (origin is pulumi.Archive):
            yield _mismatch(path, "an archive" if origin is pulumi.Archive else "an asset", value)
    elif inspect.isclass(origin) and issubclass(origin, Enum):
        allowed = [item.value for item in origin]
        if value not in allowed:
            yield Problem(path, f"expected one of {', '.join(map(repr, allowed))}, got {value!r}")
    else:
        yield from _check_plain(value, origin, member, path)


def _check_nested(value: Any, cls: type, path: str) -> Iterator[Problem]:
    if isinstance(value, dict):
        yield from check_object(value, cls, path)
    else:
        yield _mismatch(path, "an object", value)


def _check_plain(value: Any, origin: Any, member: Any, path: str) -> Iterator[Problem]:
    arguments = typing.get_args(member)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            yield _mismatch(path, "a map", value)
            return
        for key, item in value.items():
            yield from check_value(item, arguments[1] if arguments else Any, _join(path, key))
    elif inspect.isclass(origin) and issubclass(origin, Sequence) and origin is not str:
        if not isinstance(value, list):
            yield _mismatch(path, "a list", value)
            return
        for index, item in enumerate(value):
            yield from check_value(item, arguments[0] if arguments else Any, f"{path}[{index}]")
    elif not _is_a(value, origin):
        yield _mismatch(path, _NAMES.get(origin, str(origin)), value)


_NAMES = {str: "a string", bool: "a boolean", int: "an integer", float: "a number"}


def _is_a(value: Any, origin: Any) -> bool:
    if isinstance(value, bool) or origin is bool:
        return isinstance(value, bool) and origin is bool
    if origin is float:
        return isinstance(value, int | float)
    return isinstance(value, origin) if inspect.isclass(origin) else False


def _mismatch(path: str, wanted: str, value: Any) -> Problem:
    kinds = {**_NAMES, dict: "an object", list: "a list", Asset: "an asset or archive"}
    return Problem(path, f"expected {wanted}, got {kinds.get(type(value), type(value).__name__)}")


def _unknown_name(name: str, known: Mapping[str, Any]) -> str:
    closest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{closest[0]}'?" if closest else f"the valid ones are {', '.join(sorted(known))}"
    return f"'{name}' is not a valid property; {hint}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
