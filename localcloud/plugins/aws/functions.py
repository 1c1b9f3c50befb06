"""The functions (invokes) of the AWS plugin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.plugins.aws.session import Session
    from localcloud.plugins.codec import Properties


def get_caller_identity(session: Session, args: Properties) -> Properties:
    found = session.sts("get_caller_identity")
    account = found["Account"]
    return {**args, "id": account, "accountId": account, "arn": found["Arn"], "userId": found["UserId"]}


def get_region(session: Session, args: Properties) -> Properties:
    name = args.get("region") or args.get("name") or session.region
    return {
        "id": name,
        "name": name,
        "region": name,
        "description": name,
        "endpoint": f"ec2.{name}.amazonaws.com",
    }


def get_policy_document(_: Session, args: Properties) -> Properties:
    """The policy that the statements describe, written as the real plugin does: single values are not lists."""
    document: Properties = {"Version": args.get("version", "2012-10-17")}
    if args.get("policyId"):
        document["Id"] = args["policyId"]
    document["Statement"] = [_statement(statement) for statement in args.get("statements") or []]
    text = json.dumps(document, indent=2)
    return {**args, "id": "policy", "json": text, "minifiedJson": json.dumps(document, separators=(",", ":"))}


def _statement(given: Mapping[str, Any]) -> Properties:
    found: Properties = {"Effect": given.get("effect", "Allow")}
    names = {"sid": "Sid", "actions": "Action", "notActions": "NotAction"}
    names |= {"resources": "Resource", "notResources": "NotResource"}
    found |= {wire: _single(given[name]) for name, wire in names.items() if given.get(name)}
    for name, wire in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if given.get(name):
            found[wire] = _principals(given[name])
    for condition in given.get("conditions") or []:
        test = found.setdefault("Condition", {}).setdefault(condition["test"], {})
        test[condition["variable"]] = _single(condition["values"])
    return found


def _principals(given: list[Mapping[str, Any]]) -> Any:
    if any(item["type"] == "*" for item in given):
        return "*"
    return {item["type"]: _single(item["identifiers"]) for item in given}


def _single(value: Any) -> Any:
    if isinstance(value, list):
        return value[0] if len(value) == 1 else sorted(value, reverse=True)
    return value


FUNCTIONS = {
    "aws:index/getCallerIdentity:getCallerIdentity": get_caller_identity,
    "aws:index/getRegion:getRegion": get_region,
    "aws:iam/getPolicyDocument:getPolicyDocument": get_policy_document,
}
