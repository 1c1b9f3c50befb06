"""Who signs: access keys, secrets and the policies that go with them, read from moto's IAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.iam.access_control import CreateAccessKeyFailure, IAMUserAccessKey
from moto.iam.models import Policy, iam_backends

from localcloud.objects.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Identity:
    """The owner of an access key. `policies` are documents as they are now, collected for this request."""

    account: str
    access_key: str
    secret: str
    arn: str
    policies: tuple[str, ...]


def find_identity(accounts: Iterable[str], access_key: str, token: str) -> Identity:
    """The identity behind an access key; RefusalError (403 InvalidAccessKeyId) when it is unknown or inactive."""
    for account in accounts:
        stored = iam_backends[account]["aws"].access_keys.get(access_key)
        if stored is None or stored.status != "Active":
            continue
        try:
            owner = IAMUserAccessKey(account, "aws", access_key, {"X-Amz-Security-Token": token} if token else {})
        except CreateAccessKeyFailure as error:
            raise RefusalError(400, "InvalidToken", "this access key has no session token") from error
        documents = tuple(_document(policy) for policy in owner.collect_policies())
        return Identity(account, access_key, stored.secret_access_key, owner.arn, documents)
    raise RefusalError(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")


def _document(policy: Any) -> str:
    if isinstance(policy, Policy):
        return next(item.document for item in policy.versions if item.is_default)
    return policy if isinstance(policy, str) else policy["policy_document"]
