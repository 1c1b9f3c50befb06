"""The WSGI environ that moto sees: path style, no signature, the account by name, the body beside it."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import xmltodict
from moto.utilities.utils import get_partition

from localcloud.objects.bodies import Upload
from localcloud.objects.errors import RefusalError
from localcloud.objects.responses import BODY, CHECKSUM

if TYPE_CHECKING:
    from localcloud.objects.request import Request

_HOME_REGION = "us-east-1"
_SLUG = re.compile(r"[a-z]{3}\d")
_HIDDEN = (
    "HTTP_X_AMZ_CONTENT_SHA256",  # moto would decode a streamed body a second time
    "HTTP_X_AMZ_SECURITY_TOKEN",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_USER_AGENT",  # moto reads a region out of it
)


def s3_environ(request: Request, account: str, body: bytes | Upload, *, spaces: bool) -> dict[str, Any]:
    """For `Responses`, which takes the body from the environ; wsgi.input is empty."""
    region = _HOME_REGION if spaces else request.address.region or request.claim.region
    if get_partition(region) != "aws":
        raise RefusalError(
            400, "AuthorizationHeaderMalformed", f"the region {region!r} is not one of AWS's public ones"
        )
    creates = request.method == "PUT" and not request.address.key and not request.query
    path = f"/{request.address.bucket}" + (f"/{request.address.key}" if request.address.key else "")
    # The query's capital X-Amz- names are the signature of a presigned URL.
    query = "&".join(part for part in request.raw_query.split("&") if not part.startswith("X-Amz-"))
    environ = _common(request, account, region) | {
        "PATH_INFO": path.encode().decode("latin-1"),
        "RAW_URI": quote(path, safe="/-_.~"),
        "QUERY_STRING": query,
        "CONTENT_LENGTH": "0",
        "wsgi.input": io.BytesIO(),
        BODY: b"" if spaces and creates else body,
    }
    _rewrite_headers(environ, request)
    if isinstance(body, Upload) and body.checksums:
        algorithm, value = next(iter(body.checksums.items()))
        environ[CHECKSUM] = (algorithm, value)
        environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"] = algorithm
    return environ


def _rewrite_headers(environ: dict[str, Any], request: Request) -> None:
    if request.header("x-amz-bypass-governance-retention").lower() != "true":
        environ.pop("HTTP_X_AMZ_BYPASS_GOVERNANCE_RETENTION", None)
    if request.header("x-amz-copy-source"):
        environ.pop("HTTP_X_AMZ_CHECKSUM_ALGORITHM", None)  # moto would read the whole copy; it keeps the source's
        environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"] = "CRC32"  # a copy has no body; moto wants its hash under a lock
    codings = [part for part in request.header("content-encoding").split(",") if part.strip() != "aws-chunked"]
    environ["HTTP_CONTENT_ENCODING"] = ",".join(codings)
    if not environ["HTTP_CONTENT_ENCODING"]:
        del environ["HTTP_CONTENT_ENCODING"]


def iam_environ(request: Request, account: str, body: bytes) -> dict[str, Any]:
    """For moto's IAM and STS, which read a form from wsgi.input."""
    return _common(request, account, _HOME_REGION) | {
        "PATH_INFO": "/",
        "RAW_URI": "/",
        "QUERY_STRING": request.raw_query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


def _common(request: Request, account: str, region: str) -> dict[str, Any]:
    environ = {name: value for name, value in request.environ.items() if name not in _HIDDEN}
    scope = f"{request.claim.access_key}/20000101/{region}/{request.claim.service}/aws4_request"
    return environ | {
        "HTTP_HOST": "localhost",  # path style for moto
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=checked",
        "HTTP_X_MOTO_ACCOUNT_ID": account,
    }


def spaces_region(request: Request, body: bytes | Upload) -> str:
    """Where a new bucket of Spaces is: the host says it, else the location constraint, else the signing region."""
    constraint = ""
    if isinstance(body, bytes) and body.strip():
        document = xmltodict.parse(body).get("CreateBucketConfiguration") or {}
        constraint = document.get("LocationConstraint") or ""
    candidates = (request.address.region or "", constraint, request.claim.region)
    return next((name for name in candidates if _SLUG.fullmatch(name)), _HOME_REGION)
