"""What an identity may do: the append-only host, batch deletes, bucket policies, conditions, the keys of Spaces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.objects.actions import Need
from localcloud.objects.errors import RefusalError
from localcloud.objects.policy import Effect, evaluate, unknown_operators
from tests.localcloud.objects_support import Store, append_only, code_of

GET = Need("s3:GetObject", "arn:aws:s3:::b/a.txt")


@pytest.fixture(scope="module")
def s3(store: Store) -> Any:
    return store.client()


def test_a_host_may_add_and_read_and_delete_locks_and_nothing_else(store: Store, s3: Any) -> None:
    s3.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
    for key in ("host/data/1", "host/locks/1", "host/locks/2", "other/data/1"):
        s3.put_object(Bucket="vault", Key=key, Body=b"x")
    version = s3.head_object(Bucket="vault", Key="host/locks/1")["VersionId"]
    host = store.client(keys=store.user("host", *append_only("vault", "host")))
    named = {"Bucket": "vault", "Key": "host/data/1"}
    until = {"Mode": "GOVERNANCE", "RetainUntilDate": "2099-01-01T00:00:00Z"}
    matrix = [
        ("ok", host.list_objects_v2, {"Bucket": "vault"}),
        ("ok", host.head_bucket, {"Bucket": "vault"}),
        ("ok", host.get_bucket_location, {"Bucket": "vault"}),
        ("ok", host.get_object, named),
        ("ok", host.put_object, named | {"Body": b"y"}),
        ("ok", host.delete_object, {"Bucket": "vault", "Key": "host/locks/1"}),
        ("NoSuchKey", host.get_object, {"Bucket": "vault", "Key": "host/absent"}),
        ("AccessDenied", host.delete_object, named),
        ("AccessDenied", host.delete_object, {"Bucket": "vault", "Key": "host/locks/1", "VersionId": version}),
        ("AccessDenied", host.get_object, {"Bucket": "vault", "Key": "other/data/1"}),
        ("AccessDenied", host.put_object, {"Bucket": "vault", "Key": "other/data/1", "Body": b"y"}),
        ("AccessDenied", host.copy_object, named | {"CopySource": "vault/other/data/1"}),
        ("AccessDenied", host.put_object_retention, named | {"Retention": until}),
        (
            "AccessDenied",
            host.put_object,
            named | {"Body": b"y", "ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2099-01-01"},
        ),
        (
            "AccessDenied",
            host.put_bucket_versioning,
            {"Bucket": "vault", "VersioningConfiguration": {"Status": "Suspended"}},
        ),
        ("AccessDenied", host.put_bucket_policy, {"Bucket": "vault", "Policy": "{}"}),
        ("AccessDenied", host.delete_bucket_lifecycle, {"Bucket": "vault"}),
        ("AccessDenied", host.list_object_versions, {"Bucket": "vault"}),
        ("AccessDenied", host.delete_bucket, {"Bucket": "vault"}),
        ("AccessDenied", host.create_bucket, {"Bucket": "mine"}),
        ("AccessDenied", host.list_buckets, {}),
    ]
    seen = [(code_of(call, **arguments), call.__name__, arguments) for _, call, arguments in matrix]
    assert seen == [(code, call.__name__, arguments) for code, call, arguments in matrix]


def test_a_host_may_not_give_itself_rights(store: Store) -> None:
    keys = store.user("climber", *append_only("vault", "host"))
    iam = store.client("iam", keys)
    everything = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )
    assert code_of(iam.put_user_policy, UserName="climber", PolicyName="p", PolicyDocument=everything) == "AccessDenied"
    assert code_of(iam.create_access_key, UserName="admin") == "AccessDenied"
    assert store.client("sts", keys).get_caller_identity()["Arn"].endswith(":user/climber")
    role = {"RoleArn": "arn:aws:iam::100000000002:role/x", "RoleSessionName": "x1"}
    assert code_of(store.client("sts").assume_role, **role) == "NotImplemented"


def test_a_batch_delete_asks_for_each_key_by_itself(store: Store, s3: Any) -> None:
    s3.create_bucket(Bucket="batch", ObjectLockEnabledForBucket=True)
    versions = {
        key: s3.put_object(Bucket="batch", Key=key, Body=b"x")["VersionId"]
        for key in ("h/data/1", "h/locks/1", "h/locks/2")
    }
    host = store.client(keys=store.user("batcher", *append_only("batch", "h")))
    objects = [
        {"Key": "h/data/1"},
        {"Key": "h/locks/1"},
        {"Key": "h/locks/2", "VersionId": versions["h/locks/2"]},
        {"Key": "h/data/1", "VersionId": versions["h/data/1"]},
    ]
    answer = host.delete_objects(Bucket="batch", Delete={"Objects": objects})
    assert [item["Key"] for item in answer["Deleted"]] == ["h/locks/1"]
    assert [(item["Key"], item["Code"]) for item in answer["Errors"]] == [
        ("h/data/1", "AccessDenied"),
        ("h/locks/2", "AccessDenied"),
        ("h/data/1", "AccessDenied"),
    ]
    listed = s3.list_object_versions(Bucket="batch")
    assert {item["VersionId"] for item in listed["Versions"]} == set(versions.values())
    assert [item["Key"] for item in listed["DeleteMarkers"]] == ["h/locks/1"]


def test_a_deactivated_or_deleted_key_stops_at_once(store: Store) -> None:
    access, secret = store.user("leaver", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    leaver, iam = store.client(keys=(access, secret)), store.client("iam")
    assert code_of(leaver.list_buckets) == "ok"
    iam.update_access_key(UserName="leaver", AccessKeyId=access, Status="Inactive")
    assert code_of(leaver.list_buckets) == "InvalidAccessKeyId"
    iam.update_access_key(UserName="leaver", AccessKeyId=access, Status="Active")
    assert code_of(leaver.list_buckets) == "ok"
    iam.delete_access_key(UserName="leaver", AccessKeyId=access)
    assert code_of(leaver.list_buckets) == "InvalidAccessKeyId"


def test_a_bucket_policy_denies_even_the_admin_and_goes_away_with_its_deletion(store: Store, s3: Any) -> None:
    s3.create_bucket(Bucket="guarded")
    s3.put_object(Bucket="guarded", Key="keep/1", Body=b"x")
    s3.put_object(Bucket="guarded", Key="free/1", Body=b"x")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject*",
        "Resource": "arn:aws:s3:::guarded/keep/*",
    }
    s3.put_bucket_policy(Bucket="guarded", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert code_of(s3.delete_object, Bucket="guarded", Key="keep/1") == "AccessDenied"
    answer = s3.delete_objects(Bucket="guarded", Delete={"Objects": [{"Key": "keep/1"}, {"Key": "free/1"}]})
    assert ([item["Key"] for item in answer["Deleted"]], [item["Key"] for item in answer["Errors"]]) == (
        ["free/1"],
        ["keep/1"],
    )
    s3.delete_bucket_policy(Bucket="guarded")
    assert code_of(s3.delete_object, Bucket="guarded", Key="keep/1") == "ok"


def test_a_policy_that_demands_tls_denies_plain_http(store: Store, s3: Any) -> None:
    s3.create_bucket(Bucket="tls-only")
    statement = {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls-only/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket="tls-only", Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    assert code_of(s3.put_object, Bucket="tls-only", Key="k", Body=b"x") == "AccessDenied"
    broken = json.dumps({"Statement": [statement | {"Condition": {"BinaryEquals": {"a": "b"}}}]})
    assert code_of(s3.put_bucket_policy, Bucket="tls-only", Policy=broken) == "MalformedPolicy"


def test_a_listing_may_be_limited_to_a_prefix(store: Store, s3: Any) -> None:
    s3.create_bucket(Bucket="shared")
    statement = {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::shared",
        "Condition": {"StringLike": {"s3:prefix": ["${aws:username}/*"]}},
    }
    lister = store.client(keys=store.user("lister", statement))
    assert code_of(lister.list_objects_v2, Bucket="shared", Prefix="lister/x") == "ok"
    assert code_of(lister.list_objects_v2, Bucket="shared", Prefix="other/") == "AccessDenied"
    assert code_of(lister.list_objects_v2, Bucket="shared") == "AccessDenied"
    assert code_of(lister.get_object, Bucket="shared", Key="absent") == "AccessDenied"


def document(**statement: Any) -> str:
    return json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"} | statement]})


@pytest.mark.parametrize(
    ("policy", "effect"),
    [
        (document(), Effect.ALLOW),
        (document(Action=["s3:get*"]), Effect.ALLOW),
        (document(Action="s3:PutObject"), Effect.NONE),
        (document(Resource="arn:aws:s3:::b/a?txt"), Effect.ALLOW),
        (document(Resource="arn:aws:s3:::b/aXtxt"), Effect.NONE),
        (document(Resource="arn:aws:s3:::B/*"), Effect.NONE),
        (
            json.dumps(
                {"Statement": {"Effect": "Allow", "NotAction": "s3:Delete*", "NotResource": "arn:aws:s3:::c/*"}}
            ),
            Effect.ALLOW,
        ),
        (json.dumps({"Statement": {"Effect": "Deny", "NotAction": "s3:GetObject", "Resource": "*"}}), Effect.NONE),
        (document(Condition={"StringEquals": {"aws:username": "me"}}), Effect.ALLOW),
        (document(Condition={"StringNotEquals": {"aws:username": "me"}}), Effect.NONE),
        (document(Condition={"StringNotEquals": {"absent": "me"}}), Effect.ALLOW),
        (document(Condition={"StringEqualsIfExists": {"absent": "me"}}), Effect.ALLOW),
        (document(Condition={"Null": {"absent": "true"}}), Effect.ALLOW),
        (document(Condition={"Null": {"aws:username": True}}), Effect.NONE),
        (document(Condition={"IpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}}), Effect.ALLOW),
        (document(Condition={"NotIpAddress": {"aws:SourceIp": "10.1.2.3"}}), Effect.NONE),
        (document(Condition={"NumericLessThanEquals": {"s3:max-keys": 10}}), Effect.ALLOW),
        (document(Condition={"ForAnyValue:StringLike": {"aws:username": ["x", "m*"]}}), Effect.ALLOW),
        (document(Effect="Deny"), Effect.DENY),
    ],
)
def test_a_statement_applies_when_every_part_of_it_does(policy: str, effect: Effect) -> None:
    context = {"aws:username": ["me"], "aws:sourceip": ["10.1.2.3"], "s3:max-keys": ["10"]}
    assert evaluate([policy], GET, context) == effect


def test_a_deny_wins_over_an_allow_in_another_document() -> None:
    assert evaluate([document(), document(Effect="Deny")], GET, {}) == Effect.DENY
    assert evaluate([document(Effect="Deny"), document()], GET, {}) == Effect.DENY


def test_a_bucket_policy_speaks_of_its_principals_only() -> None:
    me = "arn:aws:iam::100000000001:user/me"
    for principal, effect in (
        ("*", Effect.ALLOW),
        ({"AWS": me}, Effect.ALLOW),
        ({"AWS": ["arn:aws:iam::100000000001:root"]}, Effect.ALLOW),
        ({"AWS": "arn:aws:iam::100000000001:user/other"}, Effect.NONE),
        ({"Service": "logging.s3.amazonaws.com"}, Effect.NONE),
    ):
        assert evaluate([document(Principal=principal)], GET, {}, me) == effect
    assert evaluate([document()], GET, {}, me) == Effect.NONE


def test_an_operator_that_is_not_known_is_named_and_refuses() -> None:
    policy = document(Condition={"BinaryEquals": {"a": "b"}})
    assert unknown_operators(json.loads(policy)["Statement"]) == ["BinaryEquals"]
    with pytest.raises(RefusalError, match="BinaryEquals"):
        evaluate([policy], GET, {})
