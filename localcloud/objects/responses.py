"""moto's S3 protocol layer with the parts that it has not, or has wrong, for this product."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import xmltodict
from moto.core.responses import ActionResult
from moto.s3.exceptions import AccessDeniedByLock, MissingKey, MissingVersion
from moto.s3.responses import S3Response

from localcloud.objects.errors import RefusalError
from localcloud.objects.models import format_until

if TYPE_CHECKING:
    from moto.s3.models import FakeKey

    from localcloud.objects.backend import DurableBackend

# Keys of the WSGI environ by which the front hands over what it has already read and decided.
BODY = "localcloud.body"
CHECKSUM = "localcloud.checksum"
REFUSED = "localcloud.refused"


class Responses(S3Response):
    """One instance serves one request that is already authenticated, authorised and received."""

    backend: DurableBackend  # pyright: ignore[reportIncompatibleMethodOverride]

    def setup_class(self, request: Any, full_url: str | None = None, headers: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().setup_class(request, full_url, headers)
        self.body = self.raw_body = request.environ[BODY]
        self._environ = request.environ

    def _get_checksum(self, response_headers: dict[str, Any]) -> tuple[str, str | None]:
        algorithm, value = self._environ.get(CHECKSUM, ("", None))
        if algorithm and value:
            response_headers[f"x-amz-checksum-{algorithm.lower()}"] = value
        return algorithm, value

    def _key_response_get(self, query: dict[str, Any], key_name: str) -> Any:
        if "retention" in query:  # moto answers with the object's content
            return self.get_object_retention()
        return super()._key_response_get(query, key_name)

    def get_object_retention(self) -> Any:
        """GET ?retention, 404 NoSuchObjectLockConfiguration without one."""
        key, _ = self._get_key(validate_storage_class=False)
        if not key.lock_mode:
            return 404, {}, _error("NoSuchObjectLockConfiguration", "The object has no retention")
        self.data["Action"] = "GetObjectRetention"
        return self.serialized(ActionResult({"Retention": {"Mode": key.lock_mode, "RetainUntilDate": key.lock_until}}))

    def _stored(self) -> FakeKey:
        """The version that the request names; moto's own steps run into None."""
        version = self.querystring.get("versionId", [None])[0]
        key = self.backend.get_object(self.bucket_name, self.parse_key_name(), version_id=version)
        if key is None:
            raise MissingVersion if version else MissingKey(key=self.parse_key_name())
        return key

    def put_object_retention(self) -> Any:
        mode, until = self._mode_until_from_body()
        bypass = self.headers.get("x-amz-bypass-governance-retention") is not None
        self.backend.check_retention(self._stored(), mode, until, bypass=bypass)
        return super().put_object_retention()

    def _mode_until_from_body(self) -> tuple[str | None, str | None]:
        retention = xmltodict.parse(self.body).get("Retention") or {}
        until = retention.get("RetainUntilDate")
        return retention.get("Mode"), format_until(until) if until else None

    def put_object_legal_hold(self) -> Any:
        self._stored()
        return super().put_object_legal_hold()

    def delete_object_tagging(self) -> Any:
        self._stored()
        return super().delete_object_tagging()

    def _bucket_response_delete_keys(self, bucket_name: str, authenticated: bool = True) -> Any:  # noqa: ARG002
        """DeleteObjects: each key by its own right (moto asks once, for the bucket) and by its own lock."""
        self.backend.get_bucket(bucket_name)
        bypass = self.headers.get("x-amz-bypass-governance-retention") is not None
        deleted: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        request, objects = parse_delete(self.body)
        for key, version in objects:
            named = {"Key": key, "VersionId": version}
            if (key, version) in self._environ.get(REFUSED, ()):
                errors.append(named | {"Code": "AccessDenied", "Message": "Access Denied"})
                continue
            try:
                _, meta = self.backend.delete_object(bucket_name, key, version_id=version, bypass=bypass)
            except AccessDeniedByLock:
                message = "Access Denied because object protected by object lock."
                errors.append(named | {"Code": "AccessDenied", "Message": message})
                continue
            marker = meta.get("delete-marker") == "true"
            deleted.append(
                named | ({"DeleteMarker": True, "DeleteMarkerVersionId": meta["version-id"]} if marker else {})
            )
        self.data["Action"] = "DeleteObjects"
        quiet = request.get("Quiet") == "true"
        return self.serialized(ActionResult({"Deleted": [] if quiet else deleted, "Errors": errors}))

    def _bucket_response_put(self, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
        answer = super()._bucket_response_put(request, bucket_name, querystring)
        if "lifecycle" in querystring:
            self.backend.get_bucket(bucket_name).lifecycle_document = _with_rule_ids(self.body)
        return answer

    def get_bucket_lifecycle(self) -> Any:
        """The rules as they were put: moto keeps only some fields (it loses NewerNoncurrentVersions, size filters)."""
        bucket = self.backend.get_bucket(self.bucket_name)
        if bucket.rules and bucket.lifecycle_document:
            headers = {"x-amz-transition-default-minimum-object-size": "all_storage_classes_128K"}
            return 200, headers, bucket.lifecycle_document
        return super().get_bucket_lifecycle()


def parse_delete(body: bytes) -> tuple[dict[str, Any], list[tuple[str, str | None]]]:
    """The document of DeleteObjects, and its (key, version id or None). RefusalError unless it names 1 to 1,000."""
    document = xmltodict.parse(body, strip_whitespace=False, force_list=("Object",)).get("Delete") or {}
    objects = document.get("Object", [])
    if not 0 < len(objects) <= 1000:
        raise RefusalError(400, "MalformedXML", "DeleteObjects takes 1 to 1,000 keys")
    return document, [(item["Key"], item.get("VersionId")) for item in objects]


def _with_rule_ids(body: bytes) -> bytes:
    document = xmltodict.parse(body, force_list=("Rule",))
    for rule in document["LifecycleConfiguration"].get("Rule", []):
        rule["ID"] = rule.get("ID") or f"rule-{uuid.uuid4()}"
    return xmltodict.unparse(document).encode()


def _error(code: str, message: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
