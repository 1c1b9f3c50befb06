"""The rules of further off-site destinations: their names, addresses and the variables that open them. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from naming import GOOGLE_KEY_FILE_CONTENT
from rules import ENV_VALUE, Problem

TAKEN: Final = frozenset({"local", "aws", "spaces"})
"""Names of the repositories that every stack may have."""

_HTTP = r"https?://[^/]+"


@dataclass(frozen=True)
class Kind:
    """A kind of restic repository: an example, what follows the scheme, and its variables, one of each group."""

    example: str
    rest: str
    required: tuple[tuple[str, ...], ...] = ()


KINDS: Final[dict[str, Kind]] = {
    "s3": Kind(
        "s3:https://s3.example.org/bucket/restic",
        rf"({_HTTP}|[^/:]+)/[^/]+(/.*)?",
        (("AWS_ACCESS_KEY_ID",), ("AWS_SECRET_ACCESS_KEY",)),
    ),
    "b2": Kind("b2:bucket:restic", r"[^:/]+(:.*)?", (("B2_ACCOUNT_ID",), ("B2_ACCOUNT_KEY",))),
    "gs": Kind(
        "gs:bucket:/restic", r"[^:/]+:/.*", (("GOOGLE_PROJECT_ID",), (GOOGLE_KEY_FILE_CONTENT, "GOOGLE_ACCESS_TOKEN"))
    ),
    "azure": Kind(
        "azure:container:/restic",
        r"[^:/]+:/.*",
        (("AZURE_ACCOUNT_NAME",), ("AZURE_ACCOUNT_KEY", "AZURE_ACCOUNT_SAS")),
    ),
    "swift": Kind("swift:container:/restic", r"[^:/]+:/.*"),
    "sftp": Kind("sftp:backup@host.example.org:/restic", r"//[^/]+/.+|[^:/]+:.+"),
    "rest": Kind("rest:https://host.example.org:8000/", rf"{_HTTP}(/.*)?"),
}
"""restic's kinds that lie off-site and need no further program (restic 0.18 manual, "Preparing a new repository")."""

_VARIABLE = re.compile(r"((AWS|AZURE|B2|GOOGLE|OS|ST|RESTIC_REST)_[A-Z0-9_]+|STORAGE_EMULATOR_HOST)")
"""Variables of restic's back ends. RESTIC_PASSWORD, PATH and their like would change what every job does."""


def destinations(pairs: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    """Each of the pairs has a name of its own and the address of a repository of its own."""
    names, repositories = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for index, (name, repository) in enumerate(pairs):
        key = f"destinations[{index}]"
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            yield Problem(f"{key}.name", name, "a name of a-z, 0-9 and -, a letter first", "write it like b2-eu")
        elif name in TAKEN:
            yield Problem(f"{key}.name", name, "this name is the product's own", "write it like b2-eu")
        elif name in names[:index]:
            yield Problem(f"{key}.name", name, "it is there twice", "give every destination a name of its own")
        yield from _repository(f"{key}.repository", repository)
        if repository and repository in repositories[:index]:
            rule = "another destination has this address"
            yield Problem(f"{key}.repository", repository, rule, "one repository for each destination")


def _repository(key: str, address: str) -> Iterator[Problem]:
    scheme, _, rest = address.partition(":")
    kind = KINDS.get(scheme)
    if re.search(r"//[^/@]*:[^/@]*@", address):
        fix = "take it out, never use it again, and set RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD in "
        yield Problem(
            key, "(hidden)", "a password stands in the stack file unencrypted", f"{fix}destinationCredentials"
        )
    elif kind is None:
        examples = ", ".join(each.example for each in KINDS.values())
        yield Problem(key, address, "not the address of an off-site repository of restic", f"one like {examples}")
    elif not re.fullmatch(kind.rest, rest):
        yield Problem(key, address, f"not an address of {scheme}", f"write it like {kind.example}")
    elif not ENV_VALUE.fullmatch(address):
        rule = "only A-Z a-z 0-9 and _@%+=:,./- survive in an env file"
        yield Problem(key, address, rule, f"write it like {kind.example}")


def credentials(
    repositories: Mapping[str, str], values: Mapping[str, Mapping[str, str] | None], stack: str
) -> Iterator[Problem]:
    """Every destination has the variables that its kind needs, and no other destination has any. Values stay hidden."""
    for name in sorted(values.keys() - repositories.keys()):
        fix = f"add it there, or: pulumi config rm --path 'destinationCredentials.{name}' --stack {stack}"
        yield Problem(f"destinationCredentials.{name}", "(hidden)", "destinations names no such one", fix)
    for name, repository in repositories.items():
        key = f"destinationCredentials.{name}"
        variables = values.get(name, {})
        if variables is None:
            yield Problem(key, "(hidden)", "an object of variables and texts", _set(f"{key}.VARIABLE", stack))
        else:
            yield from _missing(key, repository, variables, stack)
            for variable, value in variables.items():
                yield from _variable(key, variable, value, stack)


def _missing(key: str, repository: str, variables: Mapping[str, str], stack: str) -> Iterator[Problem]:
    scheme = repository.partition(":")[0]
    kind = KINDS.get(scheme, Kind("", ""))
    for first, *others in kind.required:
        if not any(variables.get(each) for each in (first, *others)):
            rule = " or ".join([f"{scheme} needs it", *others])
            yield Problem(f"{key}.{first}", "(missing)", rule, _set(f"{key}.{first}", stack))


def _variable(key: str, variable: str, value: str, stack: str) -> Iterator[Problem]:
    where, path = f"{key}.{variable}", f"{key}.{variable}"
    if variable == GOOGLE_KEY_FILE_CONTENT:
        if not _is_key_file(value):
            rule = "the content of a JSON key file, with its `type`"
            yield Problem(where, "(hidden)", rule, f"{_set(path, stack)} < KEY.json")
    elif variable == GOOGLE_KEY_FILE_CONTENT.removesuffix("_JSON"):
        rule = "the host has no such file"
        yield Problem(
            where, "(hidden)", rule, f"set its content: {_set(f'{key}.{GOOGLE_KEY_FILE_CONTENT}', stack)} < KEY.json"
        )
    elif not _VARIABLE.fullmatch(variable):
        rule = "not a variable with which restic opens a repository"
        yield Problem(where, "(hidden)", rule, f"pulumi config rm --path '{path}' --stack {stack}")
    elif not value or not value.isprintable() or value != value.strip():
        yield Problem(where, "(hidden)", "one line of text, without blanks at its ends", _set(path, stack))


def _is_key_file(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and "type" in found


def _set(path: str, stack: str) -> str:
    return f"pulumi config set --secret --path '{path}' --stack {stack}"
