"""Evaluation of IAM and bucket policies: Deny wins, then Allow, else refused.

Supported: Effect, Action and NotAction, Resource and NotResource, Principal, Condition with the operators of
`_OPERATORS`, with IfExists and ForAllValues/ForAnyValue, and policy variables. An operator outside this set refuses
the request with its name: a guard that is not understood must not be taken for one that holds.
"""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from localcloud.objects.errors import denied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from localcloud.objects.actions import Need

    Context = Mapping[str, list[str]]


class Effect(StrEnum):
    """What the policies say about one right."""

    ALLOW = "Allow"
    DENY = "Deny"
    NONE = "None"


def evaluate(documents: Iterable[str | bytes], need: Need, context: Context, principal: str | None = None) -> Effect:
    """The effect of all documents together. `principal` (an ARN) is given for bucket policies only."""
    effect = Effect.NONE
    for document in documents:
        for statement in _statements(document):
            if _applies(statement, need, context, principal):
                if statement.get("Effect") == "Deny":
                    return Effect.DENY
                effect = Effect.ALLOW
    return effect


@lru_cache(maxsize=256)
def _statements(document: str | bytes) -> list[dict[str, Any]]:
    return _list(json.loads(document).get("Statement", []))


def _applies(statement: dict[str, Any], need: Need, context: Context, principal: str | None) -> bool:
    return (
        _matches(statement, "Action", need.action, context, ignore_case=True)
        and _matches(statement, "Resource", need.resource, context)
        and (principal is None or _is_principal(statement.get("Principal"), principal))
        and all(
            _condition(operator, key, _list(wanted), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _matches(statement: dict[str, Any], name: str, value: str, context: Context, *, ignore_case: bool = False) -> bool:
    patterns = statement.get(name)
    if patterns is not None:
        return any(_like(_expand(pattern, context), value, ignore_case) for pattern in _list(patterns))
    excluded = _list(statement.get(f"Not{name}", []))
    return bool(excluded) and not any(_like(_expand(pattern, context), value, ignore_case) for pattern in excluded)


def _is_principal(stated: Any, principal: str) -> bool:
    if stated == "*":
        return True
    account = principal.split(":")[4]
    names = _list(stated.get("AWS", [])) if isinstance(stated, dict) else []
    return any(name in {"*", principal, account, f"arn:aws:iam::{account}:root"} for name in names)


def _expand(pattern: str, context: Context) -> str:
    """Policy variables such as ${aws:username}; an unknown one stays as it is and matches nothing."""
    return re.sub(r"\$\{([^}]+)\}", lambda found: (context.get(found[1].lower()) or [found[0]])[0], pattern)


@lru_cache(maxsize=1024)
def _pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    text = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _like(pattern: str, value: str, ignore_case: bool = False) -> bool:
    return _pattern(pattern, ignore_case).fullmatch(value) is not None


def _address(wanted: str, value: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Operator -> (test of one wanted against one actual value, negated). The negated ones hold when no value matches.
_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (lambda wanted, value: wanted == value, False),
    "StringNotEquals": (lambda wanted, value: wanted == value, True),
    "StringEqualsIgnoreCase": (lambda wanted, value: wanted.lower() == value.lower(), False),
    "StringNotEqualsIgnoreCase": (lambda wanted, value: wanted.lower() == value.lower(), True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_like, False),
    "ArnNotEquals": (_like, True),
    "ArnLike": (_like, False),
    "ArnNotLike": (_like, True),
    "Bool": (lambda wanted, value: wanted.lower() == value.lower(), False),
    "IpAddress": (_address, False),
    "NotIpAddress": (_address, True),
    "NumericEquals": (lambda wanted, value: float(value) == float(wanted), False),
    "NumericNotEquals": (lambda wanted, value: float(value) == float(wanted), True),
    "NumericLessThan": (lambda wanted, value: float(value) < float(wanted), False),
    "NumericLessThanEquals": (lambda wanted, value: float(value) <= float(wanted), False),
    "NumericGreaterThan": (lambda wanted, value: float(value) > float(wanted), False),
    "NumericGreaterThanEquals": (lambda wanted, value: float(value) >= float(wanted), False),
    "DateLessThan": (lambda wanted, value: _moment(value) < _moment(wanted), False),
    "DateGreaterThan": (lambda wanted, value: _moment(value) > _moment(wanted), False),
}


def _condition(operator: str, key: str, wanted: list[Any], context: Context) -> bool:
    texts = [str(item).lower() if isinstance(item, bool) else _expand(str(item), context) for item in wanted]
    actual = context.get(key.lower(), [])
    if operator == "Null":
        return (not actual) == (texts == ["true"])
    quantifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    test, negated = _OPERATORS.get(name.removesuffix("IfExists"), (None, False))
    if test is None:
        raise denied(f"Access Denied: the local cloud does not know the policy condition operator {operator}")
    if not actual:
        return optional or negated or quantifier == "ForAllValues"
    results = [any(test(text, value) for text in texts) != negated for value in actual]
    return all(results) if quantifier == "ForAllValues" or negated else any(results)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def unknown_operators(statements: Any) -> list[str]:
    """The condition operators in a policy's statements that cannot be evaluated here."""
    used = {operator for statement in _list(statements) for operator in statement.get("Condition", {})}
    names = {operator: operator.rpartition(":")[2].removesuffix("IfExists") for operator in used}
    return sorted(operator for operator, name in names.items() if name not in _OPERATORS and name != "Null")
