"""The WSGI application: authenticate, authorise, receive, let moto do it, save, answer.

Signatures and bodies are dealt with outside the lock; moto and the database run inside it, one request at a time
(a millisecond or so: moto's models are not made for threads). Nothing is answered before it is saved.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from xml.parsers.expat import ExpatError

from moto.core.request import Request as MotoRequest
from moto.iam.responses import IamResponse
from moto.s3.models import s3_backends
from moto.sts.responses import TokenResponse

from localcloud.objects import access, cors
from localcloud.objects.actions import Need, refuse_unsupported
from localcloud.objects.answer import Answer
from localcloud.objects.bodies import Body, Upload
from localcloud.objects.errors import RefusalError, denied
from localcloud.objects.identity import find_identity
from localcloud.objects.inner import iam_environ, s3_environ, spaces_region
from localcloud.objects.request import Question, Request, discard_body
from localcloud.objects.responses import REFUSED, Responses, parse_delete
from localcloud.objects.signature import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import RLock

    from localcloud.objects.bodies import BodyFiles
    from localcloud.objects.database import Database
    from localcloud.objects.identity import Identity

_LOG = logging.getLogger(__name__)
_READ_ACTIONS = ("Get", "List", "Simulate", "Generate")


class Front:
    """The application; `accounts` maps "aws" and "spaces" to account ids."""

    def __init__(self, accounts: dict[str, str], bodies: BodyFiles, database: Database, lock: RLock) -> None:
        self._accounts = accounts
        self._bodies = bodies
        self._database = database
        self._lock = lock

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = None
        try:
            if environ["REQUEST_METHOD"] == "OPTIONS":
                return self._preflight(environ).send("OPTIONS", start_response)
            request = Request(environ)
            answer = self._answer(request)
        except RefusalError as error:
            answer = self._refusal(environ, request, error)
        except ExpatError as error:
            answer = self._refusal(environ, request, RefusalError(400, "MalformedXML", f"the body is not XML: {error}"))
        except Exception:  # noqa: BLE001 (a bug must not end the server's thread without an answer)
            _LOG.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            answer = self._refusal(
                environ, request, RefusalError(500, "InternalError", "see the log of the object store")
            )
        return answer.send(environ["REQUEST_METHOD"], start_response)

    @staticmethod
    def _refusal(environ: dict[str, Any], request: Request | None, error: RefusalError) -> Answer:
        discard_body(environ)
        is_query = request is not None and request.claim.service != "s3"
        return Answer(
            error.status, {"content-type": "application/xml"}, error.query_xml() if is_query else error.s3_xml()
        )

    def _answer(self, request: Request) -> Answer:
        claim = request.claim
        with self._lock:
            identity = find_identity(self._accounts.values(), claim.access_key, claim.token)
        if claim.service == "s3":
            return self._for_a_page(request, identity.account, self._s3(request, identity))
        if claim.service in {"iam", "sts"}:
            return self._iam(request, identity)
        raise RefusalError(501, "NotImplemented", f"the local cloud has no service {claim.service!r}")

    def _preflight(self, environ: dict[str, Any]) -> Answer:
        """Answer what a browser asks, without a signature, before it lets a page make a request."""
        question = Question(environ)
        owners = [name for name in self._accounts if question.address.provider in (None, name)]
        with self._lock:
            found = [access.find_bucket(self._accounts[name], question.address.bucket) for name in owners]
        return cors.preflight(next(filter(None, found), None), question.header)

    def _for_a_page(self, request: Request, account: str, answer: Answer) -> Answer:
        """Say in an answer to which page a browser may hand it; what moto says of that is the first rule's."""
        if not (origin := request.header("origin")):
            return answer
        with self._lock:
            more = cors.response_headers(access.find_bucket(account, request.call.bucket), request.method, origin)
        kept = {name: it for name, it in answer.headers.items() if not name.lower().startswith("access-control-")}
        return replace(answer, headers={**kept, **more})

    def _s3(self, request: Request, identity: Identity) -> Answer:
        if not request.payload_hash:
            raise RefusalError(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        signed = (request.method, request.raw_path, request.raw_query, request.payload_hash)
        key = check(request.claim, identity.secret, signed, request.header)
        expected = self._accounts.get(request.address.provider or "")
        if expected and expected != identity.account:
            raise RefusalError(403, "InvalidAccessKeyId", "this access key belongs to the other provider")
        refuse_unsupported(request.call, spaces=identity.account == self._accounts["spaces"])
        with self._lock:
            access.authorise(request, identity)
        if not request.carries_object:
            return self._locked_s3(request, identity, request.receive_document(key))
        upload = request.receive_object(self._bodies, key)
        try:
            answer = self._locked_s3(request, identity, upload)
        except BaseException:
            self._bodies.remove([upload.id])
            raise
        if answer.status >= HTTPStatus.BAD_REQUEST:
            self._bodies.remove([upload.id])
        return answer

    def _locked_s3(self, request: Request, identity: Identity, body: bytes | Upload) -> Answer:
        return self._locked(identity.account, lambda: self._run_s3(request, identity, body))

    def _locked(self, account: str, run: Callable[[], Answer]) -> Answer:
        with self._lock:
            try:
                return run()
            except BaseException as error:
                self._database.rollback()
                if not isinstance(error, RefusalError):
                    self._database.reload(account)  # memory may be half changed: back to what is on disk
                raise

    def _run_s3(self, request: Request, identity: Identity, body: bytes | Upload) -> Answer:
        spaces = identity.account == self._accounts["spaces"]
        call = request.call
        inner = s3_environ(request, identity.account, body, spaces=spaces)
        if call.is_batch_delete and isinstance(body, bytes):
            inner[REFUSED] = access.refused_keys(request, identity, body)
        if call.method == "PUT" and not call.key and "policy" in call.query and isinstance(body, bytes):
            access.check_bucket_policy(body)
        uploads = self._upload_ids(identity.account, call.bucket)
        moto_request = MotoRequest(inner)
        responses = Responses()
        handle = responses.key_response if call.key else responses.bucket_response
        status, headers, content = handle(moto_request, moto_request.raw_url, dict(moto_request.headers))
        if spaces and call.method == "PUT" and not call.key and not call.query and status == HTTPStatus.OK:
            s3_backends[identity.account]["aws"].buckets[call.bucket].region_name = spaces_region(request, body)
        if call.method not in {"GET", "HEAD"}:
            self._save(request, identity.account, body, uploads)
        elif status == HTTPStatus.NOT_FOUND and access.hides_absence(request, identity):
            raise denied()
        return Answer(int(status), headers, content.blocks() if isinstance(content, Body) else content, len(content))

    @staticmethod
    def _upload_ids(account: str, bucket_name: str) -> set[str]:
        bucket = access.find_bucket(account, bucket_name)
        return set(bucket.multiparts) if bucket else set()

    def _save(self, request: Request, account: str, body: bytes | Upload, uploads_before: set[str]) -> None:
        call = request.call
        changed = uploads_before ^ self._upload_ids(account, call.bucket)
        for upload_id in changed | ({call.query["uploadId"]} if "uploadId" in call.query else set()):
            self._database.save_upload(account, call.bucket, upload_id)
        if call.is_batch_delete and isinstance(body, bytes):
            for key in {key for key, _ in parse_delete(body)[1]}:
                self._database.save_key(account, call.bucket, key)
        elif call.key:
            self._database.save_key(account, call.bucket, call.key)
        else:
            self._database.save_bucket(account, call.bucket)
        self._database.commit()

    def _iam(self, request: Request, identity: Identity) -> Answer:
        body = request.receive_document(b"")
        digest = request.payload_hash or hashlib.sha256(body).hexdigest()
        check(
            request.claim,
            identity.secret,
            (request.method, request.raw_path, request.raw_query, digest),
            request.header,
        )
        action = (parse_qs(body.decode()).get("Action") or [request.query.get("Action", "")])[0]
        if identity.account == self._accounts["spaces"]:
            raise denied("Spaces has no IAM: keys are made by the API at /v2/spaces/keys")
        is_sts = request.claim.service == "sts"
        if is_sts and action != "GetCallerIdentity":
            raise RefusalError(501, "NotImplemented", f"the local cloud has no sts:{action}")
        if not is_sts and not access.is_allowed(request, identity, Need(f"iam:{action}", "*")):
            raise denied(f"User: {identity.arn} is not authorized to perform: iam:{action}")
        return self._locked(identity.account, lambda: self._run_iam(request, identity, body, action))

    def _run_iam(self, request: Request, identity: Identity, body: bytes, action: str) -> Answer:
        is_sts = request.claim.service == "sts"
        moto_request = MotoRequest(iam_environ(request, identity.account, body))
        dispatch = TokenResponse.dispatch if is_sts else IamResponse.dispatch
        try:
            status, headers, content = dispatch(moto_request)
        except NotImplementedError as error:
            raise RefusalError(501, "NotImplemented", str(error)) from error
        if not is_sts and not action.startswith(_READ_ACTIONS):
            self._database.save_identities(identity.account)
            self._database.commit()
        return Answer(int(status), headers, content)
