"""IAM users, their policies and access keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

from localcloud.plugins.aws.session import Session
from localcloud.plugins.aws.wire import drop_empty, from_tags, policy_text, policy_value, to_tags
from localcloud.plugins.codec import Codec, Properties, Work
from localcloud.plugins.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

_ABSENT = "NoSuchEntity"


class User(Codec[Session]):
    kind = "aws:iam/user:User"
    sdk = "pulumi_aws.iam.user:User"
    label = "IAM User"
    autoname, autoname_limit = "name", 64
    defaults: ClassVar[Mapping[str, Any]] = {"forceDestroy": False, "path": "/"}

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        arguments = {
            "UserName": it.inputs["name"],
            "Path": it.inputs.get("path", "/"),
            "PermissionsBoundary": it.inputs.get("permissionsBoundary"),
            "Tags": to_tags(it.inputs.get("tags") or {}),
        }
        it.session.iam("create_user", **drop_empty(arguments))
        return it.inputs["name"], {}

    def read(self, it: Work[Session]) -> Properties | None:
        found = it.session.iam.find("get_user", _ABSENT, UserName=it.state.get("name", it.id))
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

    def update(self, it: Work[Session]) -> None:
        if it.changed & {"name", "path"}:
            name, path = it.inputs["name"], it.inputs.get("path", "/")
            it.session.iam("update_user", UserName=it.state["name"], NewUserName=name, NewPath=path)
        if "permissionsBoundary" in it.changed and it.inputs.get("permissionsBoundary"):
            boundary = it.inputs["permissionsBoundary"]
            it.session.iam("put_user_permissions_boundary", UserName=it.inputs["name"], PermissionsBoundary=boundary)
        elif "permissionsBoundary" in it.changed:
            it.session.iam("delete_user_permissions_boundary", UserName=it.inputs["name"])
        if "tags" in it.changed:
            if gone := [key for key in it.state.get("tags") or {} if key not in (it.inputs.get("tags") or {})]:
                it.session.iam("untag_user", UserName=it.inputs["name"], TagKeys=gone)
            if it.inputs.get("tags"):
                it.session.iam("tag_user", UserName=it.inputs["name"], Tags=to_tags(it.inputs["tags"]))

    def delete(self, it: Work[Session]) -> None:
        name = it.state["name"]
        if it.state.get("forceDestroy"):
            for key in it.session.iam("list_access_keys", UserName=name)["AccessKeyMetadata"]:
                it.session.iam("delete_access_key", UserName=name, AccessKeyId=key["AccessKeyId"])
        it.session.iam("delete_user", UserName=name)


class UserPolicy(Codec[Session]):
    kind = "aws:iam/userPolicy:UserPolicy"
    sdk = "pulumi_aws.iam.user_policy:UserPolicy"
    label = "IAM User Policy"
    required = frozenset({"policy", "user"})
    replaces = frozenset({"name", "namePrefix", "user"})
    autoname, autoname_limit = "name", 128

    def canonical(self, value: Any, name: str = "") -> Any:
        return policy_value(value) if name == "policy" else super().canonical(value, name)

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        user, name = it.inputs["user"], it.inputs["name"]
        it.session.iam(
            "put_user_policy", UserName=user, PolicyName=name, PolicyDocument=policy_text(it.inputs["policy"])
        )
        return f"{user}:{name}", {}

    def read(self, it: Work[Session]) -> Properties | None:
        user, _, name = it.id.partition(":")
        found = it.session.iam.find("get_user_policy", _ABSENT, UserName=user, PolicyName=name)
        if found is None:
            return None
        document = found["PolicyDocument"]
        text = unquote(document) if isinstance(document, str) else policy_text(document)
        return {"user": user, "name": name, "policy": text}

    def update(self, it: Work[Session]) -> None:
        self.create(it)

    def delete(self, it: Work[Session]) -> None:
        it.session.iam.find("delete_user_policy", _ABSENT, UserName=it.state["user"], PolicyName=it.state["name"])


class AccessKey(Codec[Session]):
    kind = "aws:iam/accessKey:AccessKey"
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

    def create(self, it: Work[Session]) -> tuple[str, Properties]:
        """The secret is told here and never again."""
        key = it.session.iam("create_access_key", UserName=it.inputs["user"])["AccessKey"]
        return key["AccessKeyId"], {"secret": key["SecretAccessKey"]}

    def settle(self, it: Work[Session]) -> None:
        if it.inputs.get("status", "Active") != "Active":
            self._set_status(it.session, it.id, it.inputs)

    def read(self, it: Work[Session]) -> Properties | None:
        user = it.state.get("user")
        arguments = {"UserName": user} if user else {}
        found = it.session.iam.find("list_access_keys", _ABSENT, **arguments) or {"AccessKeyMetadata": []}
        for key in found["AccessKeyMetadata"]:
            if key["AccessKeyId"] == it.id:
                created = key["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ")
                return {"user": key["UserName"], "status": key["Status"], "createDate": created}
        return None

    def update(self, it: Work[Session]) -> None:
        if "status" in it.changed:
            self._set_status(it.session, it.id, it.inputs)

    def delete(self, it: Work[Session]) -> None:
        it.session.iam.find("delete_access_key", _ABSENT, UserName=it.state["user"], AccessKeyId=it.id)

    @staticmethod
    def _set_status(session: Session, key: str, inputs: Properties) -> None:
        status = inputs.get("status", "Active")
        session.iam("update_access_key", UserName=inputs["user"], AccessKeyId=key, Status=status)
