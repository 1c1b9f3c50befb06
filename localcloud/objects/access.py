"""May this identity do that: identity policies, bucket policies and the wall between the two accounts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moto.s3.models import s3_backends

from localcloud.objects.actions import Need, arn, delete_needs, needs
from localcloud.objects.errors import RefusalError, denied
from localcloud.objects.policy import Effect, evaluate, unknown_operators
from localcloud.objects.responses import parse_delete

if TYPE_CHECKING:
    from localcloud.objects.identity import Identity
    from localcloud.objects.models import Bucket
    from localcloud.objects.request import Request

_CONDITION_HEADERS = (
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-server-side-encryption",
    "x-amz-storage-class",
)


def find_bucket(account: str, name: str) -> Bucket | None:
    """A bucket of one account."""
    return s3_backends[account]["aws"].buckets.get(name)  # pyright: ignore[reportReturnType]


def authorise(request: Request, identity: Identity) -> None:
    """Raise RefusalError unless all that the request needs is allowed (but for the keys of a batch delete)."""
    for need in needs(request.call):
        if not is_allowed(request, identity, need):
            raise denied()


def is_allowed(request: Request, identity: Identity, need: Need) -> bool:
    """Whether the policies allow one right."""
    context = _context(request, identity)
    effects = [evaluate(identity.policies, need, context)]
    name = need.resource.removeprefix("arn:aws:s3:::").partition("/")[0]
    bucket = find_bucket(identity.account, name)
    if bucket is None and need.action != "s3:CreateBucket" and _is_foreign(identity.account, name):
        return False
    if bucket and bucket.policy:
        effects.append(evaluate([bucket.policy], need, context, identity.arn))
    return Effect.DENY not in effects and Effect.ALLOW in effects


def refused_keys(request: Request, identity: Identity, document: bytes) -> set[tuple[str, str | None]]:
    """Those keys of a batch delete that the identity may not delete."""
    _, objects = parse_delete(document)
    return {
        (key, version)
        for key, version in objects
        if not all(is_allowed(request, identity, need) for need in delete_needs(request.call, key, version))
    }


def hides_absence(request: Request, identity: Identity) -> bool:
    """Whether a missing key must look like a forbidden one: so for those who may not list the bucket."""
    call = request.call
    return bool(call.key) and not is_allowed(request, identity, Need("s3:ListBucket", arn(call.bucket)))


def check_bucket_policy(document: bytes) -> None:
    """Refuse a bucket policy that could not be evaluated; raises RefusalError (400 MalformedPolicy)."""
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        raise RefusalError(400, "MalformedPolicy", f"the policy is not a JSON policy document: {error}") from error
    unknown = unknown_operators(statements)
    if unknown:
        raise RefusalError(400, "MalformedPolicy", f"unknown condition operators: {', '.join(unknown)}")


def _is_foreign(account: str, bucket: str) -> bool:
    return any(other != account and bucket in backends["aws"].buckets for other, backends in list(s3_backends.items()))


def _context(request: Request, identity: Identity) -> dict[str, list[str]]:
    """Condition keys in lower case, with their values."""
    environ = request.environ
    context = {
        "aws:securetransport": [str(environ["wsgi.url_scheme"] == "https").lower()],
        "aws:sourceip": [environ.get("REMOTE_ADDR", "")],
        "aws:username": [identity.arn.rpartition("/")[2]],
        "aws:principalarn": [identity.arn],
        "aws:principalaccount": [identity.account],
        "aws:currenttime": [datetime.now(UTC).isoformat()],
    }
    context |= {
        f"s3:{name.lower()}": [request.query[name]]
        for name in ("prefix", "delimiter", "max-keys", "versionId")
        if name in request.query
    }
    context |= {f"s3:{name}": [request.header(name)] for name in _CONDITION_HEADERS if request.header(name)}
    if request.header("if-none-match"):
        context["s3:if-none-match"] = [request.header("if-none-match")]
    return context
