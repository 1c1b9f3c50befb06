"""Where a bucket is found: the hosts and styles of the real provider, of production, and of a client behind a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.localcloud.objects_support import code_of

if TYPE_CHECKING:
    from tests.localcloud.objects_support import Store


def signed(store: Store, method: str, path: str, host: str, body: bytes = b"", acl: str = "") -> requests.Response:
    """A request with a Host header of its own (virtual-host style without a resolver), with Spaces' admin key."""
    request = AWSRequest(
        method, f"http://{host}{path}", data=body, headers={"Host": host} | ({"x-amz-acl": acl} if acl else {})
    )
    S3SigV4Auth(Credentials(*store.admin("spaces")), "s3", "us-east-1").add_auth(request)
    url = f"http://127.0.0.1:{store.keys['port']}{path}"
    return requests.request(method, url, data=body, headers=dict(request.headers.items()), timeout=30)


def test_a_spaces_bucket_is_made_and_read_in_the_styles_of_the_real_provider(store: Store) -> None:
    host = f"fra1.localhost:{store.keys['port']}"
    assert signed(store, "PUT", "/", f"wire.{host}", acl="private").status_code == 200
    assert signed(store, "HEAD", "/", f"wire.{host}").status_code == 200
    assert signed(store, "PUT", "/?acl=", f"wire.{host}", acl="private").status_code == 200
    versioning = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert signed(store, "PUT", "/?versioning=", f"wire.{host}", versioning).status_code == 200
    assert "<Status>Enabled</Status>" in signed(store, "GET", "/?versioning=", f"wire.{host}").text
    location = signed(store, "GET", "/wire?location=", host)
    assert ">fra1<" in location.text
    empty = signed(store, "GET", "/?lifecycle=", f"wire.{host}")
    assert (empty.status_code, "NoSuchLifecycleConfiguration" in empty.text) == (404, True)
    rule = (
        b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Prefix>p/</Prefix></Filter>"
        b"<Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>"
    )
    assert signed(store, "PUT", "/?lifecycle=", f"wire.{host}", rule).status_code == 200
    text = signed(store, "GET", "/?lifecycle=", f"wire.{host}").text
    assert "<Filter><Prefix>p/</Prefix></Filter>" in text
    assert "<ID>rule-" in text
    assert signed(store, "DELETE", "/?lifecycle", f"wire.{host}").status_code == 204
    assert (
        signed(store, "PUT", "/?policy=", f"wire.{host}", b'{"Statement": [], "Version": "2012-10-17"}').status_code
        < 300
    )
    assert signed(store, "GET", "/?policy=", f"wire.{host}").text == '{"Statement": [], "Version": "2012-10-17"}'
    assert signed(store, "DELETE", "/?policy=", f"wire.{host}").status_code == 204
    again = signed(store, "PUT", "/", f"wire.{host}")
    assert (again.status_code, "BucketAlreadyOwnedByYou" in again.text) == (409, True)
    assert signed(store, "DELETE", "/", f"wire.{host}").status_code == 204
    gone = signed(store, "DELETE", "/", f"wire.{host}")
    assert (gone.status_code, "NoSuchBucket" in gone.text) == (404, True)


def test_the_hosts_of_production_reach_the_account_of_their_provider_only(store: Store) -> None:
    assert signed(store, "PUT", "/", "real.fra1.digitaloceanspaces.com").status_code == 200
    assert signed(store, "PUT", "/real/k", "fra1.digitaloceanspaces.com", b"x").status_code == 200
    assert signed(store, "GET", "/k", "real.fra1.digitaloceanspaces.com").content == b"x"
    refused = signed(store, "GET", "/", "s3.us-east-1.amazonaws.com")
    assert (refused.status_code, "InvalidAccessKeyId" in refused.text) == (403, True)


def test_a_client_that_resolves_no_bucket_names_uses_the_store_as_its_proxy(store: Store) -> None:
    access, secret = store.admin("spaces")
    config = Config(s3={"addressing_style": "virtual"}, proxies={"http": store.url}, retries={"max_attempts": 1})
    client = boto3.client(
        "s3", endpoint_url="http://nyc3.spaces.test", aws_access_key_id=access, aws_secret_access_key=secret,
        region_name="us-east-1", config=config,
    )  # fmt: skip
    client.create_bucket(Bucket="proxied")
    client.put_object(Bucket="proxied", Key="/a b?c", Body=b"whole URL")
    assert client.get_object(Bucket="proxied", Key="/a b?c")["Body"].read() == b"whole URL"
    assert [item["Key"] for item in client.list_objects_v2(Bucket="proxied")["Contents"]] == ["/a b?c"]
    assert client.get_bucket_location(Bucket="proxied")["LocationConstraint"] == "nyc3"
    tunnel = requests.request("CONNECT", store.url, headers={"Host": "elsewhere:443"}, timeout=30)
    assert tunnel.status_code >= 400


def test_what_spaces_does_not_have_is_not_implemented_here_either(store: Store) -> None:
    spaces = store.client(keys="spaces")
    spaces.create_bucket(Bucket="less")
    block = {"BlockPublicAcls": True}
    assert (
        code_of(spaces.put_public_access_block, Bucket="less", PublicAccessBlockConfiguration=block) == "NotImplemented"
    )
    assert code_of(spaces.get_bucket_encryption, Bucket="less") == "NotImplemented"
    assert code_of(spaces.get_object_lock_configuration, Bucket="less") == "NotImplemented"
    assert code_of(spaces.create_bucket, Bucket="locked", ObjectLockEnabledForBucket=True) == "NotImplemented"


@pytest.mark.parametrize("name", ["ab", "UPPER", "a" * 64, "has_underscore", "-lead"])
def test_a_bucket_name_that_s3_forbids_is_refused(store: Store, name: str) -> None:
    request = AWSRequest("PUT", f"{store.url}/{name}")
    S3SigV4Auth(Credentials(*store.admin("aws")), "s3", "us-east-1").add_auth(request)
    answer = requests.put(f"{store.url}/{name}", headers=dict(request.headers.items()), timeout=30)
    assert (answer.status_code, "InvalidBucketName" in answer.text) == (400, True)
