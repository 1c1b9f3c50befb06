"""Reads configuration values by type and notes every one that is missing, misshapen, unknown or unencrypted."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard, TypeVar, cast, get_type_hints

import pulumi
import yaml
from pulumi.runtime import is_config_secret
from pulumi.runtime.config import CONFIG

from rules import Problem

_Shape = TypeVar("_Shape")
_Kind = TypeVar("_Kind", bool, int, list[Any], dict[str, Any])
_EMPTY: Final[dict[object, tuple[Any, str]]] = {
    str: ("", "a text"),
    int: (0, "a whole number"),
    tuple[str, ...]: ((), "a list of texts"),
    Mapping[str, str]: ({}, "an object of texts"),
}

_SCALARS: Final[frozenset[object]] = frozenset({str, int})


class Reader:
    """Reads values by type. A missing or misshapen one is noted and replaced by an empty one: reading goes on."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._config = pulumi.Config()

    def text(self, key: str) -> str:
        return self._config.get(key) or ""

    def flag(self, key: str) -> bool:
        return self._typed(key, bool, "true or false", False)

    def whole(self, key: str) -> int:
        return self._typed(key, int, "a whole number", 0)

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._typed(key, list, "a list", [])
        return tuple(map(str, values))

    def mapping(self, key: str) -> dict[str, str]:
        return as_texts(self._typed(key, dict, "an object", {}))

    def secret_mapping(self, key: str, fix: str) -> dict[str, Any]:
        """The object under `key`, which has to be encrypted; `fix` is the command that encrypts it."""
        values = self._typed(key, dict, "an object", {})
        if values:
            self._demand_encryption(key, fix)
            for part in plain_parts(_stack_file().get(self._config.full_key(key))):
                self._refuse_plain(f"{key}{part}", fix)
        return values

    def secret(self, key: str) -> pulumi.Output[str]:
        value = self._config.get_secret(key)
        if not self._config.get(key):
            self._note(key, "(missing)", "a secret of the stack", made_by_init())
        else:
            self._demand_encryption(key, made_by_init())
        return pulumi.Output.secret("") if value is None else value

    def optional_secret(self, key: str, fix: str) -> pulumi.Output[str] | None:
        """A secret that may be left empty; `fix` is the command that encrypts it."""
        if not self._config.get(key):
            return None
        self._demand_encryption(key, fix)
        return self._config.get_secret(key)

    def record(self, key: str, shape: type[_Shape]) -> _Shape:
        """The object under `key` as the dataclass `shape`: every field there, of its type, unless it has a default."""
        return self._shaped(key, self._typed(key, dict, "an object", {}), shape)

    def records(self, key: str, shape: type[_Shape]) -> tuple[_Shape, ...]:
        """The list of objects under `key`, each as the dataclass `shape`."""
        found: list[_Shape] = []
        for index, value in enumerate(self._typed(key, list, "a list", [])):
            if isinstance(value, dict):
                found.append(self._shaped(f"{key}[{index}]", cast("dict[str, Any]", value), shape))
            else:
                self._note(f"{key}[{index}]", repr(value), "an object", "Pulumi.yaml describes its keys")
        return tuple(found)

    def refuse_unknown(self, keys: set[str]) -> None:
        prefix = f"{pulumi.get_project()}:"
        for name in sorted(CONFIG.get()):
            key = name.removeprefix(prefix)
            if name.startswith(prefix) and key not in keys:
                fix = f"pulumi config rm {key} --stack {pulumi.get_stack()}; the keys are in Pulumi.yaml"
                self._note(key, "(not shown)", "no such key", fix)

    def _shaped(self, key: str, values: dict[str, Any], shape: type[_Shape]) -> _Shape:
        hints = {camel(name): hint for name, hint in get_type_hints(shape).items()}
        for name in values.keys() - hints.keys():
            self._note(f"{key}.{name}", str(values[name]), "no such key", f"one of {', '.join(sorted(hints))}")
        given = {name: hint for name, hint in hints.items() if name in values or name not in _optional(shape)}
        return shape(
            **{snake(name): self._field(f"{key}.{name}", values.get(name), hint) for name, hint in given.items()}
        )

    def _field(self, key: str, value: object, hint: object) -> object:
        empty, words = _EMPTY[hint]
        if value is None:
            self._note(key, "(missing)", f"required: {words}", "Pulumi.yaml shows a complete example")
        elif hint == tuple[str, ...] and _is_texts(value):
            return tuple(value)
        elif hint == Mapping[str, str] and _is_text_mapping(value):
            return dict(value)
        elif hint in _SCALARS and isinstance(value, type(empty)) and not isinstance(value, bool):
            return value
        else:
            self._note(key, repr(value), words, f"write it as {words}")
        return empty

    def _typed(self, key: str, kind: type[_Kind], words: str, empty: _Kind) -> _Kind:
        text = self._config.get(key)
        if text is None:
            self._note(
                key,
                "(missing)",
                f"required: {words}",
                "Pulumi.yaml declares a default for it",
            )
            return empty
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = None
        if type(value) is kind:
            return cast("_Kind", value)
        shown = "(hidden)" if is_config_secret(self._config.full_key(key)) else text
        self._note(key, shown, f"it is {words}", f"write it as {words}")
        return empty

    def _demand_encryption(self, key: str, command: str) -> None:
        if not is_config_secret(self._config.full_key(key)):
            self._refuse_plain(key, command)

    def _refuse_plain(self, key: str, command: str) -> None:
        fix = f"take it out of Pulumi.{pulumi.get_stack()}.yaml, never use that value again, then: {command}"
        self._note(key, "(hidden)", "a secret stands in the stack file unencrypted", fix)

    def _note(self, key: str, value: str, rule: str, fix: str) -> None:
        problem = Problem(key, value, rule, fix)
        if problem not in self.problems:
            self.problems.append(problem)


def plain_parts(value: object, path: str = "") -> Iterator[str]:
    """Paths of the texts and numbers in an object of a stack file that are not encrypted, if another part of it is.

    The engine tells a program only that something in an object is encrypted. An object without any such part is
    refused as a whole, elsewhere.
    """
    found = list(_plain(value, path))
    if found and _has_secure(value):
        yield from found


def _plain(value: object, path: str) -> Iterator[str]:
    if _is_secure(value):
        return
    children = _children(value)
    if not isinstance(value, dict | list):
        yield path
    for step, each in children:
        yield from _plain(each, f"{path}{step}")


def _has_secure(value: object) -> bool:
    return _is_secure(value) or any(_has_secure(each) for _, each in _children(value))


def _is_secure(value: object) -> bool:
    return isinstance(value, dict) and list(cast("dict[str, object]", value)) == ["secure"]


def _children(value: object) -> list[tuple[str, object]]:
    """What is in an object or a list, each with its step of the path; nothing for a text or a number."""
    if isinstance(value, dict):
        return [(f".{name}", each) for name, each in cast("dict[str, object]", value).items()]
    if isinstance(value, list):
        return [(f"[{index}]", each) for index, each in enumerate(cast("list[object]", value))]
    return []


def _stack_file() -> dict[str, Any]:
    """The configuration as it stands in the stack's file; empty where the engine does not say where that is."""
    try:
        text = (Path(pulumi.get_root_directory()) / f"Pulumi.{pulumi.get_stack()}.yaml").read_text(encoding="utf-8")
        return yaml.safe_load(text).get("config") or {}
    except (RuntimeError, TypeError, OSError, yaml.YAMLError, AttributeError):
        return {}


def api_access() -> tuple[pulumi.Output[str] | None, str | None]:
    """Token and address of DigitalOcean's API as the provider is configured; None where its environment decides."""
    config = pulumi.Config("digitalocean")
    return config.get_secret("token"), config.get("apiEndpoint")


def made_by_init() -> str:
    """The command that makes what a stack must have."""
    return f"tts init --stack {pulumi.get_stack()}"


def as_texts(values: dict[str, Any]) -> dict[str, str]:
    """Names and values as texts: the engine reads an unquoted number as a number."""
    return {str(name): str(value) for name, value in values.items()}


def camel(name: str) -> str:
    """The key of a field: `upload_limit_kib` is `uploadLimitKib`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def snake(name: str) -> str:
    """The field of a key: the reverse of `camel`."""
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def _optional(shape: type[Any]) -> set[str]:
    """Keys of the fields that have a default."""
    missing = dataclasses.MISSING
    fields = [each for each in dataclasses.fields(shape) if {each.default, each.default_factory} != {missing}]
    return {camel(each.name) for each in fields}


def _is_text_mapping(value: object) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(isinstance(each, str) for each in cast("dict[str, object]", value).values())


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in cast("list[object]", value))
