"""CORS as S3 does it: what a browser asks before a request, and what it must read in the answer to one."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from localcloud.objects.answer import Answer
from localcloud.objects.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localcloud.objects.models import Bucket


def preflight(bucket: Bucket | None, header: Callable[[str], str]) -> Answer:
    """Answer the question before a request. Raises RefusalError when no rule allows it."""
    origin, method = header("origin"), header("access-control-request-method")
    if not origin or not method:
        raise RefusalError(400, "BadRequest", "Insufficient information. Origin request header needed.")
    wanted = [name.strip().lower() for name in header("access-control-request-headers").split(",") if name.strip()]
    rule = _matching(bucket, origin, method, wanted)
    if rule is None:
        raise RefusalError(403, "AccessForbidden", "CORSResponse: This CORS request is not allowed.")
    headers = _headers(rule, origin)
    if wanted:
        headers["access-control-allow-headers"] = ", ".join(wanted)
    return Answer(200, headers, b"")


def response_headers(bucket: Bucket | None, method: str, origin: str) -> Mapping[str, str]:
    """Give what an answer to a request from a page of `origin` must say: nothing unless a rule allows it."""
    rule = _matching(bucket, origin, method, []) if origin else None
    return _headers(rule, origin) if rule else {}


def _matching(bucket: Bucket | None, origin: str, method: str, headers: list[str]) -> Any:
    for rule in bucket.cors if bucket else []:
        allowed = [text.lower() for text in _list(rule.allowed_headers)]
        if (
            method in _list(rule.allowed_methods)
            and _matches(origin, _list(rule.allowed_origins))
            and all(_matches(name, allowed) for name in headers)
        ):
            return rule
    return None


def _matches(text: str, patterns: list[str]) -> bool:
    """Say whether one of the patterns, with at most one star each, is that of a text."""
    return any(fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]")) for pattern in patterns)


def _headers(rule: Any, origin: str) -> dict[str, str]:
    anyone = "*" in _list(rule.allowed_origins)
    found = {
        "access-control-allow-origin": "*" if anyone else origin,
        "access-control-allow-methods": ", ".join(_list(rule.allowed_methods)),
        "vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
    if not anyone:
        found["access-control-allow-credentials"] = "true"
    if exposed := _list(rule.exposed_headers):
        found["access-control-expose-headers"] = ", ".join(exposed)
    if rule.max_age_seconds:
        found["access-control-max-age"] = str(rule.max_age_seconds)
    return found


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
