"""S3 as clients speak it: signatures, uploads of all kinds, listings, and the settings of a bucket."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import io
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.localcloud.objects_support import Store, code_of, make_certificate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def s3(store: Store) -> Any:
    client = store.client()
    client.create_bucket(Bucket="plain")
    return client


def sign_in_the_past(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: past.replace(tzinfo=None))


def test_the_two_accounts_have_bucket_names_of_their_own_and_do_not_see_each_other(store: Store, s3: Any) -> None:
    spaces = store.client(keys="spaces")
    s3.create_bucket(Bucket="only-aws")
    s3.put_object(Bucket="only-aws", Key="k", Body=b"aws")
    assert code_of(spaces.list_objects_v2, Bucket="only-aws") == "AccessDenied"
    assert code_of(spaces.get_object, Bucket="only-aws", Key="k") == "AccessDenied"
    assert code_of(spaces.delete_object, Bucket="only-aws", Key="k") == "AccessDenied"
    assert code_of(spaces.copy_object, Bucket="only-aws", Key="l", CopySource="only-aws/k") == "AccessDenied"
    assert "only-aws" not in [bucket["Name"] for bucket in spaces.list_buckets()["Buckets"]]
    spaces.create_bucket(Bucket="only-aws")
    spaces.put_object(Bucket="only-aws", Key="k", Body=b"spaces")
    assert s3.get_object(Bucket="only-aws", Key="k")["Body"].read() == b"aws"


def test_an_unsigned_request_and_a_wrong_secret_are_refused_from_the_first_request_on(store: Store, s3: Any) -> None:
    s3.put_object(Bucket="plain", Key="open", Body=b"x")
    for method, path in (("GET", "/"), ("GET", "/plain/open"), ("PUT", "/plain/new"), ("DELETE", "/plain/open")):
        answer = requests.request(method, store.url + path, data=b"x", timeout=30)
        assert (answer.status_code, "AccessDenied" in answer.text) == (403, True)
    access, secret = store.admin("aws")
    assert code_of(store.client(keys=(access, secret[:-1] + "?")).list_buckets) == "SignatureDoesNotMatch"
    assert code_of(store.client(keys=("AKIA" + "A" * 16, secret)).list_buckets) == "InvalidAccessKeyId"
    assert code_of(store.client("iam", (access, "no")).list_users) == "SignatureDoesNotMatch"
    assert code_of(store.client("iam", "spaces").list_users) == "AccessDenied"


def test_an_account_header_of_a_client_does_not_change_the_account(store: Store, s3: Any) -> None:
    spaces = store.client(keys="spaces")
    spaces.meta.events.register(
        "before-sign.s3", lambda request, **_: _add(request, "x-moto-account-id", "100000000001")
    )
    s3.create_bucket(Bucket="not-by-header")
    assert "not-by-header" not in [bucket["Name"] for bucket in spaces.list_buckets()["Buckets"]]


def _add(request: Any, name: str, value: str) -> None:
    request.headers[name] = value


def test_a_signature_with_an_old_date_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in_the_past(monkeypatch, minutes=16)
    assert code_of(store.client().list_buckets) == "RequestTimeTooSkewed"


def test_presigned_urls_work_until_they_expire_and_for_their_own_key_only(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = store.client(signature_version="s3v4")
    named = {"Bucket": "plain", "Key": "media/ü 1.png"}
    put = s3.generate_presigned_url("put_object", Params=named)
    assert requests.put(put, data=b"image", timeout=30).status_code == 200
    get = s3.generate_presigned_url("get_object", Params=named)
    assert requests.get(get, timeout=30).content == b"image"
    assert requests.get(get.replace("1.png", "2.png"), timeout=30).status_code == 403
    sign_in_the_past(monkeypatch, minutes=10)
    late = requests.get(s3.generate_presigned_url("get_object", Params=named, ExpiresIn=60), timeout=30)
    assert (late.status_code, "expired" in late.text) == (403, True)


def test_a_body_that_is_not_what_its_hashes_promise_is_not_stored(store: Store, s3: Any) -> None:
    assert (
        code_of(s3.put_object, Bucket="plain", Key="bad", Body=b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
        == "BadDigest"
    )
    assert code_of(s3.put_object, Bucket="plain", Key="bad", Body=b"x", ChecksumCRC32="AAAAAA==") == "BadDigest"
    request = AWSRequest("PUT", f"{store.url}/plain/bad", data=b"signed")
    S3SigV4Auth(Credentials(*store.admin("aws")), "s3", "us-east-1").add_auth(request)
    answer = requests.put(f"{store.url}/plain/bad", data=b"forged", headers=dict(request.headers.items()), timeout=30)
    assert (answer.status_code, "XAmzContentSHA256Mismatch" in answer.text) == (400, True)
    assert code_of(s3.head_object, Bucket="plain", Key="bad") == "404"


def test_an_upload_that_breaks_off_stores_nothing(store: Store, s3: Any) -> None:
    request = AWSRequest("PUT", f"{store.url}/plain/cut", data=b"x" * 1000)
    S3SigV4Auth(Credentials(*store.admin("aws")), "s3", "us-east-1").add_auth(request)
    with socket.create_connection(("127.0.0.1", store.keys["port"])) as client:
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        head = ["PUT /plain/cut HTTP/1.1", f"Host: localhost:{store.keys['port']}", "Content-Length: 1000", *lines]
        client.sendall("\r\n".join([*head, "", ""]).encode() + b"x" * 500)
        client.shutdown(socket.SHUT_WR)
        assert b"IncompleteBody" in client.makefile("rb").read()
    assert code_of(s3.head_object, Bucket="plain", Key="cut") == "404"


@pytest.mark.parametrize(
    "key", ["a b", "ü/ö.txt", "100%", "a+b", "a//b", "/lead", "dir/", "x" * 900, "q?a=b&c#d", "~-_.!*'()"]
)
def test_a_key_of_any_spelling_comes_back_as_it_was_put(s3: Any, key: str) -> None:
    s3.put_object(Bucket="plain", Key=key, Body=key.encode(), Metadata={"note": "here"}, ContentType="text/plain")
    answer = s3.get_object(Bucket="plain", Key=key)
    assert (answer["Body"].read(), answer["Metadata"], answer["ContentType"]) == (
        key.encode(),
        {"note": "here"},
        "text/plain",
    )
    assert key in [item["Key"] for item in s3.list_objects_v2(Bucket="plain", Prefix=key)["Contents"]]
    s3.delete_object(Bucket="plain", Key=key)
    assert code_of(s3.get_object, Bucket="plain", Key=key) == "NoSuchKey"


def test_ranges_of_a_large_object_and_an_empty_object_read_right(s3: Any) -> None:
    data = os.urandom(3_000_000)
    s3.put_object(Bucket="plain", Key="large", Body=data, ContentType="application/x-www-form-urlencoded")
    assert s3.get_object(Bucket="plain", Key="large")["Body"].read() == data
    for header, part in (("bytes=0-9", data[:10]), ("bytes=2999990-", data[-10:]), ("bytes=-5", data[-5:])):
        assert s3.get_object(Bucket="plain", Key="large", Range=header)["Body"].read() == part
    assert code_of(s3.get_object, Bucket="plain", Key="large", Range="bytes=4000000-") == "InvalidRange"
    assert s3.head_object(Bucket="plain", Key="large")["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    s3.put_object(Bucket="plain", Key="empty", Body=b"")
    assert s3.get_object(Bucket="plain", Key="empty")["Body"].read() == b""


def test_a_streamed_upload_of_unknown_length_arrives_over_tls(tmp_path: Path) -> None:
    class Unseekable(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._inner = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return self._inner.read(size)

    data = os.urandom(700_001)
    tls = Store(tmp_path / "tls", make_certificate(tmp_path)).start()
    try:
        client = tls.client()
        client.create_bucket(Bucket="streams")
        client.upload_fileobj(Unseekable(data), "streams", "s")
        assert client.get_object(Bucket="streams", Key="s")["Body"].read() == data
        client.put_object(Bucket="streams", Key="trailer", Body=io.BytesIO(data))  # aws-chunked with a trailer
        assert client.get_object(Bucket="streams", Key="trailer", ChecksumMode="ENABLED")["Body"].read() == data
    finally:
        tls.kill()


def test_signed_chunks_are_checked_one_by_one(store: Store, s3: Any) -> None:
    access, secret = store.admin("aws")
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Host": f"localhost:{store.keys['port']}",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-decoded-content-length": "10",
        "X-Amz-Date": stamp,
    }

    def body(auth: S3SigV4Auth, request: AWSRequest, first: bytes, sent: bytes) -> bytes:
        scope = auth.credential_scope(request)
        key = f"AWS4{secret}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        previous, out = request.headers["Authorization"].rpartition("Signature=")[2], b""
        for chunk, wire in ((first, sent), (b"", b"")):
            text = "\n".join(
                (
                    "AWS4-HMAC-SHA256-PAYLOAD",
                    stamp,
                    scope,
                    previous,
                    hashlib.sha256(b"").hexdigest(),
                    hashlib.sha256(chunk).hexdigest(),
                )
            )
            previous = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
            out += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + (wire + b"\r\n" if chunk else b"\r\n")
        return out

    for sent, status in ((b"0123456789", 200), (b"forged****", 403)):
        request = AWSRequest("PUT", f"{store.url}/plain/chunks", headers=dict(headers))
        auth = S3SigV4Auth(Credentials(access, secret), "s3", "us-east-1")
        request.context["timestamp"] = stamp
        signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        names = auth.signed_headers(auth.headers_to_sign(request))
        request.headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={names}, Signature={signature}"
        )
        data = body(auth, request, b"0123456789", sent)
        answer = requests.put(f"{store.url}/plain/chunks", data=data, headers=dict(request.headers.items()), timeout=30)
        assert answer.status_code == status, answer.text
        assert s3.get_object(Bucket="plain", Key="chunks")["Body"].read() == b"0123456789"


def test_an_upload_in_parts_joins_them_and_refuses_wrong_ones(s3: Any) -> None:
    parts = [os.urandom(5 * 1024 * 1024), os.urandom(1000)]
    upload = s3.create_multipart_upload(Bucket="plain", Key="parts", ChecksumAlgorithm="CRC32")["UploadId"]
    sent = [
        s3.upload_part(Bucket="plain", Key="parts", UploadId=upload, PartNumber=number, Body=data)
        for number, data in enumerate(parts, 1)
    ]
    wrong = {"Parts": [{"PartNumber": 1, "ETag": '"00"'}]}
    assert (
        code_of(s3.complete_multipart_upload, Bucket="plain", Key="parts", UploadId=upload, MultipartUpload=wrong)
        == "InvalidPart"
    )
    named = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(sent, 1)]
    s3.complete_multipart_upload(Bucket="plain", Key="parts", UploadId=upload, MultipartUpload={"Parts": named})
    assert s3.get_object(Bucket="plain", Key="parts")["Body"].read() == b"".join(parts)
    assert (
        code_of(s3.upload_part, Bucket="plain", Key="parts", UploadId=upload, PartNumber=3, Body=b"x") == "NoSuchUpload"
    )
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="plain")
    other = s3.create_multipart_upload(Bucket="plain", Key="copied")["UploadId"]
    source = {"CopySource": "plain/parts", "CopySourceRange": "bytes=10-19"}
    etag = s3.upload_part_copy(Bucket="plain", Key="copied", UploadId=other, PartNumber=1, **source)["CopyPartResult"][
        "ETag"
    ]
    done = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(Bucket="plain", Key="copied", UploadId=other, MultipartUpload=done)
    assert s3.get_object(Bucket="plain", Key="copied")["Body"].read() == parts[0][10:20]


def test_a_copy_has_the_bytes_and_metadata_of_its_source(s3: Any) -> None:
    s3.put_object(Bucket="plain", Key="source", Body=b"bytes", Metadata={"a": "b"}, Tagging="t=1")
    s3.copy_object(Bucket="plain", Key="target", CopySource={"Bucket": "plain", "Key": "source"})
    s3.delete_object(Bucket="plain", Key="source")
    answer = s3.get_object(Bucket="plain", Key="target")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"bytes", {"a": "b"})
    assert s3.get_object_tagging(Bucket="plain", Key="target")["TagSet"] == [{"Key": "t", "Value": "1"}]


def test_versions_are_listed_newest_first_and_a_page_goes_on_after_its_versions_are_deleted(s3: Any) -> None:
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    for number in range(12):
        s3.put_object(Bucket="versions", Key=f"k{number % 3}", Body=str(number).encode())
    s3.delete_object(Bucket="versions", Key="k1")
    listed = s3.list_object_versions(Bucket="versions")
    bodies = [
        s3.get_object(Bucket="versions", Key=item["Key"], VersionId=item["VersionId"])["Body"].read()
        for item in listed["Versions"]
    ]
    assert bodies == [b"9", b"6", b"3", b"0", b"10", b"7", b"4", b"1", b"11", b"8", b"5", b"2"]
    assert [item["Key"] for item in listed["DeleteMarkers"] if item["IsLatest"]] == ["k1"]
    removed = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket="versions", PaginationConfig={"PageSize": 5}):
        found = [
            {"Key": item["Key"], "VersionId": item["VersionId"]}
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        assert "Errors" not in s3.delete_objects(Bucket="versions", Delete={"Objects": found})
        removed += len(found)
    assert removed == 13
    s3.delete_bucket(Bucket="versions")


def test_suspending_versioning_keeps_the_versions_that_are_there(s3: Any) -> None:
    s3.create_bucket(Bucket="suspended")
    s3.put_bucket_versioning(Bucket="suspended", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="suspended", Key="k", Body=b"1")["VersionId"]
    s3.put_bucket_versioning(Bucket="suspended", VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket="suspended", Key="k", Body=b"2")
    s3.put_object(Bucket="suspended", Key="k", Body=b"3")
    s3.delete_object(Bucket="suspended", Key="k")
    versions = s3.list_object_versions(Bucket="suspended")
    assert [item["VersionId"] for item in versions["Versions"]] == [first]
    assert [item["VersionId"] for item in versions["DeleteMarkers"]] == ["null"]
    assert s3.get_object(Bucket="suspended", Key="k", VersionId=first)["Body"].read() == b"1"


def test_listings_page_with_prefix_and_delimiter(s3: Any) -> None:
    s3.create_bucket(Bucket="listing")
    for number in range(7):
        s3.put_object(Bucket="listing", Key=f"data/{number}/x", Body=b"")
        s3.put_object(Bucket="listing", Key=f"keys/{number}", Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="listing", PaginationConfig={"PageSize": 3})
    assert sum(len(page["Contents"]) for page in pages) == 14
    folders = s3.list_objects_v2(Bucket="listing", Delimiter="/")
    assert [item["Prefix"] for item in folders["CommonPrefixes"]] == ["data/", "keys/"]
    assert s3.list_objects_v2(Bucket="listing", Prefix="keys/", MaxKeys=2)["IsTruncated"] is True
    assert len(s3.list_objects(Bucket="listing", Prefix="data/")["Contents"]) == 7
    assert code_of(s3.delete_bucket, Bucket="listing") == "BucketNotEmpty"


def test_the_settings_of_a_vault_bucket_come_back_as_they_were_put(s3: Any) -> None:
    s3.create_bucket(Bucket="vault-settings", ObjectLockEnabledForBucket=True)
    assert code_of(s3.get_bucket_lifecycle_configuration, Bucket="vault-settings") == "NoSuchLifecycleConfiguration"
    rules = [
        {
            "ID": "tiers",
            "Status": "Enabled",
            "Filter": {"Prefix": "data/"},
            "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90, "NewerNoncurrentVersions": 3},
        },
        {
            "ID": "abort",
            "Status": "Enabled",
            "Filter": {},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    s3.put_bucket_lifecycle_configuration(Bucket="vault-settings", LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket="vault-settings")["Rules"] == rules
    s3.delete_bucket_lifecycle(Bucket="vault-settings")
    assert code_of(s3.get_bucket_lifecycle_configuration, Bucket="vault-settings") == "NoSuchLifecycleConfiguration"
    sse = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]}
    s3.put_bucket_encryption(Bucket="vault-settings", ServerSideEncryptionConfiguration=sse)
    assert s3.get_bucket_encryption(Bucket="vault-settings")["ServerSideEncryptionConfiguration"] == sse
    s3.put_object(Bucket="vault-settings", Key="k", Body=b"x")
    assert s3.head_object(Bucket="vault-settings", Key="k")["ServerSideEncryption"] == "AES256"
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket="vault-settings", PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket="vault-settings")["PublicAccessBlockConfiguration"] == block
    owner = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket="vault-settings", OwnershipControls=owner)
    assert s3.get_bucket_ownership_controls(Bucket="vault-settings")["OwnershipControls"] == owner
    assert s3.get_bucket_versioning(Bucket="vault-settings")["Status"] == "Enabled"
    assert code_of(s3.get_bucket_policy, Bucket="vault-settings") == "NoSuchBucketPolicy"
    s3.put_bucket_tagging(Bucket="vault-settings", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_bucket_tagging(Bucket="vault-settings")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_a_refused_upload_leaves_the_connection_usable(store: Store) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", store.keys["port"], timeout=30)
    for _ in range(3):
        connection.request("PUT", "/plain/x", body=b"x" * 2_000_000, headers={"Expect": "100-continue"})
        answer = connection.getresponse()
        assert (answer.status, b"AccessDenied" in answer.read()) == (403, True)
    connection.close()
