"""IAM users, their policies and access keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from localcloud.plugins.aws.session import Session
from localcloud.plugins.aws.wire import drop_empty, from_tags, policy_text, policy_value, to_tags
from localcloud.plugins.codec import Codec, Properties
from localcloud.plugins.schema import Problem

_ABSENT = "NoSuchEntity"


class User(Codec[Session]):
    token = "aws:iam/user:User"
    sdk = "pulumi_aws.iam.user:User"
    label = "IAM User"
    autoname, autoname_limit = "name", 64
    defaults: ClassVar[Mapping[str, Any]] = {"forceDestroy": False, "path": "/"}

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        arguments = {
            "UserName": inputs["name"],
            "Path": inputs.get("path", "/"),
            "PermissionsBoundary": inputs.get("permissionsBoundary"),
            "Tags": to_tags(inputs.get("tags") or {}),
        }
        session.iam("create_user", **drop_empty(arguments))
        return inputs["name"], {}

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        found = session.iam.find("get_user", _ABSENT, UserName=state.get("name", resource_id))
        if found is None:
            return None
        user = found["User"]
        tags = from_tags(user.get("Tags", []))
        boundary = user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return {
            "name": user["UserName"],
            "path": user["Path"],
            "arn": user["Arn"],
            "uniqueId": user["UserId"],
            "tags": tags,
            "tagsAll": tags,
            **({"permissionsBoundary": boundary} if boundary else {}),
        }

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        if changed & {"name", "path"}:
            name, path = new["name"], new.get("path", "/")
            session.iam("update_user", UserName=old["name"], NewUserName=name, NewPath=path)
        if "permissionsBoundary" in changed and new.get("permissionsBoundary"):
            boundary = new["permissionsBoundary"]
            session.iam("put_user_permissions_boundary", UserName=new["name"], PermissionsBoundary=boundary)
        elif "permissionsBoundary" in changed:
            session.iam("delete_user_permissions_boundary", UserName=new["name"])
        if "tags" in changed:
            if gone := [key for key in old.get("tags") or {} if key not in (new.get("tags") or {})]:
                session.iam("untag_user", UserName=new["name"], TagKeys=gone)
            if new.get("tags"):
                session.iam("tag_user", UserName=new["name"], Tags=to_tags(new["tags"]))

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        name = state["name"]
        if state.get("forceDestroy"):
            for key in session.iam("list_access_keys", UserName=name)["AccessKeyMetadata"]:
                session.iam("delete_access_key", UserName=name, AccessKeyId=key["AccessKeyId"])
        session.iam("delete_user", UserName=name)


class UserPolicy(Codec[Session]):
    token = "aws:iam/userPolicy:UserPolicy"
    sdk = "pulumi_aws.iam.user_policy:UserPolicy"
    label = "IAM User Policy"
    required = frozenset({"policy", "user"})
    replaces = frozenset({"name", "namePrefix", "user"})
    autoname, autoname_limit = "name", 128

    def canonical(self, value: Any, name: str = "") -> Any:
        return policy_value(value) if name == "policy" else super().canonical(value, name)

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        user, name = inputs["user"], inputs["name"]
        session.iam("put_user_policy", UserName=user, PolicyName=name, PolicyDocument=policy_text(inputs["policy"]))
        return f"{user}:{name}", {}

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        user, _, name = resource_id.partition(":")
        found = session.iam.find("get_user_policy", _ABSENT, UserName=user, PolicyName=name)
        if found is None:
            return None
        document = found["PolicyDocument"]
        text = unquote(document) if isinstance(document, str) else policy_text(document)
        return {"user": user, "name": name, "policy": text}

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        self.create(session, new)

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        session.iam.find("delete_user_policy", _ABSENT, UserName=state["user"], PolicyName=state["name"])


class AccessKey(Codec[Session]):
    token = "aws:iam/accessKey:AccessKey"
    sdk = "pulumi_aws.iam.access_key:AccessKey"
    label = "IAM Access Key"
    required = frozenset({"user"})
    replaces = frozenset({"pgpKey", "user"})
    secrets = frozenset({"secret", "sesSmtpPasswordV4"})
    defaults: ClassVar[Mapping[str, Any]] = {"status": "Active"}

    def check(self, inputs: Properties) -> list[Problem]:
        if inputs.get("pgpKey"):
            return [
                Problem("pgpKey", "the stand-in cannot encrypt for a PGP key; the output 'secret' is a secret anyway")
            ]
        return []

    def create(self, session: Session, inputs: Properties) -> tuple[str, Properties]:
        """The secret is told here and never again."""
        key = session.iam("create_access_key", UserName=inputs["user"])["AccessKey"]
        return key["AccessKeyId"], {"secret": key["SecretAccessKey"]}

    def settle(self, session: Session, resource_id: str, inputs: Properties) -> None:
        if inputs.get("status", "Active") != "Active":
            self._set_status(session, resource_id, inputs)

    def read(self, session: Session, resource_id: str, state: Properties) -> Properties | None:
        user = state.get("user")
        arguments = {"UserName": user} if user else {}
        found = session.iam.find("list_access_keys", _ABSENT, **arguments) or {"AccessKeyMetadata": []}
        for key in found["AccessKeyMetadata"]:
            if key["AccessKeyId"] == resource_id:
                created = key["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ")
                return {"user": key["UserName"], "status": key["Status"], "createDate": created}
        return None

    def update(self, session: Session, resource_id: str, old: Properties, new: Properties, changed: set[str]) -> None:
        if "status" in changed:
            self._set_status(session, resource_id, new)

    def delete(self, session: Session, resource_id: str, state: Properties) -> None:
        session.iam.find("delete_access_key", _ABSENT, UserName=state["user"], AccessKeyId=resource_id)

    @staticmethod
    def _set_status(session: Session, key: str, inputs: Properties) -> None:
        status = inputs.get("status", "Active")
        session.iam("update_access_key", UserName=inputs["user"], AccessKeyId=key, Status=status)
