"""Spaces: access keys by the API, buckets by S3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.plugins.api import wait_for
from localcloud.plugins.codec import Codec, Properties, Work
from localcloud.plugins.digitalocean.rest import Rest
from localcloud.plugins.digitalocean.session import Session
from localcloud.plugins.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


class SpacesKey(Rest):
    kind = "digitalocean:index/spacesKey:SpacesKey"
    sdk = "pulumi_digitalocean.spaces_key:SpacesKey"
    label = "Spaces key"
    path, root, id_field = "/v2/spaces/keys", "key", "access_key"
    secrets = frozenset({"secretKey"})
    autoname = "name"

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {"name": inputs["name"], "grants": inputs.get("grants") or []}

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        """The secret is told here and never again."""
        key = it.session.api.post(self.path, self.body(it.inputs))[self.root]
        return key["access_key"], self.state(key)


class SpacesBucket(Codec[Session]):
    kind = "digitalocean:index/spacesBucket:SpacesBucket"
    sdk = "pulumi_digitalocean.spaces_bucket:SpacesBucket"
    label = "Spaces bucket"
    replaces = frozenset({"region"})
    ignore_case = frozenset({"region"})
    sets = frozenset({"allowedHeaders", "allowedMethods", "allowedOrigins"})
    autoname, autoname_limit = "name", 63
    defaults: ClassVar[Mapping[str, Any]] = {"acl": "private", "forceDestroy": False, "region": "nyc3"}

    def check(self, inputs: Properties) -> list[Problem]:
        name = inputs.get("name")
        if isinstance(name, str) and len(name) > 63:
            return [Problem("name", f"'{name}' has {len(name)} characters; a bucket name has at most 63")]
        return []

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        it.session.spaces("create_bucket", Bucket=it.inputs["name"], ACL="private")
        return it.inputs["name"], {}

    def settle(self, it: Work[Session]) -> None:
        what = f"waiting for bucket {it.id}"
        wait_for(lambda: self._head(it.session, it.id), lambda found: found is not None, what, it.session.cancelled, 60)
        given = {**self.defaults, **it.inputs}
        self._apply(
            it.session, it.id, given, frozenset({"acl", "versioning", "lifecycleRules", "corsRules"} & given.keys())
        )

    def read(self, it: Work[Session]) -> Properties | None:
        if self._head(it.session, it.id) is None:
            return None
        region = it.state.get("region", self.defaults["region"])
        versioning = it.session.spaces("get_bucket_versioning", Bucket=it.id).get("Status") == "Enabled"
        rules = it.session.spaces.find(
            "get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration", Bucket=it.id
        )
        return {
            "name": it.id,
            "region": region,
            "versioning": {"enabled": versioning},
            "lifecycleRules": [_rule_state(rule) for rule in (rules or {}).get("Rules", [])],
            "bucketUrn": f"do:space:{it.id}",
            "bucketDomainName": f"{it.id}.{region}.digitaloceanspaces.com",
            "endpoint": f"{region}.digitaloceanspaces.com",
        }

    def update(self, it: Work[Session]) -> Any:
        """A new name renames nothing: as with the real plugin, the calls then go to a bucket that does not exist."""
        self._apply(it.session, it.inputs["name"], {**self.defaults, **it.inputs}, it.changed)

    def delete(self, it: Work[Session]) -> None:
        if it.state.get("forceDestroy"):
            from localcloud.plugins.s3 import empty_bucket  # noqa: PLC0415

            empty_bucket(it.session.spaces, it.id)
        it.session.spaces("delete_bucket", Bucket=it.id)

    def same(self, name: str, old: Any, new: Any) -> bool:
        """Versioning that is left out says nothing: the real plugin then leaves it as it is."""
        if name == "versioning" and (new is None or (old is None and not new.get("enabled"))):
            return True
        return super().same(name, old, new)

    @staticmethod
    def _head(session: Session, bucket: str) -> Any:
        return session.spaces.find("head_bucket", "NoSuchBucket", Bucket=bucket)

    @staticmethod
    def _apply(session: Session, bucket: str, given: Properties, names: frozenset[str]) -> None:
        if "acl" in names:
            session.spaces("put_bucket_acl", Bucket=bucket, ACL=given["acl"])
        if "versioning" in names and given.get("versioning"):
            status = "Enabled" if given["versioning"].get("enabled") else "Suspended"
            session.spaces("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": status})
        if "lifecycleRules" in names and given.get("lifecycleRules"):
            rules = {"Rules": [_rule(rule, index) for index, rule in enumerate(given["lifecycleRules"])]}
            session.spaces("put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration=rules)
        elif "lifecycleRules" in names:
            session.spaces("delete_bucket_lifecycle", Bucket=bucket)
        if "corsRules" in names:
            put_cors(session, bucket, given.get("corsRules") or [])


def _rule(rule: Properties, index: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "ID": rule.get("id") or f"tf-s3-lifecycle-{index}",
        "Status": "Enabled" if rule["enabled"] else "Disabled",
        "Filter": {"Prefix": rule.get("prefix") or ""},
    }
    if days := rule.get("abortIncompleteMultipartUploadDays"):
        body["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    expiration = rule.get("expiration") or {}
    if expiration.get("date"):
        body["Expiration"] = {"Date": f"{expiration['date']}T00:00:00Z"}
    elif expiration.get("days"):
        body["Expiration"] = {"Days": expiration["days"]}
    elif expiration.get("expiredObjectDeleteMarker"):
        body["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if days := (rule.get("noncurrentVersionExpiration") or {}).get("days"):
        body["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    return body


def _rule_state(rule: Mapping[str, Any]) -> Properties:
    expiration = rule.get("Expiration") or {}
    date = expiration.get("Date")
    found: Properties = {
        "id": rule.get("ID", ""),
        "enabled": rule["Status"] == "Enabled",
        "prefix": (rule.get("Filter") or {}).get("Prefix", ""),
        "abortIncompleteMultipartUploadDays": (rule.get("AbortIncompleteMultipartUpload") or {}).get(
            "DaysAfterInitiation"
        ),
        "expiration": {
            "date": date.date().isoformat() if date else None,
            "days": expiration.get("Days"),
            "expiredObjectDeleteMarker": expiration.get("ExpiredObjectDeleteMarker") or None,
        },
        "noncurrentVersionExpiration": {"days": (rule.get("NoncurrentVersionExpiration") or {}).get("NoncurrentDays")},
    }
    trimmed = {key: _without_none(value) if isinstance(value, dict) else value for key, value in found.items()}
    return {key: value for key, value in trimmed.items() if value not in (None, {}, "")}


def _without_none(values: Mapping[str, Any]) -> Properties:
    return {key: value for key, value in values.items() if value is not None}


_CORS = {
    "allowedHeaders": "AllowedHeaders",
    "allowedMethods": "AllowedMethods",
    "allowedOrigins": "AllowedOrigins",
    "exposeHeaders": "ExposeHeaders",
    "id": "ID",
    "maxAgeSeconds": "MaxAgeSeconds",
}


def put_cors(session: Session, bucket: str, rules: list[Properties]) -> None:
    """Set the CORS rules of a bucket, or remove them when there are none."""
    if not rules:
        session.spaces("delete_bucket_cors", Bucket=bucket)
        return
    body = [{_CORS[name]: value for name, value in rule.items()} for rule in rules]
    session.spaces("put_bucket_cors", Bucket=bucket, CORSConfiguration={"CORSRules": body})


class SpacesBucketCorsConfiguration(Codec[Session]):
    kind = "digitalocean:index/spacesBucketCorsConfiguration:SpacesBucketCorsConfiguration"
    sdk = "pulumi_digitalocean.spaces_bucket_cors_configuration:SpacesBucketCorsConfiguration"
    label = "Spaces bucket CORS configuration"
    required = frozenset({"bucket", "corsRules", "region"})
    replaces = frozenset({"region"})
    sets = frozenset({"corsRules", "allowedHeaders", "allowedMethods", "allowedOrigins", "exposeHeaders"})

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        put_cors(it.session, it.inputs["bucket"], it.inputs["corsRules"])
        return f"{it.inputs['region']},{it.inputs['bucket']}", {}

    def read(self, it: Work[Session]) -> Properties | None:
        region, _, bucket = it.id.partition(",")
        bucket = it.state.get("bucket", bucket)
        found = it.session.spaces.find("get_bucket_cors", "NoSuchCORSConfiguration", "NoSuchBucket", Bucket=bucket)
        if found is None:
            return None
        rules = [{name: rule[wire] for name, wire in _CORS.items() if wire in rule} for rule in found["CORSRules"]]
        return {"bucket": bucket, "region": region, "corsRules": rules}

    def update(self, it: Work[Session]) -> None:
        put_cors(it.session, it.inputs["bucket"], it.inputs["corsRules"])

    def delete(self, it: Work[Session]) -> None:
        put_cors(it.session, it.state["bucket"], [])


class SpacesBucketPolicy(Codec[Session]):
    kind = "digitalocean:index/spacesBucketPolicy:SpacesBucketPolicy"
    sdk = "pulumi_digitalocean.spaces_bucket_policy:SpacesBucketPolicy"
    label = "Spaces bucket policy"
    required = frozenset({"bucket", "policy", "region"})
    replaces = frozenset({"bucket", "region"})

    def canonical(self, value: Any, name: str = "") -> Any:
        return json_value(value) if name == "policy" else super().canonical(value, name)

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        it.session.spaces("put_bucket_policy", Bucket=it.inputs["bucket"], Policy=it.inputs["policy"])
        return it.inputs["bucket"], {}

    def read(self, it: Work[Session]) -> Properties | None:
        """A policy that is gone is an empty one, so that it shows as a difference."""
        found = it.session.spaces.find("get_bucket_policy", "NoSuchBucketPolicy", "NoSuchBucket", Bucket=it.id)
        return {"bucket": it.id, "policy": (found or {}).get("Policy", "")}

    def update(self, it: Work[Session]) -> None:
        self.create(it)

    def delete(self, it: Work[Session]) -> None:
        it.session.spaces("delete_bucket_policy", Bucket=it.id)


def json_value(text: Any) -> Any:
    """What a JSON text says, whatever its spaces and order; any other text as it is."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
