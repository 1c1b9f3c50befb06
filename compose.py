"""What the program demands of an application's Compose file. Reads files, knows nothing of Pulumi."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import yaml

from rules import Problem

_REFERENCE: Final = re.compile(r"[a-z_][a-z0-9_]*:(?:[A-Za-z0-9_]+\.){1,2}[A-Za-z0-9_]+")
_IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SECRET: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PATH: Final = re.compile(r"/[A-Za-z0-9_./-]*")


def media_references(references: tuple[str, ...]) -> Iterator[Problem]:
    """The columns that name media files."""
    for value in references:
        if not _REFERENCE.fullmatch(value):
            rule = "DATABASE:TABLE.COLUMN, or DATABASE:SCHEMA.TABLE.COLUMN"
            yield Problem("app.mediaReferences", value, rule, "for example shop_db:orders_invoice.file")
    yield from _twice("app.mediaReferences", references)


def names(
    project: str, user: str, databases: tuple[str, ...], secrets: tuple[str, ...], health: str
) -> Iterator[Problem]:
    """The names that end up in commands, env files and queries are of the plain kind."""
    if not _PROJECT.fullmatch(project):
        yield Problem("app.project", project, "a Compose project name has a-z, 0-9, _ and -", "rename it")
    if not databases:
        yield Problem(
            "app.databases",
            "(empty)",
            "at least one database is expected",
            "list the databases that a backup must hold",
        )
    for key, values in (("app.databases", databases), ("app.databaseUser", (user,))):
        for value in values:
            if not _IDENTIFIER.fullmatch(value):
                yield Problem(key, value, "a name of a-z, 0-9 and _ of at most 63 characters", "rename it")
    yield from _twice("app.databases", databases)
    yield from _twice("app.secrets", secrets)
    for value in secrets:
        if not _SECRET.fullmatch(value):
            yield Problem("app.secrets", value, "an environment variable has A-Z, 0-9 and _", "rename it")
    if not _PATH.fullmatch(health):
        yield Problem(
            "app.healthPath", health, "a path starts with / and has plain characters", "write it like /health/"
        )


def _twice(key: str, values: tuple[str, ...]) -> Iterator[Problem]:
    for value in sorted({each for each in values if values.count(each) > 1}):
        yield Problem(key, value, "it is listed twice", "list it once")


def compose_file(folder: Path, file_name: str, database: str, volume: str) -> Iterator[Problem]:
    """The file is sound, has the database's service and the media volume, and every service says when it is healthy."""
    if not folder.is_dir():
        yield Problem(
            "app.path",
            str(folder),
            "no such directory",
            "set it to the application's directory, seen from the repository's root",
        )
        return
    file = folder / file_name
    if not file.is_file():
        yield Problem("app.composeFile", str(file), "no such file", "set it to the Compose file's name inside app.path")
        return
    document = _load(file)
    if isinstance(document, Problem):
        yield document
        return
    services = _mapping(document.get("services"))
    if database not in services:
        yield Problem(
            "app.databaseService",
            database,
            f"{file_name} has no such service",
            f"one of {', '.join(sorted(services)) or '(none)'}",
        )
    if volume not in _mapping(document.get("volumes")):
        yield Problem(
            "app.mediaVolume",
            volume,
            f"{file_name} declares no such volume",
            "name the volume that holds the uploaded files",
        )
    for name, service in sorted(services.items()):
        if not _says_when_healthy(_mapping(service)):
            yield Problem(
                "app.composeFile",
                f"{file} service {name}",
                "a service without a health check cannot be waited for",
                f"add a `healthcheck:` with a `test:` to {name}",
            )


def services(folder: Path, file_name: str) -> tuple[str, frozenset[str]]:
    """Text of the Compose file and names of its services; empty where `compose_file` has something to say about it."""
    file = folder / file_name
    document = _load(file) if file.is_file() else {}
    if isinstance(document, Problem):
        return "", frozenset()
    return file.read_text(encoding="utf-8") if document else "", frozenset(_mapping(document.get("services")))


def variables(folder: Path, file_name: str, service: str) -> frozenset[str]:
    """Variables that the definition of one service reads."""
    document = _load(folder / file_name)
    if isinstance(document, Problem):
        return frozenset()
    definition = str(_mapping(document.get("services")).get(service))
    return frozenset(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", definition))


def _load(file: Path) -> dict[str, Any] | Problem:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return Problem(
            "app.composeFile",
            str(file),
            f"it is not YAML: {' '.join(str(error).split())}",
            "try: docker compose config",
        )
    if not isinstance(document, dict):
        return Problem("app.composeFile", str(file), "it is not a Compose file", "try: docker compose config")
    return cast("dict[str, Any]", document)


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _says_when_healthy(service: dict[str, Any]) -> bool:
    check = _mapping(service.get("healthcheck"))
    test = check.get("test")
    return bool(test) and test not in ("NONE", ["NONE"]) and check.get("disable") is not True
