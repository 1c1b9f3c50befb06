"""AWS signature version 4, the server's half: header and presigned requests, and the chunks of a streamed body."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from localcloud.objects.errors import RefusalError, denied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ALGORITHM = "AWS4-HMAC-SHA256"
_STAMP = "%Y%m%dT%H%M%SZ"
_SKEW = timedelta(minutes=15)  # what AWS allows
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Claim:
    """What a request says about its signer; nothing here is proved before `check`."""

    access_key: str
    region: str
    service: str
    stamp: str
    signed_headers: tuple[str, ...]
    signature: str
    token: str
    expires: int | None  # seconds, presigned only

    @property
    def scope(self) -> str:
        """Credential scope: date/region/service/aws4_request."""
        return f"{self.stamp[:8]}/{self.region}/{self.service}/aws4_request"


def read_claim(header: Callable[[str], str], query: list[tuple[str, str]]) -> Claim:
    """Parse the Authorization header or the X-Amz-* query. `header` maps a lower-case name to its value or ""."""
    authorization = header("authorization")
    values = dict(query)
    try:
        if authorization.startswith(_ALGORITHM):
            fields = dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^,\s]+)", authorization))
            return _claim(fields, header("x-amz-date"), header("x-amz-security-token"), None)
        if values.get("X-Amz-Algorithm") == _ALGORITHM:
            fields = {name: values[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature")}
            expires = int(values["X-Amz-Expires"])
            return _claim(fields, values["X-Amz-Date"], values.get("X-Amz-Security-Token", ""), expires)
    except (KeyError, ValueError) as error:
        raise RefusalError(400, "AuthorizationHeaderMalformed", f"cannot read the signature: {error}") from error
    raise denied("Access Denied: the request is not signed with AWS signature version 4")


def _claim(fields: dict[str, str], stamp: str, token: str, expires: int | None) -> Claim:
    access_key, date, region, service, terminator = fields["Credential"].split("/")
    if terminator != "aws4_request" or date != stamp[:8]:
        raise ValueError("credential scope and date do not agree")
    headers = tuple(fields["SignedHeaders"].lower().split(";"))
    return Claim(access_key, region, service, stamp, headers, fields["Signature"], token, expires)


def check(claim: Claim, secret: str, request: Iterable[str], header: Callable[[str], str]) -> bytes:
    """Verify a claim and return the signing key. `request`: method, raw path, raw query, payload hash.

    Raises RefusalError when the time is off or the signature does not match.
    """
    _check_time(claim)
    method, raw_path, raw_query, payload_hash = request
    if "host" not in claim.signed_headers:
        raise denied("the host header must be signed")
    headers = "".join(f"{name}:{' '.join(header(name).split())}\n" for name in claim.signed_headers)
    canonical = "\n".join(
        (
            method,
            quote(unquote(raw_path), safe="/-_.~"),
            _canonical_query(raw_query),
            headers,
            ";".join(claim.signed_headers),
            payload_hash,
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{claim.stamp}\n{claim.scope}\n{digest}"
    key = signing_key(secret, claim)
    if not hmac.compare_digest(_hmac(key, to_sign).hex(), claim.signature):
        raise RefusalError(403, "SignatureDoesNotMatch", "the signature does not match: check the secret key")
    return key


def signing_key(secret: str, claim: Claim) -> bytes:
    """The key derived from a secret for one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in claim.scope.split("/"):
        key = _hmac(key, part)
    return key


class ChunkSigner:
    """Checks the running signature of a body in signed chunks (restic over plain HTTP sends these)."""

    def __init__(self, key: bytes, claim: Claim) -> None:
        self._key = key
        self._prefix = f"{claim.stamp}\n{claim.scope}"
        self._previous = claim.signature

    def check(self, chunk_hash: str, signature: str) -> None:
        """Compare one chunk's signature; raises RefusalError."""
        to_sign = f"{_ALGORITHM}-PAYLOAD\n{self._prefix}\n{self._previous}\n{_EMPTY_SHA256}\n{chunk_hash}"
        expected = _hmac(self._key, to_sign).hex()
        if not hmac.compare_digest(expected, signature):
            raise RefusalError(403, "SignatureDoesNotMatch", "the signature of a chunk does not match")
        self._previous = signature


def _check_time(claim: Claim) -> None:
    now = datetime.now(UTC)
    try:
        signed = datetime.strptime(claim.stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError as error:
        raise denied("X-Amz-Date is missing or not a time") from error
    if claim.expires is None:
        if abs(now - signed) > _SKEW:
            raise RefusalError(403, "RequestTimeTooSkewed", "the clocks of client and server are over 15 minutes apart")
    elif signed - _SKEW > now or now > signed + timedelta(seconds=claim.expires):
        raise denied("Request has expired")


def _canonical_query(raw_query: str) -> str:
    pairs: list[tuple[str, str]] = []
    for part in filter(None, raw_query.split("&")):
        name, _, value = part.partition("=")
        if unquote(name) != "X-Amz-Signature":
            pairs.append((quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
